-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Which run holds which machine.
-- @include time
-- @include shared

local function announce_free(machine, id)
  redis.call('XADD', releases, 'MAXLEN', '~', 100, '*', 'machine', machine, 'run', id)
  redis.call('PEXPIRE', releases, DAY)
end

-- Also those of a run that was removed, or has expired, while it held them.
local function machines_held_by(id)
  local machines, entries = {}, redis.call('HGETALL', reservations)
  for i = 1, #entries, 2 do
    if entries[i + 1] == id then machines[#machines + 1] = entries[i] end
  end
  return machines
end

local function holds_none(id)
  if redis.call('EXISTS', held(id)) == 1 then return false end
  return redis.call('EXISTS', prefix .. id) == 1 or #machines_held_by(id) == 0
end

local function free_machine(id, machine)
  redis.call('HDEL', held(id), machine)
  if redis.call('HGET', reservations, machine) ~= id then return false end
  redis.call('HDEL', reservations, machine)
  if holds_none(id) then redis.call('ZREM', holders, id) end
  announce_free(machine, id)
  return true
end

local function hold_machine(id, machine)
  redis.call('HSET', reservations, machine, id)
  redis.call('HSET', held(id), machine, now)
  redis.call('PEXPIREAT', held(id), get('expires'))
end

local function machines_of(id)
  local names = {}
  for name in string.gmatch(redis.call('HGET', prefix .. id, 'nodes') or '', '%S+') do
    -- Every controller is localhost to itself.
    if name ~= 'localhost' then names[#names + 1] = name end
  end
  return names
end
