-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

local MAX_TRIES = 5

local prefix = KEYS[4]
local sched = string.sub(prefix, 1, -string.len('cluster/') - 1)
local line, reservations, holders = sched .. 'waiting', sched .. 'reservations', sched .. 'reservation_leases'
local releases, worker_leases, queues = sched .. 'releases', sched .. 'worker_leases', sched .. 'queues'
local DAY, FRONT, STEP = 86400000, 2 ^ 52, 2 ^ 42

local function held(id) return prefix .. id .. '/held' end
local function stream_of(queue) return sched .. 'queue/' .. queue end
local function workers_of(queue) return sched .. 'queue/' .. queue .. '/workers' end
local function worker(machine) return sched .. 'worker/' .. machine end

local function turn_to(id)
  run = prefix .. id
  load()
end

local function announce_release(machine, id)
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

local function free(id, machine)
  redis.call('HDEL', held(id), machine)
  if redis.call('HGET', reservations, machine) ~= id then return false end
  redis.call('HDEL', reservations, machine)
  if holds_none(id) then redis.call('ZREM', holders, id) end
  announce_release(machine, id)
  return true
end

local function seize(id, machine)
  redis.call('HSET', reservations, machine, id)
  redis.call('HSET', held(id), machine, now)
  redis.call('PEXPIREAT', held(id), get('expires'))
end

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

local function split_entry(text) return string.match(text, '^(%S+) (%S+) ?(%S*)$') end

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

-- A run leaves the line; what of it no worker has taken leaves the queues.
local function leave_line(id)
  if redis.call('EXISTS', prefix .. id) == 0 then end_all_entries(id) end
  local queued = redis.call('HGETALL', prefix .. id .. '/queued')
  for i = 1, #queued, 2 do
    local queue, entry = split_entry(queued[i + 1])
    end_entry(queue, entry)
  end
  redis.call('DEL', prefix .. id .. '/queued')
  if redis.call('ZREM', line, id) == 1 then announce_release('', id) end
end

-- First come, first served, among runs of the same priority, also when the line has been empty meanwhile.
local function stand_in_line(id)
  if redis.call('ZSCORE', line, id) then return end
  local last = tonumber(redis.call('HGET', sched .. 'book', 'arrival') or 0)
  local arrival = math.max(now, last + 1)
  redis.call('HSET', sched .. 'book', 'arrival', string.format('%.0f', arrival))
  redis.call('ZADD', line, string.format('%.0f', arrival - tonumber(get('priority') or 0) * STEP), id)
  redis.call('HSET', prefix .. id, 'arrival', string.format('%.0f', arrival))
end

-- A worker that is gone before the run has begun gives its node job back, ahead of all runs that wait. As if it had never
-- been there: another machine may take it, with another address.
local function give_back(job, queue, entry, why)
  local id = get('cluster_id')
  local node = identify(job)
  redis.call('HDEL', run .. '/taken', job)
  redis.call('XACK', stream_of(queue), 'workers', entry)
  redis.call('HSET', run .. '/queued', job, queue .. ' ' .. entry)
  keep(run .. '/queued')
  if redis.call('SREM', run .. '/arrived/start', node.node) == 1 then redis.call('SADD', run .. '/missing/start', node.node) end
  redis.call('HDEL', run .. '/barrier/start', 'at:' .. node.node, 'retries:' .. node.node)
  redis.call('ZREM', run .. '/leases', node.node)
  redis.call('HDEL', run .. '/promises', node.node)
  node.state, node.times = 'registered', {}
  store(node)
  redis.call('ZADD', line, string.format('%.0f', get('arrival') - FRONT), id)
  event(node.node, 'given_back', why)
end

local function end_job(job, what, data)
  local text = redis.call('HGET', run .. '/taken', job)
  if not text then return end
  local queue, entry = split_entry(text)
  end_entry(queue, entry)
  redis.call('HDEL', run .. '/taken', job)
  event(identify(job).node, what, data)
end

-- The worker of a machine holds nothing any more, and the machine is free.
local function let_go(machine)
  local id, queue, entry = unpack(redis.call('HMGET', worker(machine), 'run', 'queue', 'entry'))
  if not id then return end
  redis.call('HDEL', worker(machine), 'run', 'job', 'entry')
  -- A run that was removed meanwhile has left this.
  if redis.call('EXISTS', prefix .. id) == 0 then end_entry(queue, entry) end
  free(id, machine)
