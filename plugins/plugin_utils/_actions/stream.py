# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError


def stream_commands(connection: t.Any, command: list[str]) -> list[list[str]]:
    """Commands on the controller whose standard input and output are those of ``command`` on the node.

    They go the way of the task's own connection, with its options. The first is the usual one, the others are for when
    nothing comes through it any more.

    :raises NodeError: the connection plugin has no way to keep a stream open.
    """
    text = shlex.join(command)
    if hasattr(connection, "stream_command"):
        return [connection.stream_command(text)]
    if connection.transport == "local":
        return [["/bin/sh", "-c", text]]
    if connection.transport == "ssh":
        return _ssh_commands(connection, text)
    raise NodeError(
        f"the connection plugin {connection.transport!r} cannot keep a line to the node open; ssh, local and "
        "lab.multidevice.netns can"
    )


def _ssh_commands(connection: t.Any, text: str) -> list[list[str]]:
    """An ssh connection that is kept open (``ControlPersist``, Ansible's default) is used, so that passwords are not asked
    for again. Should it be stuck, another one is tried.
    """
    executable = connection.get_option("ssh_executable")
    host = connection.get_option("host")
    built = connection._build_command(executable, "ssh", "-T", host, text)
    argv = [part.decode() for part in built]
    options = argv[argv.index(executable) + 1 :]
    batch = [executable, "-o", "ControlMaster=no", "-o", "BatchMode=yes"]
    return [[*batch, *options], [*batch, "-o", "ControlPath=none", *options]]
