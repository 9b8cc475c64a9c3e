-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Which run gets which machines, and when: one line for the runs of controllers and of workers.
--
-- Runs stand in one line, by priority and then in the order of their arrival. A run gets all of its machines in one step or
-- none, and while it waits it keeps those that are free for it from the runs behind it. Two runs can therefore never hold
-- half of each other's machines, and none waits for ever. A run of a controller needs machines by their names; a run of
-- workers needs, for each node job, a worker that is idle on its queue.
--
-- @include time
-- @include expiry
-- @include verdicts
-- @include machines
-- @include line
-- @include node_jobs

local function by_number(first, second)
  return tonumber(string.match(first.job, '(%d+)$')) < tonumber(string.match(second.job, '(%d+)$'))
end

local function wanted_jobs(id)
  local jobs, need = {}, {}
  local queued = redis.call('HGETALL', prefix .. id .. '/queued')
  for i = 1, #queued, 2 do
    local queue, entry = split_entry(queued[i + 1])
    jobs[#jobs + 1] = {job = queued[i], queue = queue, entry = entry}
    need[queue] = (need[queue] or 0) + 1
  end
  table.sort(jobs, by_number)
  return jobs, need
end

-- What has been looked up on the way along the line.
local function new_walk()
  return {ahead = {}, idle = {}, there = {}}
end

-- The queues of a run that have too few workers, busy ones counted.
local function lacking_queues(need, walk)
  local lacking = {}
  for queue, number in pairs(need) do
    local there = walk.there[queue] or redis.call('ZCARD', workers_of(queue))
    walk.there[queue] = there
    if there < number then lacking[#lacking + 1] = {queue = queue, number = number, there = there} end
  end
  table.sort(lacking, function(first, second) return first.queue < second.queue end)
  return lacking
end

local function lacking_text(lacking)
  local parts = {}
  for i, each in ipairs(lacking) do
    local there = each.there == 0 and 'has no worker' or 'has ' .. each.there .. ' of the ' .. each.number .. ' workers that it takes'
    parts[i] = 'queue ' .. each.queue .. ' ' .. there
  end
  return table.concat(parts, ', ')
end

-- Whether a run has to go on waiting for its workers to be there at all; it gives up for all of its nodes in the end.
local function lacks_workers(id, need, since, patience, walk)
  local lacking = lacking_queues(need, walk)
  if #lacking == 0 then
    if since then redis.call('HDEL', prefix .. id, 'lacking') end
    return false
  end
  if not since then redis.call('HSET', prefix .. id, 'lacking', now) end
  local silent = now - (since or now)
  if silent >= patience * 1000 then
    select_run(id)
    abort_run(cjson.encode({kind = 'timeout', text = lacking_text(lacking) .. ', for ' .. seconds(silent) .. ' s'}))
    leave_line(id)
  end
  return true
end

local function give(id, job, machine)
  hold_machine(id, machine)
  redis.call('HDEL', run .. '/queued', job.job)
  redis.call('HSET', run .. '/taken', job.job, job.queue .. ' ' .. job.entry .. ' ' .. machine)
  keep(run .. '/taken')
  redis.call('HSET', run .. '/given', job.job, times_given(job.job) + 1 .. ' ' .. machine)
  keep(run .. '/given')
  redis.call('XCLAIM', stream_of(job.queue), 'workers', machine, 0, job.entry, 'FORCE', 'JUSTID')
  redis.call('HSET', worker(machine), 'run', id, 'job', job.job, 'entry', job.entry, 'given', now)
  redis.call('ZADD', workers_of(job.queue), 0, machine)
  redis.call('XADD', worker(machine) .. '/calls', 'MAXLEN', 1, '*', 'job', job.job)
  redis.call('PEXPIRE', worker(machine) .. '/calls', DAY)
  event(find_node(job.job).node, 'taken', machine)
end

-- Give a run all the workers that it waits for, or keep those that are idle from the runs behind it.
local function place(id, lacking, patience, walk)
  local jobs, need = wanted_jobs(id)
  if lacks_workers(id, need, lacking, patience, walk) then return end
  local chosen, mine, complete = {}, {}, true
  for i, job in ipairs(jobs) do
    local queue = job.queue
    walk.idle[queue] = walk.idle[queue] or redis.call('ZRANGEBYSCORE', workers_of(queue), '(0', '+inf')
    for _, machine in ipairs(walk.idle[queue]) do
      if not walk.ahead[machine] and not mine[machine] and redis.call('HEXISTS', reservations, machine) == 0 then
        chosen[i], mine[machine] = machine, true
        break
      end
    end
    complete = complete and chosen[i] ~= nil
  end
  for machine in pairs(mine) do walk.ahead[machine] = id end
  if not complete then return end
  select_run(id)
  for i, job in ipairs(jobs) do give(id, job, chosen[i]) end
  redis.call('ZREM', line, id)
end

-- A run that waits stays, and with it the scripts that its workers will fetch through Redis.
local function keep_waiting()
  expire_run()
  local works = redis.call('HGETALL', run .. '/jobs')
  for i = 2, #works, 2 do
    local trees = cjson.decode(works[i]).trees
    for _, checksum in pairs(type(trees) == 'table' and trees or {}) do
      local tree = sched .. 'files/tree-' .. checksum .. '.tar.gz'
      if redis.call('PTTL', tree) < get('expires') - now then redis.call('PEXPIREAT', tree, get('expires')) end
    end
  end
end

-- Go along the line, up to a controller's run if one is given; tells what the runs before it keep.
local function schedule(up_to)
  local walk = new_walk()
  redis.call('HSET', sched .. 'book', 'walked', now)
  for _, id in ipairs(redis.call('ZRANGE', line, 0, -1)) do
    if id == up_to then break end
    local mode, verdict, lacking, patience, expires, retention = unpack(
      redis.call('HMGET', prefix .. id, 'mode', 'verdict', 'lacking', 'queue_timeout', 'expires', 'retention'))
    if verdict or not expires then
      leave_line(id)
    elseif mode == 'queue' then
      if expires - now < retention * 900 then
        select_run(id)
        keep_waiting()
      end
      place(id, lacking, patience, walk)
    else
      for _, machine in ipairs(machines_of(id)) do walk.ahead[machine] = walk.ahead[machine] or id end
    end
  end
  return walk.ahead
end
