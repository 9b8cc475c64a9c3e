-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- machine, token, job_id: its part is over and its results are handed in. The machine is free, and its worker comes back
-- for the next node job.
-- @include prelude
-- @include scheduler

local machine, token, job = ARGV[1], ARGV[2], ARGV[3]
turn_to(string.match(job, '^(.*)%.%d+$'))
local ended = false
if get('cluster_id') then
  local _, _, holder = split_entry(redis.call('HGET', run .. '/taken', job) or '')
  local _, last = times_given(job)
  if holder == machine then
    end_job(job, 'handed_in', machine)
    ended = true
  elseif not holder and last == machine then
    event(identify(job).node, 'handed_in', machine)
  end
end
local known = redis.call('HMGET', worker(machine), 'token', 'job')
if known[1] == token and known[2] == job then let_go(machine) end
if redis.call('HGET', worker(machine), 'left') == job then forget_left(machine, 'its results were handed in') end
forget_the_dead()
schedule()
return ended and 1 or 0
