-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A worker's part in a run is over and its results are handed in. Its machine is free, and it comes back for the next node job.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 machine
--          2 token of the worker
--          3 job_id
-- Answer   1, or 0 if the machine does not hold the node job any more
--
-- @include run
-- @include events
-- @include nodes
-- @include shared
-- @include queue_entries
-- @include node_jobs
-- @include workers
-- @include lost
-- @include schedule

local machine, token, job = ARGV[1], ARGV[2], ARGV[3]
select_run(string.match(job, '^(.*)%.%d+$'))
local ended = false
if get('cluster_id') then
  local _, _, holder = split_entry(redis.call('HGET', run .. '/taken', job) or '')
  local _, last = times_given(job)
  if holder == machine then
    end_job(job, 'handed_in', machine)
    ended = true
  elseif not holder and last == machine then
    event(find_node(job).node, 'handed_in', machine)
  end
end
local known = redis.call('HMGET', worker(machine), 'token', 'job')
if known[1] == token and known[2] == job then free_worker(machine) end
if redis.call('HGET', worker(machine), 'left') == job then forget_left(machine, 'its results were handed in') end
give_up_the_lost()
schedule()
return ended and 1 or 0
