# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: netns
short_description: Run tasks on the machines of a virtual lab
version_added: 0.1.0
description:
  - Enters the namespaces of a machine that M(lab.multidevice.virtual_lab) has made on this computer. No network and no daemon is needed
    for it.
  - The user on the machine is always V(root), and the environment is that of a new login, not that of the controller.
  - Only the user who has brought the lab up can enter its machines.
author:
  - lab.multidevice contributors (@lab)
requirements:
  - util-linux (C(nsenter))
extends_documentation_fragment:
  - connection_pipelining
options:
  state_file:
    description:
      - The lab's record of what is up. The inventory that M(lab.multidevice.virtual_lab) writes has it.
    type: path
    required: true
    vars:
      - name: ansible_netns_state
  node:
    description:
      - Name of the machine in the lab.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_netns_node
seealso:
  - module: lab.multidevice.virtual_lab
"""

EXAMPLES = r"""
all:
  children:
    virtual_lab:
      vars:
        ansible_connection: lab.multidevice.netns
        ansible_netns_state: /run/user/1000/lab.multidevice/virtual-lab/state.json
        ansible_become: false
      hosts:
        server-1:
          ansible_netns_node: server-1
"""

import os
import signal
import subprocess
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError

if t.TYPE_CHECKING:
    from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import LabState

display = Display()


class Connection(ConnectionBase):
    """Connection to a machine of a virtual lab"""

    transport = "lab.multidevice.netns"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def stream_command(self, command: str) -> list[str]:
        """The command line whose stdin and stdout are a live stream to a shell command on the machine."""
        return self._reachable_lab().machine_command(self._node, self._shell_argv(command), stream=True)

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        display.vvv(f"EXEC {to_text(cmd)}", host=self._node)
        return self._run(self._shell_argv(to_text(cmd)), input=in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._node)
        try:
            source = open(to_bytes(in_path, errors="surrogate_or_strict"), "rb")
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"{in_path} does not exist on the controller") from error
        with source:
            returncode, _stdout, stderr = self._run(["sh", "-c", 'cat > "$1"', "sh", out_path], stdin=source)
        if returncode:
            raise AnsibleError(f"cannot copy {in_path} to {out_path} on {self._node}: {to_text(stderr).strip()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._node)
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as target:
            returncode, _stdout, stderr = self._run(["cat", "--", in_path], stdin=subprocess.DEVNULL, stdout=target)
        if returncode:
            os.unlink(to_bytes(out_path, errors="surrogate_or_strict"))
            raise AnsibleError(f"cannot fetch {in_path} from {self._node}: {to_text(stderr).strip()}")

    def reset(self) -> None:
        """There is no session to end."""

    def close(self) -> None:
        self._connected = False

    @property
    def _node(self) -> str:
        return self.get_option("node")

    def _shell_argv(self, command: str) -> list[str]:
        executable = self._play_context.executable or "/bin/sh"
        return [executable, "-c", command]

    def _reachable_lab(self) -> LabState:
        # Each task of each host loads its connection plugin, and most of a run's tasks never connect.
        from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import LabState

        path = self.get_option("state_file")
        try:
            lab = LabState.read(path)
        except MultideviceError as error:
            raise AnsibleConnectionFailure(str(error)) from error
        if lab is None or not lab.alive():
            raise AnsibleConnectionFailure(f"the virtual lab of {path} is not up: bring it up with lab_up.yml")
        if self._node not in lab.machines:
            raise AnsibleConnectionFailure(f"the virtual lab {lab.settings.name} has no node {self._node!r}")
        if not lab.reachable(self._node):
            raise AnsibleConnectionFailure(
                f"node {self._node} of the virtual lab {lab.settings.name} is powered off or its management link is cut"
            )
        return lab

    def _run(
        self, argv: list[str], *, stdout: int | t.IO[bytes] = subprocess.PIPE, **source: t.Any
    ) -> tuple[int, bytes, bytes]:
        """Run a command; `source` is what subprocess knows as stdin or input."""
        lab = self._reachable_lab()
        command = lab.machine_command(self._node, argv)
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False, **source)
        if done.returncode and self._lost(lab, done.returncode):
            raise AnsibleConnectionFailure(f"node {self._node} of the virtual lab {lab.settings.name} was lost")
        return done.returncode, done.stdout, done.stderr

    def _lost(self, lab: LabState, returncode: int) -> bool:
        # The end of a machine kills its processes before its own process 1 is gone.
        if returncode == -signal.SIGKILL:
            lab.machines[self._node].ended(within=1.0)
        return not lab.reachable(self._node)
