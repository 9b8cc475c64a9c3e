-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A worker is there. One that comes from the same place as the one before it takes over: what that one held is given back,
-- or its run is aborted.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 machine
--          2 queue
--          3 token of the worker
--          4 where it runs
--          5 lease in ms
--          6 "1" if it wants a node job
-- Answer   1 the node job that it has been given, or ""
--          2 position in its calls, after which to wait for one
-- Errors   OCCUPIED …  a worker from elsewhere, which follows, has this machine
--
-- @include time
-- @include shared
-- @include workers
-- @include lost
-- @include schedule

local machine, queue, token, host, lease, idle = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
give_up_the_lost()
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
