-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- run, lease in ms
-- @include prelude
-- @include scheduler

local id = ARGV[1]
turn_to(id)
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local machines = machines_of(id)
if #machines == 0 then return {0} end
forget_the_dead()
turn_to(id)
if get('verdict') and redis.call('EXISTS', held(id)) == 0 then
  leave_line(id)
  redis.call('ZREM', holders, id)
  return redis.error_reply('OVER ' .. get('reason'))
end
redis.call('ZADD', holders, now + ARGV[2], id)
if redis.call('EXISTS', held(id)) == 1 then return {0} end
redis.call('HSETNX', prefix .. id, 'asked', now)
local waited = now - redis.call('HGET', prefix .. id, 'asked')
stand_in_line(id)
local ahead = schedule(id)
turn_to(id)
local blockers = {waited}
for _, machine in ipairs(machines) do
  local holder = redis.call('HGET', reservations, machine)
  if holder then
    local since = redis.call('HGET', held(holder), machine) or now
    blockers[#blockers + 1] = cjson.encode({machine = machine, run = holder, since = since / 1000})
  elseif ahead[machine] then
    blockers[#blockers + 1] = cjson.encode({machine = machine, run = ahead[machine]})
  end
end
if #blockers > 1 then return blockers end
for _, machine in ipairs(machines) do seize(id, machine) end
redis.call('ZREM', line, id)
return {waited}
