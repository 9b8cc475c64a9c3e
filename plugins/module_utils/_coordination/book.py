# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.client import Client
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError

if t.TYPE_CHECKING:
    import redis

# KEYS: reservations (machine → run), waiting (runs in the order of their coming), leases of those that hold or wait, the
# stream of releases. ARGV: prefix of runs, cluster_id, then what each script names.
_PRELUDE = """
local reservations, waiting, leases, releases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, id = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function held(run) return prefix .. run .. '/held' end

local function announce(machine, run)
  redis.call('XADD', releases, 'MAXLEN', '~', 100, '*', 'machine', machine, 'run', run)
  redis.call('PEXPIRE', releases, 86400000)
end

local function free(run, machine)
  if redis.call('HDEL', held(run), machine) == 0 then return false end
  if redis.call('HGET', reservations, machine) == run then redis.call('HDEL', reservations, machine) end
  if redis.call('EXISTS', held(run)) == 0 then redis.call('ZREM', leases, run) end
  announce(machine, run)
  return true
end

local function leave_line(run)
  if redis.call('ZREM', waiting, run) == 1 then announce('', run) end
end

local function forget_the_dead()
  for _, run in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    local pairs_of_run = redis.call('HGETALL', held(run))
    for i = 1, #pairs_of_run, 2 do free(run, pairs_of_run[i]) end
    leave_line(run)
    redis.call('ZREM', leases, run)
  end
end

local function needs(run)
  local names = {}
  for name in string.gmatch(redis.call('HGET', prefix .. run, 'nodes') or '', '%S+') do
    -- Every controller is localhost to itself.
    if name ~= 'localhost' then names[#names + 1] = name end
  end
  return names
end
"""

# lease in ms
_RESERVE = (
    _PRELUDE
    + """
local machines = needs(id)
if redis.call('EXISTS', prefix .. id) == 0 then return redis.error_reply('UNKNOWN') end
if #machines == 0 then return {0} end
forget_the_dead()
redis.call('ZADD', leases, now + ARGV[3], id)
if redis.call('EXISTS', held(id)) == 1 then return {0} end
redis.call('HSETNX', prefix .. id, 'asked', now)
local waited = now - redis.call('HGET', prefix .. id, 'asked')
if not redis.call('ZSCORE', waiting, id) then
  local last = redis.call('ZRANGE', waiting, -1, -1, 'WITHSCORES')[2] or 0
  redis.call('ZADD', waiting, last + 1, id)
end
local ahead = {}
for _, run in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do
  if run == id then break end
  for _, machine in ipairs(needs(run)) do ahead[machine] = ahead[machine] or run end
end
local blockers = {waited}
for _, machine in ipairs(machines) do
  local holder = redis.call('HGET', reservations, machine)
  if holder then
    local since = redis.call('HGET', held(holder), machine) or now
    blockers[#blockers + 1] = cjson.encode({machine = machine, run = holder, since = since / 1000})
  elseif ahead[machine] then
    blockers[#blockers + 1] = cjson.encode({machine = machine, run = ahead[machine]})
  end
end
if #blockers > 1 then return blockers end
for _, machine in ipairs(machines) do
  redis.call('HSET', reservations, machine, id)
  redis.call('HSET', held(id), machine, now)
end
redis.call('PEXPIREAT', held(id), redis.call('HGET', prefix .. id, 'expires'))
redis.call('ZREM', waiting, id)
return {waited}
"""
)

# machine
_RELEASE = _PRELUDE + "return free(id, ARGV[3]) and 1 or 0"

_WITHDRAW = (
    _PRELUDE
    + """
leave_line(id)
if redis.call('EXISTS', held(id)) == 0 then redis.call('ZREM', leases, id) end
return 1
"""
)

# lease in ms
_RENEW = (
    _PRELUDE
    + """
if redis.call('ZSCORE', leases, id) then redis.call('ZADD', leases, now + ARGV[3], id) end
return 1
"""
)


