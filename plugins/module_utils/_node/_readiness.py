# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._node import _spawn as spawn
from ansible_collections.lab.multidevice.plugins.module_utils._node._account import Account

TIMEOUT = 60.0
INTERVAL = 0.1
GRACE = 1.0
LISTEN = "0A"


class Readiness:
    """Finds out whether a daemon that was just started answers; asked again and again.

    Without a check, a daemon is ready when its script has ended, or has lived through a short grace.
    """

    def __init__(
        self,
        check: dict[str, t.Any] | None,
        *,
        folder: Path,
        environment: dict[str, str],
        account: Account | None = None,
    ) -> None:
        self._check = check or {}
        self._folder = folder
        self._environment = environment
        self._account = account
        self._since = time.monotonic()
        self._command: int | None = None
        self._passed = False

    def is_ready(self, *, ended: bool) -> bool:
        """Whether the daemon is ready now. ``ended``: its script has returned, which is how a daemon forks away."""
        if "port" in self._check:
            return is_listening(int(self._check["port"]))
        if "file" in self._check:
            return (self._folder / str(self._check["file"])).exists()
        if "command" in self._check:
            if self._command is None and not self._passed:
                self._command = self._start_command(str(self._check["command"]))
            return self._passed
        return ended or time.monotonic() - self._since >= GRACE

    def take_end(self, pid: int, code: int) -> bool:
        """Take note of the check command's end. False when the process is another one."""
        if pid != self._command:
            return False
        self._command, self._passed = None, code == 0
        return True

    def failure(self) -> str | None:
        """What it was waited for in vain, when its time is over."""
        limit = float(self._check.get("timeout", TIMEOUT))
        if not self._check or time.monotonic() - self._since <= limit:
            return None
        what = next(f"{key} {self._check[key]}" for key in ("port", "file", "command") if key in self._check)
        return f"is not ready after {limit:g} s: {what}"

    def _start_command(self, command: str) -> int:
        pid, gate = spawn.fork_at_gate(
            ["/bin/sh", "-c", command],
            environment=self._environment,
            folder=self._folder,
            out=Path(os.devnull),
            err=Path(os.devnull),
            account=self._account,
        )
        spawn.open_gate(gate)
        return pid


def is_listening(port: int) -> bool:
    """Whether any socket of this machine's network listens on a TCP port, or is bound to it with UDP (proc_net(5))."""
    return any(
        _has_port(f"/proc/self/net/{table}", port, listening=table.startswith("tcp"))
        for table in ("tcp", "tcp6", "udp", "udp6")
    )


def _has_port(table: str, port: int, *, listening: bool) -> bool:
    try:
        with open(table, encoding="ascii") as stream:
            next(stream, None)
            for line in stream:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and (not listening or fields[3] == LISTEN):
                    return True
    except FileNotFoundError:
        return False
    return False
