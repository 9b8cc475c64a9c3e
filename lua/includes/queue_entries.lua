-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The entries of queues, one for each node job that is not over.
-- @include shared

local function split_entry(text) return string.match(text, '^(%S+) (%S+) ?(%S*)$') end

local function forget_queue(queue)
  if redis.call('ZCARD', workers_of(queue)) == 0 and redis.call('XLEN', stream_of(queue)) == 0 then
    redis.call('DEL', stream_of(queue))
    redis.call('SREM', queues, queue)
  end
end

local function end_entry(queue, entry)
  redis.call('XACK', stream_of(queue), 'workers', entry)
  redis.call('XDEL', stream_of(queue), entry)
  forget_queue(queue)
end

-- What is left in the queues of a run that was removed, or has expired.
local function end_all_entries(id)
  for _, queue in ipairs(redis.call('SMEMBERS', queues)) do
    for _, found in ipairs(redis.call('XREVRANGE', stream_of(queue), '+', '-')) do
      local fields_of_entry = found[2]
      for i = 1, #fields_of_entry, 2 do
        if fields_of_entry[i] == 'cluster_id' and fields_of_entry[i + 1] == id then end_entry(queue, found[1]) end
      end
    end
  end
end
