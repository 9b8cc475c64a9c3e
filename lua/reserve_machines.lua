-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Reserves all machines of a run, or none and has it wait in the line.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 run
--          2 lease in ms
-- Answer   1 ms since it was first asked for
--          2… what is in the way, as JSON: machine, run that holds it or goes first, since when it holds it
-- Errors   UNKNOWN  there is no such run
--          OVER …   the run is over; its reason follows
--
-- @include time
-- @include run
-- @include shared
-- @include machines
-- @include line
-- @include lost
-- @include schedule

local id = ARGV[1]
select_run(id)
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local machines = machines_of(id)
if #machines == 0 then return {0} end
give_up_the_lost()
select_run(id)
if get('verdict') and redis.call('EXISTS', held(id)) == 0 then
  leave_line(id)
  redis.call('ZREM', holders, id)
  return redis.error_reply('OVER ' .. get('reason'))
end
redis.call('ZADD', holders, now + ARGV[2], id)
if redis.call('EXISTS', held(id)) == 1 then return {0} end
redis.call('HSETNX', prefix .. id, 'asked', now)
local waited = now - redis.call('HGET', prefix .. id, 'asked')
join_line(id)
local ahead = schedule(id)
select_run(id)
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
for _, machine in ipairs(machines) do hold_machine(id, machine) end
redis.call('ZREM', line, id)
return {waited}
