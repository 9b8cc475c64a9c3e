-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The records of the nodes: a field of `cluster_state` for each node job.
-- @include vocabulary
-- @include time
-- @include run
-- @include events

local function find_node(job)
  local text = redis.call('HGET', cluster_state, job)
  local record = text and cjson.decode(text)
  if not record or record.cluster_id ~= get('cluster_id') then return nil end
  local head = string.match(text, '^(.*),"state":"[%a_]+","times":%b{}}$')
  return {job = job, node = record.node, head = head, state = record.state, times = record.times}
end

local function store_node(node)
  local tail = ',"state":"' .. node.state .. '","times":' .. cjson.encode(node.times) .. '}'
  redis.call('HSET', cluster_state, node.job, node.head .. tail)
end

local function advances(node, state)
  return RANK[state] > RANK[node.state]
end

local function set_state(node, state, data)
  if not advances(node, state) then return false end
  node.state = state
  node.times[state] = now / 1000
  store_node(node)
  event(node.node, state, data)
  return true
end
