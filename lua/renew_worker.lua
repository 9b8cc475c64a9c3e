-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A worker is alive.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 machine
--          2 token of the worker
--          3 lease in ms
-- Answer   the node job that it has been given, or ""; nothing when it is not the worker of this machine any more
--
-- @include time
-- @include shared
-- @include lost
-- @include schedule

local machine, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local known = redis.call('HMGET', worker(machine), 'token', 'job')
if known[1] ~= token then
  give_up_the_lost()
  return false
end
redis.call('ZADD', worker_leases, now + lease, machine)
redis.call('HSET', worker(machine), 'seen', now)
give_up_the_lost()
-- Whatever changes something goes along the line itself; what has not, such as the time of a run that is over, is seen so.
if now - tonumber(redis.call('HGET', sched .. 'book', 'walked') or 0) > 1000 and redis.call('EXISTS', line) == 1 then
  schedule()
end
return redis.call('HGET', worker(machine), 'job') or ''
