# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual lab for a test, gone at its end whatever happens.

from support.lab_fixture import virtual_lab

def test_something(tmp_path):
    with virtual_lab(tmp_path) as lab:
        lab.exec("server-1", ["hostname", "-I"])
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import control
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import LabState

from support import lab_faults
from support.repository import COLLECTIONS

# The end of its input is the end of the test, or of whoever ran it.
TAKE_DOWN = """
import sys
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import control
sys.stdin.read()
control.down(sys.argv[1])
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Lab:
    state: LabState

    @property
    def name(self) -> str:
        return self.state.settings.name

    @property
    def inventory(self) -> Path:
        return Path(control.inventory_path(self.state.settings))

    @property
    def cluster_file(self) -> Path:
        return Path(control.cluster_path(self.state.settings))

    @property
    def nodes(self) -> list[str]:
        return list(self.state.machines)

    def macs(self, node: str) -> list[str]:
        return next(machine.macs for machine in self.state.settings.nodes if machine.name == node)

    def address(self, node: str) -> str:
        return next(machine.address for machine in self.state.settings.nodes if machine.name == node)

    def exec(
        self, node: str, argv: t.Sequence[str], *, check: bool = True, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a node. With check, a failure raises an error that shows what the command said."""
        command = self.state.machine_command(node, argv)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{node}: {argv} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def cut_management(self, node: str) -> None:
        lab_faults.set_management(self.state, node, connected=False)

    def restore_management(self, node: str) -> None:
        lab_faults.set_management(self.state, node, connected=True)

    def cut_direct(self, node: str, link: int = 1) -> None:
        lab_faults.set_direct(self.state, node, link=link, connected=False)

    def restore_direct(self, node: str, link: int = 1) -> None:
        lab_faults.set_direct(self.state, node, link=link, connected=True)

    def power_off(self, node: str) -> None:
        lab_faults.power_off(self.state, node)


@contextmanager
def virtual_lab(
    directory: Path,
    nodes: t.Mapping[str, t.Sequence[str]] | None = None,
    *,
    name: str | None = None,
    links: int = 1,
    mtu: int = 1500,
    ssh: bool = False,
    shared_folders: t.Sequence[str] = (),
) -> t.Iterator[Lab]:
    """A lab whose inventory and cluster file are in a folder below `directory`. `nodes`: names and their roles."""
    name = name or f"test-{os.getpid()}-{next(_numbers)}"
    default = control.DEFAULT_NODES
    wanted = default if nodes is None else [{"name": node, "roles": list(roles)} for node, roles in nodes.items()]
    request = control.Request(
        name, str(directory / name), nodes=wanted, links=links, mtu=mtu, ssh=ssh, shared_folders=shared_folders
    )
    with gone_afterwards(name):
        state = control.up(request).state
        assert state is not None
        yield Lab(state)


@contextmanager
def gone_afterwards(name: str, prefix: t.Sequence[str] = ()) -> t.Iterator[None]:
    """Take a lab down at the end of the block, also when the test's process is killed. `prefix` becomes another user."""
    command = [*prefix, "env", f"PYTHONPATH={COLLECTIONS}", sys.executable, "-c", TAKE_DOWN, name]
    # In a session of its own, so that what ends the tests does not end it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True) as guard:
        yield
        assert guard.stdin
        guard.stdin.close()
        assert guard.wait(60) == 0, f"the virtual lab {name} was not taken down"
