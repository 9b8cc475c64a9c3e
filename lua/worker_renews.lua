-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- machine, token, lease in ms; answers with the node job that it has been given, false when it is not a worker any more
-- @include prelude
-- @include scheduler

local machine, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local known = redis.call('HMGET', worker(machine), 'token', 'job')
if known[1] ~= token then
  forget_the_dead()
  return false
end
redis.call('ZADD', worker_leases, now + lease, machine)
redis.call('HSET', worker(machine), 'seen', now)
forget_the_dead()
-- Whatever changes something goes along the line itself; what has not, such as the time of a run that is over, is seen so.
if now - tonumber(redis.call('HGET', sched .. 'book', 'walked') or 0) > 1000 and redis.call('EXISTS', line) == 1 then
  schedule()
end
return redis.call('HGET', worker(machine), 'job') or ''
