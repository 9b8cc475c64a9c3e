-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Registers the runs of a submission, and puts their node jobs into their queues, in one step.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     those of includes/register_runs.lua, then
--          1 number of node jobs, and of each
--          2 run
--          3 job_id
--          4 queue
--          5 what the worker is to do, as JSON
-- Answer   how many runs are new
-- Errors   TAKEN …  this run is registered with another plan
--
-- @include run
-- @include events
-- @include nodes
-- @include register_runs
-- @include shared
-- @include line
-- @include lost
-- @include schedule

local registered, at, is_new = register_runs()
if type(registered) == 'table' or registered == 0 then return registered end
local current
for i = at + 1, at + ARGV[at] * 4, 4 do
  local id, job, queue, work = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if is_new[id] then
    if id ~= current then
      current = id
      select_run(id)
      join_line(id)
      event('', 'queued')
    end
    redis.call('SADD', queues, queue)
    if redis.call('EXISTS', stream_of(queue)) == 0 then
      redis.call('XGROUP', 'CREATE', stream_of(queue), 'workers', '0', 'MKSTREAM')
    end
    local entry = redis.call('XADD', stream_of(queue), '*', 'job_id', job, 'cluster_id', id, 'node', find_node(job).node)
    redis.call('HSET', run .. '/queued', job, queue .. ' ' .. entry)
    redis.call('HSET', run .. '/jobs', job, work)
    keep(run .. '/queued')
    keep(run .. '/jobs')
  end
end
give_up_the_lost()
schedule()
return registered
