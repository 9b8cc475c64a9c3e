-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- machine, queue, token, where it runs, lease in ms, whether it wants a node job. One that comes from the same place takes
-- over: what the one before it has held is given back or aborted.
-- @include prelude
-- @include scheduler

local machine, queue, token, host, lease, idle = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
forget_the_dead()
local left
local known = redis.call('HMGET', worker(machine), 'token', 'host', 'since')
if known[1] and known[1] ~= token then
  if known[2] ~= host then return redis.error_reply('OCCUPIED ' .. known[2]) end
  left = drop_job(machine, 'the worker on ' .. machine .. ' was ended from outside', true)
  forget_worker(machine)
  known = {}
end
if not known[1] then
  redis.call('HSET', worker(machine), 'queue', queue, 'token', token, 'host', host, 'since', now, 'seen', now,
    'lease', lease)
  if left then redis.call('HSET', worker(machine), 'left_run', left[1], 'left', left[2]) end
end
redis.call('SADD', queues, queue)
redis.call('ZADD', worker_leases, now + lease, machine)
local job = redis.call('HGET', worker(machine), 'job')
if not job then redis.call('ZADD', workers_of(queue), idle and now or 0, machine) end
schedule()
local calls = redis.call('XREVRANGE', worker(machine) .. '/calls', '+', '-', 'COUNT', 1)
return {redis.call('HGET', worker(machine), 'job') or '', calls[1] and calls[1][1] or '0-0'}