@dataclass(frozen=True)
class Blocker:
    """Why a run cannot have a machine: another run holds it, or, without ``since``, has come first."""

    machine: str
    run: str
    since: float | None = None

    def __str__(self) -> str:
        if self.since is None:
            return f"run {self.run} waits for {self.machine} already"
        return f"{self.machine} is held by run {self.run} since {time.strftime('%H:%M:%S', time.localtime(self.since))}"


class Book:
    """Which run holds which machine. A run gets all of its machines in one step or none, first come, first served.

    A run that waits keeps what it needs from those that come later, so none waits for ever, and no two runs ever hold half
    of each other's machines. Holders and waiters have leases, by Redis' clock: what a dead controller held becomes free.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        prefix = client.settings.prefix
        self._runs = f"{prefix}cluster/"
        self._keys = [f"{prefix}{name}" for name in ("reservations", "waiting", "reservation_leases", "releases")]

    def reserve(self, cluster_id: str, *, lease: float, slice_seconds: float = 0.0) -> tuple[list[Blocker], float]:
        """Reserve all machines of a run, or say what is in the way after waiting for one slice.

        :param lease: seconds for which the reservation, and the place in the line, hold without being renewed.
        :returns: what is in the way, nothing when the run has all of its machines; and the seconds waited since it asked.
        :raises CoordinationError: Redis does not know the run.
        """
        end = time.monotonic() + slice_seconds
        while True:
            position = self._position()
            blockers, waited = self._try(cluster_id, lease)
            left = end - time.monotonic()
            if not blockers or left <= 0:
                return blockers, waited
            # A slice of its own for leases that run out, which nobody announces.
            self._wait_for_release(position, min(left, lease / 3))

    def release(self, cluster_id: str, machine: str) -> bool:
        """A machine is clean again; False when the run did not hold it."""
        return bool(self._run(_RELEASE, cluster_id, machine))

    def withdraw(self, cluster_id: str) -> None:
        """The run waits no longer."""
        self._run(_WITHDRAW, cluster_id)

    def renew(self, cluster_id: str, lease: float) -> None:
        """The holder is alive; a run that holds nothing is not affected."""
        self._run(_RENEW, cluster_id, int(lease * 1000))

    def holder(self, machine: str) -> str | None:
        """The run that holds a machine."""
        return self._client.call(lambda r: t.cast("str | None", r.hget(self._keys[0], machine)))

    def holders(self) -> dict[str, str]:
        """All machines that are held, with their runs."""
        return self._client.call(lambda r: t.cast(dict, r.hgetall(self._keys[0])))

    def waiting(self) -> list[str]:
        """The runs that wait for machines, first come first."""
        return self._client.call(lambda r: t.cast(list, r.zrange(self._keys[1], 0, -1)))

    def _try(self, cluster_id: str, lease: float) -> tuple[list[Blocker], float]:
        import redis

        try:
            waited, *found = self._run(_RESERVE, cluster_id, int(lease * 1000))
        except redis.exceptions.ResponseError:
            raise CoordinationError(f"run {cluster_id} is not known to Redis: never registered, or expired") from None
        return [Blocker(**json.loads(text)) for text in found], waited / 1000

    def _position(self) -> str:
        found = self._client.call(lambda r: t.cast(list, r.xrevrange(self._keys[3], count=1)))
        return str(found[0][0]) if found else "0-0"

    def _wait_for_release(self, position: str, seconds: float) -> None:
        block = max(1, int(min(seconds, 5.0) * 1000))
        self._client.call(lambda r: r.xread({self._keys[3]: position}, block=block))

    def _run(self, script: str, cluster_id: str, *arguments: t.Any) -> t.Any:
        def operation(r: redis.Redis) -> t.Any:
            return r.eval(script, len(self._keys), *self._keys, self._runs, cluster_id, *arguments)

        return self._client.call(operation)
