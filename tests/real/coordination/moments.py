# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time that passes at once, and clients that wait: tests of limits need not sleep, and a slow machine changes nothing."""

from __future__ import annotations

import secrets
import typing as t

import redis

from coordination.conftest import Run
from support.waiting import wait_until


def pass_time(server: redis.Redis, run: Run, seconds: float, *, silent: bool = False) -> None:
    """Move all moments that Redis holds of a run back, as if so many seconds had passed.

    :param silent: whether nobody has been heard from in the meantime.
    """
    base, ms = f"sched/cluster/{run.id}", -int(seconds * 1000)
    for name in ("leases", "deadlines", "barriers"):
        for member, moment in t.cast(list, server.zrange(f"{base}/{name}", 0, -1, withscores=True)):
            if moment:
                server.zincrby(f"{base}/{name}", ms, member)
    hashes = {f"{base}/barrier/{name}": None for name in t.cast(list, server.zrange(f"{base}/barriers", 0, -1))}
    for key in (*hashes, f"{base}/receiving"):
        for field in t.cast(list, server.hkeys(key)):
            if key not in hashes or field == "released" or field.startswith("at:"):
                server.hincrby(key, field, ms)
    for field in ("registered", "started", *(["heard"] if silent else [])):
        if server.hexists(base, field):
            server.hincrby(base, field, ms)


def wait_until_blocked(server: redis.Redis, clients: int = 1) -> None:
    """Until so many clients wait for an entry of a stream."""
    wait_until(
        f"{clients} clients wait in Redis", lambda: t.cast(dict, server.info("clients"))["blocked_clients"] >= clients
    )


class Trips:
    """What clients ask a server for, meanwhile; not what is asked to connect, or to look."""

    APART = frozenset(["AUTH", "CLIENT", "HELLO", "INFO", "MONITOR", "PING", "SELECT"])

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.commands: list[str] = []
        self._monitor: t.Any = None

    def __enter__(self) -> Trips:
        self._monitor = self._client.monitor()
        self._monitor.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """See all that has been asked until now."""
        if self._monitor is None:
            return
        mark = secrets.token_hex(8)
        self._client.echo(mark)
        while True:
            seen = self._monitor.next_command()
            command = seen["command"].split()
            if mark in seen["command"]:
                break
            if seen["client_type"] != "lua" and command[0].upper() not in self.APART:
                self.commands.append(command[0].upper())
        self._monitor.__exit__(None, None, None)
        self._monitor = None
