-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The line of the runs that wait: by priority, then in the order of their arrival.
-- @include time
-- @include shared
-- @include machines
-- @include queue_entries

-- What is given back goes before all that waits, and a step of priority before any time of waiting.
local FRONT, STEP = 2 ^ 52, 2 ^ 42

-- A run leaves the line; what of it no worker has taken leaves the queues.
local function leave_line(id)
  if redis.call('EXISTS', prefix .. id) == 0 then end_all_entries(id) end
  local queued = redis.call('HGETALL', prefix .. id .. '/queued')
  for i = 1, #queued, 2 do
    local queue, entry = split_entry(queued[i + 1])
    end_entry(queue, entry)
  end
  redis.call('DEL', prefix .. id .. '/queued')
  if redis.call('ZREM', line, id) == 1 then announce_free('', id) end
end

-- First come, first served, among runs of the same priority, also when the line has been empty meanwhile.
local function join_line(id)
  if redis.call('ZSCORE', line, id) then return end
  local last = tonumber(redis.call('HGET', sched .. 'book', 'arrival') or 0)
  local arrival = math.max(now, last + 1)
  redis.call('HSET', sched .. 'book', 'arrival', string.format('%.0f', arrival))
  redis.call('ZADD', line, string.format('%.0f', arrival - tonumber(get('priority') or 0) * STEP), id)
  redis.call('HSET', prefix .. id, 'arrival', string.format('%.0f', arrival))
end
