# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Break a virtual lab on purpose: cut its links, and end its machines."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import STREAM_MARK

if t.TYPE_CHECKING:
    from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import LabState


def set_management(state: LabState, node: str, *, connected: bool) -> None:
    """Cut or restore a node's management link. A node that the netns connection reaches needs no cable, so its
    connections are refused and its open streams stand still instead."""
    mark = Path(state.cut_mark(node))
    number = list(state.machines).index(node) + 1
    if connected:
        _switch_port(state, f"m{number}", up=True)
        mark.unlink(missing_ok=True)
    else:
        mark.touch()
        _switch_port(state, f"m{number}", up=False)
    for pid in _stream_processes(state, node):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT if connected else signal.SIGSTOP)


def set_direct(state: LabState, node: str, *, link: int = 1, connected: bool) -> None:
    """Cut or restore one of a node's direct links."""
    number = list(state.machines).index(node) + 1
    _switch_port(state, f"d{number}-{link}", up=connected)


def power_off(state: LabState, node: str) -> None:
    """End a node as if its mains plug was pulled."""
    assert state.machines[node].kill(within=30), f"{node} does not end"


def _switch_port(state: LabState, port: str, *, up: bool) -> None:
    enter = state.enter(state.switch, namespaces=("net",))
    subprocess.run([*enter, "ip", "link", "set", "dev", port, "up" if up else "down"], check=True)


def _stream_processes(state: LabState, node: str) -> list[int]:
    """Every process of the sessions that were opened as streams to this node; what has left them is a daemon."""
    namespace = os.readlink(f"/proc/{state.machines[node].pid}/ns/pid")
    sessions, members = set(), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(process / "ns" / "pid") != namespace:
                continue
            session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
            members.append((int(process.name), session))
            if process.name == str(session) and f"{STREAM_MARK}=1".encode() in (process / "environ").read_bytes().split(
                b"\0"
            ):
                sessions.add(session)
    return [pid for pid, session in members if session in sessions]