end

-- What a worker before this one has left on the machine is not handed in any more.
local function forget_left(machine, why)
  local id, job = unpack(redis.call('HMGET', worker(machine), 'left_run', 'left'))
  if not id then return end
  redis.call('HDEL', worker(machine), 'left_run', 'left')
  turn_to(id)
  if get('cluster_id') then end_job(job, 'worker_lost', why) else end_all_entries(id) end
end

-- How often a node job was given to a worker, and to which last.
local function times_given(job)
  local times, machine = string.match(redis.call('HGET', run .. '/given', job) or '0 ', '^(%d+) (%S*)$')
  return tonumber(times), machine
end

-- The worker of a machine does not go on with what it holds. With `later`, results may still be handed in; tells of what.
local function drop_job(machine, why, later)
  local left
  local id, job = unpack(redis.call('HMGET', worker(machine), 'run', 'job'))
  if id then turn_to(id) end
  local text = id and redis.call('HGET', run .. '/taken', job)
  if text then
    local begun = get('verdict') or redis.call('HEXISTS', run .. '/barrier/start', 'verdict') == 1
    local tries = times_given(job)
    if begun or tries >= MAX_TRIES then
      local node = identify(job).node
      local what = begun and why or tries .. ' workers were gone before the run had begun; the last: ' .. why
      abort_run(cjson.encode({kind = 'lost', node = node, text = node .. ': ' .. what}))
      set_state(identify(job), 'abort', get('reason'))
      if later then left = {id, job} else end_job(job, 'worker_lost', why) end
    else
      local queue, entry = split_entry(text)
      give_back(job, queue, entry, why)
    end
  end
  let_go(machine)
  return left
end

local function forget_worker(machine)
  forget_left(machine, 'its worker is gone')
  local queue = redis.call('HGET', worker(machine), 'queue')
  redis.call('DEL', worker(machine))
  redis.call('ZREM', worker_leases, machine)
  if queue then
    redis.call('ZREM', workers_of(queue), machine)
    forget_queue(queue)
  end
end

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
local function forgive_everybodys_silence()
  local silence = now - tonumber(redis.call('HGET', sched .. 'book', 'heard') or now)
  redis.call('HSET', sched .. 'book', 'heard', now)
  redis.call('PEXPIRE', sched .. 'book', 7 * DAY)
  if silence <= 15000 or silence <= longest_lease() / 2 then return end
  for _, leases in ipairs({holders, worker_leases}) do
    for _, name in ipairs(redis.call('ZRANGE', leases, 0, -1)) do redis.call('ZINCRBY', leases, silence, name) end
  end
end

local function forget_the_dead()
  forgive_everybodys_silence()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', holders, '-inf', now)) do
    for _, machine in ipairs(machines_held_by(id)) do free(id, machine) end
    leave_line(id)
    redis.call('ZREM', holders, id)
  end
  for _, machine in ipairs(redis.call('ZRANGEBYSCORE', worker_leases, '-inf', now)) do
    local seen = redis.call('HGET', worker(machine), 'seen') or now
    drop_job(machine, 'the worker on ' .. machine .. ' was not heard from for ' .. seconds(now - seen) .. ' s')
    forget_worker(machine)
  end
end

local function machines_of(id)
  local names = {}
  for name in string.gmatch(redis.call('HGET', prefix .. id, 'nodes') or '', '%S+') do
    -- Every controller is localhost to itself.
    if name ~= 'localhost' then names[#names + 1] = name end
  end
  return names
end

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
    turn_to(id)
    abort_run(cjson.encode({kind = 'timeout', text = lacking_text(lacking) .. ', for ' .. seconds(silent) .. ' s'}))
    leave_line(id)
  end
  return true
end

local function give(id, job, machine)
  seize(id, machine)
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
  event(identify(job.job).node, 'taken', machine)
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
  turn_to(id)
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
        turn_to(id)
        keep_waiting()
      end
      place(id, lacking, patience, walk)
    else
      for _, machine in ipairs(machines_of(id)) do walk.ahead[machine] = walk.ahead[machine] or id end
    end
  end
  return walk.ahead
end
