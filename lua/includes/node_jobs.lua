-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What becomes of a node job that a worker has been given.
-- @include run
-- @include events
-- @include nodes
-- @include queue_entries
-- @include line

-- A worker that is gone before the run has begun gives its node job back, ahead of all runs that wait. As if it had never
-- been there: another machine may take it, with another address.
local function give_back(job, queue, entry, why)
  local id = get('cluster_id')
  local node = find_node(job)
  redis.call('HDEL', run .. '/taken', job)
  redis.call('XACK', stream_of(queue), 'workers', entry)
  redis.call('HSET', run .. '/queued', job, queue .. ' ' .. entry)
  keep(run .. '/queued')
  if redis.call('SREM', run .. '/arrived/start', node.node) == 1 then redis.call('SADD', run .. '/missing/start', node.node) end
  redis.call('HDEL', run .. '/barrier/start', 'at:' .. node.node, 'retries:' .. node.node)
  redis.call('ZREM', run .. '/leases', node.node)
  redis.call('HDEL', run .. '/promises', node.node)
  node.state, node.times = 'registered', {}
  store_node(node)
  redis.call('ZADD', line, string.format('%.0f', get('arrival') - FRONT), id)
  event(node.node, 'given_back', why)
end

local function end_job(job, what, data)
  local text = redis.call('HGET', run .. '/taken', job)
  if not text then return end
  local queue, entry = split_entry(text)
  end_entry(queue, entry)
  redis.call('HDEL', run .. '/taken', job)
  event(find_node(job).node, what, data)
end

-- How often a node job was given to a worker, and to which last.
local function times_given(job)
  local times, machine = string.match(redis.call('HGET', run .. '/given', job) or '0 ', '^(%d+) (%S*)$')
  return tonumber(times), machine
end
