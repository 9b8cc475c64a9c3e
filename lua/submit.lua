-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The arguments of registering, then: number of node jobs, and of each: run, job_id, queue, what the worker is to do.
-- @include prelude
-- @include scheduler
-- @include register_runs

local registered, at, is_new = register_runs()
if type(registered) == 'table' or registered == 0 then return registered end
local current
for i = at + 1, at + ARGV[at] * 4, 4 do
  local id, job, queue, work = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if is_new[id] then
    if id ~= current then
      current = id
      turn_to(id)
      stand_in_line(id)
      event('', 'queued')
    end
    redis.call('SADD', queues, queue)
    if redis.call('EXISTS', stream_of(queue)) == 0 then
      redis.call('XGROUP', 'CREATE', stream_of(queue), 'workers', '0', 'MKSTREAM')
    end
    local entry = redis.call('XADD', stream_of(queue), '*', 'job_id', job, 'cluster_id', id, 'node', identify(job).node)
    redis.call('HSET', run .. '/queued', job, queue .. ' ' .. entry)
    redis.call('HSET', run .. '/jobs', job, work)
    keep(run .. '/queued')
    keep(run .. '/jobs')
  end
end
forget_the_dead()
schedule()
return registered
