-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Controllers and workers that were not heard from in time are given up.
-- @include time
-- @include machines
-- @include line
-- @include workers

-- In ms; a third of it may pass between two signs of the one who has it.
local function longest_lease()
  local longest = 0
  for _, machine in ipairs(redis.call('ZRANGE', worker_leases, 0, -1)) do
    longest = math.max(longest, tonumber(redis.call('HGET', worker(machine), 'lease') or 0))
  end
  for _, id in ipairs(redis.call('ZRANGE', holders, 0, -1)) do
    longest = math.max(longest, tonumber(redis.call('HGET', prefix .. id, 'lease') or 0) * 1000)
  end
  return longest
end

-- As with the leases of nodes: a silence of every client says nothing about anybody.
local function forgive_silence_of_all()
  local silence = now - tonumber(redis.call('HGET', sched .. 'book', 'heard') or now)
  redis.call('HSET', sched .. 'book', 'heard', now)
  redis.call('PEXPIRE', sched .. 'book', 7 * DAY)
  if silence <= 15000 or silence <= longest_lease() / 2 then return end
  for _, leases in ipairs({holders, worker_leases}) do
    for _, name in ipairs(redis.call('ZRANGE', leases, 0, -1)) do redis.call('ZINCRBY', leases, silence, name) end
  end
end

local function give_up_the_lost()
  forgive_silence_of_all()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', holders, '-inf', now)) do
    for _, machine in ipairs(machines_held_by(id)) do free_machine(id, machine) end
    leave_line(id)
    redis.call('ZREM', holders, id)
  end
  for _, machine in ipairs(redis.call('ZRANGEBYSCORE', worker_leases, '-inf', now)) do
    local seen = redis.call('HGET', worker(machine), 'seen') or now
    drop_job(machine, 'the worker on ' .. machine .. ' was not heard from for ' .. seconds(now - seen) .. ' s')
    forget_worker(machine)
  end
end
