# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# Written by "make lua" from lua/: change it there.

from __future__ import annotations

INCLUDES = {
    "run": """\
local cluster_state, id2cluster, runs, run = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local FIELDS = {'cluster_id', 'registration', 'lease', 'retention', 'run_timeout', 'events', 'last_job', 'started', 'heard',
  'position', 'verdict', 'reason', 'expires', 'closed', 'mode', 'priority', 'arrival'}
local fields = {}

local function load()
  for i, value in ipairs(redis.call('HMGET', run, unpack(FIELDS))) do fields[FIELDS[i]] = value or nil end
end

local function get(name)
  return fields[name]
end

local function set(...)
  redis.call('HSET', run, ...)
  for i = 1, select('#', ...), 2 do fields[select(i, ...)] = select(i + 1, ...) end
end

load()

local function keep(key)
  redis.call('PEXPIREAT', key, get('expires'))
end
""",
    "time": """\
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local DAY = 86400000

local function seconds(ms)
  return string.format('%d', math.floor(ms / 1000 + 0.5))
end
""",
    "expiry": """\
local function expire_shared(expires)
  for _, key in ipairs({cluster_state, id2cluster, runs}) do
    if redis.call('PTTL', key) < expires - now then redis.call('PEXPIREAT', key, expires) end
  end
end

local function keys_of_run(visit)
  for _, name in ipairs(redis.call('ZRANGE', run .. '/barriers', 0, -1)) do
    visit(run .. '/barrier/' .. name)
    visit(run .. '/arrived/' .. name)
    visit(run .. '/missing/' .. name)
  end
  for _, key in ipairs(redis.call('SMEMBERS', run .. '/keys')) do visit(run .. '/messages/' .. key) end
  for _, suffix in ipairs({'nodes', 'barriers', 'deadlines', 'leases', 'promises', 'events', 'keys', 'receiving',
    'queued', 'taken', 'jobs', 'given', 'held'}) do
    visit(run .. '/' .. suffix)
  end
end

local function expire_run()
  local expires = math.floor(now + get('retention') * 1000)
  set('expires', expires)
  local function visit(key) redis.call('PEXPIREAT', key, expires) end
  keys_of_run(visit)
  visit(run .. '/verdicts')
  visit(run)
  redis.call('ZADD', runs, expires, get('last_job'))
  expire_shared(expires)
end
""",
    "events": """\
local function event(node, what, data)
  redis.call('XADD', run .. '/events', 'MAXLEN', '~', get('events'), '*', 'node', node, 'what', what, 'data', data or '')
end
""",
    "vocabulary": """\
local RANK = {registered = 0, write_state = 1, start = 2, started = 3, ready = 4, finish = 5, abort = 6}
local CORE = {start = true, ready = true, finish = true}
""",
    "nodes": """\
local function find_node(job)
  local text = redis.call('HGET', cluster_state, job)
  local record = text and cjson.decode(text)
  if not record or record.cluster_id ~= get('cluster_id') then return nil end
  local head = string.match(text, '^(.*),"state":"[%a_]+","times":%b{}}$')
  return {job = job, node = record.node, head = head, state = record.state, times = record.times}
end

local function store_node(node)
  local tail = ',"state":"' .. node.state .. '","times":' .. cjson.encode(node.times) .. '}'
  redis.call('HSET', cluster_state, node.job, node.head .. tail)
end

local function advances(node, state)
  return RANK[state] > RANK[node.state]
end

local function set_state(node, state, data)
  if not advances(node, state) then return false end
  node.state = state
  node.times[state] = now / 1000
  store_node(node)
  event(node.node, state, data)
  return true
end
""",
    "verdicts": """\
-- An entry has one field, the barrier that is released or abort, as it is sent to every waiter.
local function announce(verdict, reason, ...)
  local id = redis.call('XADD', run .. '/verdicts', '*', verdict, reason)
  set('position', id, ...)
  keep(run .. '/verdicts')
end

local function end_run(verdict, reason)
  if not get('started') then set('started', now) end
  set('verdict', verdict, 'phase', verdict, 'reason', reason, 'finished', now)
  redis.call('DEL', run .. '/leases', run .. '/promises', run .. '/deadlines')
  expire_run()
end

local function abort_run(reason)
  if get('verdict') then return false end
  end_run('abort', reason)
  announce('abort', reason)
  local name = cjson.decode(reason).node
  local entry = type(name) == 'string' and redis.call('HGET', run .. '/nodes', name)
  local node = entry and find_node(cjson.decode(entry).job_id)
  if not node or not set_state(node, 'abort', reason) then event('', 'abort', reason) end
  return true
end
""",
    "begin": """\
local function begin()
  if not get('started') then
    set('started', now)
    local limit = get('run_timeout')
    if limit ~= '' then
      redis.call('ZADD', run .. '/deadlines', now + limit * 1000, '')
      keep(run .. '/deadlines')
    end
  end
  if get('expires') - now < get('retention') * 900 then expire_run() end
end
""",
    "leases": """\
-- A silence of every client, as when the server was stopped or cut off, says nothing about the nodes: leases are
-- moved on by its length.
local function forgive_silence()
  local heard = tonumber(get('heard') or now)
  set('heard', now)
  local silence = now - heard
  if silence <= get('lease') * 500 then return end
  for _, node in ipairs(redis.call('ZRANGE', run .. '/leases', 0, -1)) do
    redis.call('ZINCRBY', run .. '/leases', silence, node)
  end
end

local function renew_lease(node, ms, barrier)
  redis.call('ZADD', run .. '/leases', now + ms, node)
  redis.call('HSET', run .. '/promises', node, ms .. ' ' .. barrier)
  keep(run .. '/leases')
  keep(run .. '/promises')
end
""",
    "limits": """\
local function missing_text(barrier)
  local names = redis.call('SMEMBERS', run .. '/missing/' .. barrier)
  -- node-2 comes before node-10.
  local function key(name)
    return (string.gsub(name, '%d+', function(digits) return string.rep('0', 20 - #digits) .. digits end))
  end
  table.sort(names, function(one, other) return key(one) < key(other) end)
  local parts = {}
  for i = 1, math.min(#names, 20) do
    local roles = cjson.decode(redis.call('HGET', run .. '/nodes', names[i])).roles
    parts[i] = names[i] .. ' (' .. table.concat(roles, ' ') .. ')'
  end
  local text = table.concat(parts, ', ')
  if #names > 20 then text = text .. ' and ' .. (#names - 20) .. ' more' end
  return text .. ' did not arrive', #names == 1 and names[1] or nil
end

local function time_out(barrier, how)
  local text, only = missing_text(barrier)
  abort_run(cjson.encode({kind = 'timeout', node = only, text = 'barrier ' .. barrier .. ' timed out after ' .. how .. ': ' .. text}))
end

local function check_limits()
  while true do
    local lost = redis.call('ZRANGEBYSCORE', run .. '/leases', '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
    if not lost[1] then break end
    local promise = redis.call('HGET', run .. '/promises', lost[1])
    local promised, barrier = string.match(promise, '^(%S+) (.*)$')
    if barrier ~= '' and redis.call('HEXISTS', run .. '/barrier/' .. barrier, 'verdict') == 1 then
      redis.call('ZREM', run .. '/leases', lost[1])
      redis.call('HDEL', run .. '/promises', lost[1])
    elseif get('mode') == 'queue' and redis.call('HEXISTS', run .. '/barrier/start', 'verdict') == 0 then
      -- The worker's own lease decides: as long as no barrier has been passed, another worker can take its place.
      redis.call('ZREM', run .. '/leases', lost[1])
      redis.call('HDEL', run .. '/promises', lost[1])
    else
      local silent = seconds(now - lost[2] + promised)
      abort_run(cjson.encode({
        kind = 'lost', node = lost[1], text = 'node ' .. lost[1] .. ' not heard from for ' .. silent .. ' s'}))
      return
    end
  end
  local due = redis.call('ZRANGEBYSCORE', run .. '/deadlines', '-inf', now, 'LIMIT', 0, 1)[1]
  if due == '' then
    abort_run(cjson.encode({kind = 'timeout', text = 'the run did not end within ' .. get('run_timeout') .. ' s'}))
  elseif due then
    local since = redis.call('ZSCORE', run .. '/barriers', due)
    time_out(due, seconds(now - since) .. ' s')
  end
end

local function judge()
  if get('verdict') then return end
  forgive_silence()
  check_limits()
end
""",
    "purge": """\
local function purge()
  for _, last_job in ipairs(redis.call('ZRANGEBYSCORE', runs, '-inf', now, 'LIMIT', 0, 10)) do
    local id, last = string.match(last_job, '^(.*)%.(%d+)$')
    -- What is no run is nobody's, and in nobody's way.
    last = math.min(tonumber(last) or 0, 100000)
    for number = 1, last, 1000 do
      local jobs = {}
      for i = number, math.min(number + 999, last) do jobs[#jobs + 1] = id .. '.' .. i end
      redis.call('HDEL', cluster_state, unpack(jobs))
      redis.call('HDEL', id2cluster, unpack(jobs))
    end
    redis.call('ZREM', runs, last_job)
  end
end
""",
    "shared": """\
local prefix = KEYS[4]
local sched = string.sub(prefix, 1, -string.len('cluster/') - 1)
local line, reservations, holders = sched .. 'waiting', sched .. 'reservations', sched .. 'reservation_leases'
local releases, worker_leases, queues = sched .. 'releases', sched .. 'worker_leases', sched .. 'queues'

local function held(id) return prefix .. id .. '/held' end
local function stream_of(queue) return sched .. 'queue/' .. queue end
local function workers_of(queue) return sched .. 'queue/' .. queue .. '/workers' end
local function worker(machine) return sched .. 'worker/' .. machine end

local function select_run(id)
  run = prefix .. id
  load()
end
""",
    "queue_entries": """\
local function split_entry(text) return string.match(text, '^(%S+) (%S+) ?(%S*)$') end

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
""",
    "machines": """\
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
""",
    "line": """\
-- What is given back goes before all that waits, and a step of priority before any time of waiting.
local FRONT, STEP = 2 ^ 52, 2 ^ 42

-- A run leaves the line; what of it no worker has taken leaves the queues.
local function leave_line(id)
  if redis.call('EXISTS', prefix .. id) == 0 then end_all_entries(id) end
  local queued = redis.call('HGETALL', prefix .. id .. '/queued')
  for i = 1, #queued, 2 do
    local queue, entry = split_entry(queued[i + 1])
    end_entry(queue, entry)
  end
  redis.call('DEL', prefix .. id .. '/queued')
  if redis.call('ZREM', line, id) == 1 then announce_free('', id) end
end

-- First come, first served, among runs of the same priority, also when the line has been empty meanwhile.
local function join_line(id)
  if redis.call('ZSCORE', line, id) then return end
  local last = tonumber(redis.call('HGET', sched .. 'book', 'arrival') or 0)
  local arrival = math.max(now, last + 1)
  redis.call('HSET', sched .. 'book', 'arrival', string.format('%.0f', arrival))
  redis.call('ZADD', line, string.format('%.0f', arrival - tonumber(get('priority') or 0) * STEP), id)
  redis.call('HSET', prefix .. id, 'arrival', string.format('%.0f', arrival))
end
""",
    "node_jobs": """\
-- A worker that is gone before the run has begun gives its node job back, ahead of all runs that wait. As if it had never
-- been there: another machine may take it, with another address.
local function give_back(job, queue, entry, why)
  local id = get('cluster_id')
  local node = find_node(job)
  redis.call('HDEL', run .. '/taken', job)
  redis.call('XACK', stream_of(queue), 'workers', entry)
  redis.call('HSET', run .. '/queued', job, queue .. ' ' .. entry)
  keep(run .. '/queued')
  if redis.call('SREM', run .. '/arrived/start', node.node) == 1 then redis.call('SADD', run .. '/missing/start', node.node) end
  redis.call('HDEL', run .. '/barrier/start', 'at:' .. node.node, 'retries:' .. node.node)
  redis.call('ZREM', run .. '/leases', node.node)
  redis.call('HDEL', run .. '/promises', node.node)
  node.state, node.times = 'registered', {}
  store_node(node)
  redis.call('ZADD', line, string.format('%.0f', get('arrival') - FRONT), id)
  event(node.node, 'given_back', why)
end

local function end_job(job, what, data)
  local text = redis.call('HGET', run .. '/taken', job)
  if not text then return end
  local queue, entry = split_entry(text)
  end_entry(queue, entry)
  redis.call('HDEL', run .. '/taken', job)
  event(find_node(job).node, what, data)
end

-- How often a node job was given to a worker, and to which last.
local function times_given(job)
  local times, machine = string.match(redis.call('HGET', run .. '/given', job) or '0 ', '^(%d+) (%S*)$')
  return tonumber(times), machine
end
""",
    "workers": """\
-- So many workers may be gone with a node job before its run has begun; it may be what ends them.
local MAX_TRIES = 5

-- The worker of a machine holds nothing any more, and the machine is free.
local function free_worker(machine)
  local id, queue, entry = unpack(redis.call('HMGET', worker(machine), 'run', 'queue', 'entry'))
  if not id then return end
  redis.call('HDEL', worker(machine), 'run', 'job', 'entry')
  -- A run that was removed meanwhile has left this.
  if redis.call('EXISTS', prefix .. id) == 0 then end_entry(queue, entry) end
  free_machine(id, machine)
end

-- What a worker before this one has left on the machine is not handed in any more.
local function forget_left(machine, why)
  local id, job = unpack(redis.call('HMGET', worker(machine), 'left_run', 'left'))
  if not id then return end
  redis.call('HDEL', worker(machine), 'left_run', 'left')
  select_run(id)
  if get('cluster_id') then end_job(job, 'worker_lost', why) else end_all_entries(id) end
end

-- The worker of a machine does not go on with what it holds. With `later`, results may still be handed in; tells of what.
local function drop_job(machine, why, later)
  local left
  local id, job = unpack(redis.call('HMGET', worker(machine), 'run', 'job'))
  if id then select_run(id) end
  local text = id and redis.call('HGET', run .. '/taken', job)
  if text then
    local begun = get('verdict') or redis.call('HEXISTS', run .. '/barrier/start', 'verdict') == 1
    local tries = times_given(job)
    if begun or tries >= MAX_TRIES then
      local node = find_node(job).node
      local what = begun and why or tries .. ' workers were gone before the run had begun; the last: ' .. why
      abort_run(cjson.encode({kind = 'lost', node = node, text = node .. ': ' .. what}))
      set_state(find_node(job), 'abort', get('reason'))
      if later then left = {id, job} else end_job(job, 'worker_lost', why) end
    else
      local queue, entry = split_entry(text)
      give_back(job, queue, entry, why)
    end
  end
  free_worker(machine)
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
""",
    "lost": """\
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
""",
    "schedule": """\
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
""",
    "once": """\
local token = run .. '/sent/' .. ARGV[1]

local function answered_before()
  return redis.call('GET', token)
end

local function remember(answer)
  redis.call('SET', token, answer, 'PX', 600000)
end
""",
    "register_runs": """\
local function register_runs()
  purge()
  local prefix, count = run, tonumber(ARGV[1])
  local starts, at = {}, 2
  for i = 1, count do
    starts[i] = at
    local field_count = tonumber(ARGV[at + 3])
    local node_count = tonumber(ARGV[at + 4 + field_count])
    at = at + 5 + field_count + node_count * 4
  end
  local new, is_new = {}, {}
  for i = 1, count do
    local cluster_id = ARGV[starts[i]]
    run = prefix .. cluster_id
    load()
    local digest = get('registration')
    if digest and digest ~= ARGV[starts[i] + 1] then return redis.error_reply('TAKEN ' .. cluster_id), at end
    if not digest then
      new[#new + 1] = starts[i]
      is_new[cluster_id] = true
    end
  end
  for _, start in ipairs(new) do
    local cluster_id, retention = ARGV[start], ARGV[start + 2]
    local expires = math.floor(now + retention)
    run = prefix .. cluster_id
    local field_count = tonumber(ARGV[start + 3])
    redis.call('DEL', run .. '/verdicts')
    redis.call('HSET', run, 'registration', ARGV[start + 1], 'phase', 'registered', 'registered', now, 'position', '0-0',
      'expires', expires, unpack(ARGV, start + 4, start + 3 + field_count))
    local first = start + 5 + field_count
    local last = first + ARGV[start + 4 + field_count] * 4 - 1
    for chunk = first, last, 4000 do
      local names, nodes, ids, records = {}, {}, {}, {}
      for j = chunk, math.min(chunk + 3999, last), 4 do
        local k = #nodes
        names[#names + 1] = ARGV[j]
        nodes[k + 1], nodes[k + 2] = ARGV[j], ARGV[j + 2]
        ids[k + 1], ids[k + 2] = ARGV[j + 1], cluster_id
        records[k + 1], records[k + 2] = ARGV[j + 1], ARGV[j + 3]
      end
      redis.call('HSET', run .. '/nodes', unpack(nodes))
      redis.call('HSET', id2cluster, unpack(ids))
      redis.call('HSET', cluster_state, unpack(records))
      for barrier in pairs(CORE) do redis.call('SADD', run .. '/missing/' .. barrier, unpack(names)) end
    end
    for barrier in pairs(CORE) do
      redis.call('ZADD', run .. '/barriers', 0, barrier)
      redis.call('HSET', run .. '/barrier/' .. barrier, 'participants', 'all')
    end
    load()
    event('', 'registered')
    expire_run()
  end
  return #new, at, is_new
end
""",
}

# name → includes, code
COMMANDS = {
    "abort_run": (
        (
            "run",
            "time",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
        ),
        """\
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if ARGV[2] == '1' then return get('verdict') and 0 or 1 end
return abort_run(ARGV[1]) and 1 or 0
""",
    ),
    "arrive": (
        (
            "vocabulary",
            "time",
            "run",
            "events",
            "nodes",
            "expiry",
            "begin",
            "verdicts",
            "leases",
            "limits",
        ),
        """\
local node = find_node(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local barrier, participants, timeout, hold = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local retry, retries, dry = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1'
local tell_missing = ARGV[9] == '1'
local bar, missing, arrived = run .. '/barrier/' .. barrier, run .. '/missing/' .. barrier, run .. '/arrived/' .. barrier

local function missing_nodes()
  local found = {}
  local names = redis.call('SMEMBERS', missing)
  for first = 1, #names, 4000 do
    local last = math.min(first + 3999, #names)
    for i, entry in ipairs(redis.call('HMGET', run .. '/nodes', unpack(names, first, last))) do
      found[#found + 1] = names[first + i - 1]
      found[#found + 1] = entry
    end
  end
  return found
end

local function answer(verdict, reason, changed)
  local own = redis.call('HMGET', bar, 'retries:' .. node.node, 'at:' .. node.node)
  return {verdict, reason, get('position'), redis.call('SCARD', missing), changed and 1 or 0, own[1] or 0,
    own[2] and now - own[2] or 0, get('lease'), node.node, tell_missing and missing_nodes() or {}}
end

local function aborted()
  if not dry then set_state(find_node(node.job), 'abort', get('reason')) end
  return answer('abort', get('reason'), false)
end

local function open()
  local expected = {}
  local nodes = redis.call('HGETALL', run .. '/nodes')
  local wanted, by = {}, 'all'
  if participants ~= '' then
    local list = cjson.decode(participants)
    by = list[1]
    for i = 2, #list do wanted[list[i]] = 1 end
  end
  for i = 1, #nodes, 2 do
    local takes_part = by == 'all' or (by == 'nodes' and wanted[nodes[i]])
    if by == 'nodes' then wanted[nodes[i]] = nil end
    if by == 'roles' then
      for _, role in ipairs(cjson.decode(nodes[i + 1]).roles) do
        if wanted[role] then
          wanted[role] = 2
          takes_part = true
        end
      end
    end
    if takes_part then expected[#expected + 1] = nodes[i] end
  end
  for name, seen in pairs(wanted) do
    if seen == 1 then return name end
  end
  if dry then return nil end
  for i = 1, #expected, 4000 do redis.call('SADD', missing, unpack(expected, i, math.min(i + 3999, #expected))) end
  redis.call('ZADD', run .. '/barriers', 0, barrier)
  redis.call('HSET', bar, 'participants', participants == '' and 'all' or participants)
  keep(missing)
  keep(bar)
end

local known = redis.call('HMGET', bar, 'participants', 'verdict')
if known[1] and participants ~= '' and known[1] ~= participants then
  return redis.error_reply('PARTICIPANTS ' .. known[1])
end
local verdict = known[2] or get('verdict')
if verdict == 'abort' then return aborted() end
if verdict == 'finish' and not known[2] then
  return answer('abort', cjson.encode({text = 'the run finished before all had arrived at barrier ' .. barrier}), false)
end
if not known[1] then
  local unknown = open()
  if unknown then return redis.error_reply('NOBODY ' .. unknown) end
  if dry then return answer('', '', true) end
end
local expected = redis.call('SISMEMBER', missing, node.node) == 1
if not expected and redis.call('SISMEMBER', arrived, node.node) == 0 then return redis.error_reply('STRANGER') end
if known[2] then return answer(known[2], '', false) end
if dry then return answer('', '', expected) end

begin()
forgive_silence()
if hold ~= '' then
  local kept = redis.call('HGET', run .. '/promises', node.node)
  if not kept or string.match(kept, ' (.*)$') ~= '' then renew_lease(node.node, get('lease') * 1000 + hold, barrier) end
end
check_limits()
if get('verdict') then return aborted() end

if expected then
  redis.call('SREM', missing, node.node)
  redis.call('SADD', arrived, node.node)
  redis.call('HSET', bar, 'at:' .. node.node, now)
  if redis.call('ZSCORE', run .. '/barriers', barrier) == '0' then
    redis.call('ZADD', run .. '/barriers', now, barrier)
    keep(arrived)
  end
  if CORE[barrier] then set_state(node, barrier) end
  event(node.node, 'arrive', barrier)
end
if redis.call('EXISTS', missing) == 0 then
  redis.call('HSET', bar, 'verdict', barrier, 'released', now)
  redis.call('ZREM', run .. '/deadlines', barrier)
  event('', 'release', barrier)
  if barrier == 'finish' then end_run('finish', '') end
  if CORE[barrier] then announce(barrier, '', 'phase', barrier) else announce(barrier, '') end
  return {barrier, '', get('position'), 0, 1, 0, 0, get('lease'), node.node, {}}
end
if timeout ~= '' then
  local deadline = redis.call('ZSCORE', run .. '/deadlines', barrier)
  if not deadline or now + timeout < tonumber(deadline) then
    redis.call('ZADD', run .. '/deadlines', now + timeout, barrier)
    keep(run .. '/deadlines')
  end
end
if retry then
  redis.call('HSET', bar, 'retries:' .. node.node, retry)
  if retries > 0 and retry > retries then
    time_out(barrier, retries .. ' retries in ' .. seconds(now - redis.call('HGET', bar, 'at:' .. node.node)) .. ' s')
    return aborted()
  end
end
return answer('', '', expected)
""",
    ),
    "close_run": (
        (
            "time",
            "run",
            "expiry",
            "purge",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
        ),
        """\
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('closed') then return 0 end
set('closed', now)
abort_run(ARGV[1])
event('', 'closed')
expire_run()
purge()
return 1
""",
    ),
    "drop_lease": (
        ("run",),
        """\
redis.call('HDEL', run .. '/promises', ARGV[1])
return redis.call('ZREM', run .. '/leases', ARGV[1])
""",
    ),
    "finish_job": (
        (
            "run",
            "events",
            "vocabulary",
            "time",
            "nodes",
            "shared",
            "queue_entries",
            "machines",
            "line",
            "node_jobs",
            "expiry",
            "verdicts",
            "workers",
            "lost",
            "schedule",
        ),
        """\
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
""",
    ),
    "free_machine": (
        (
            "time",
            "run",
            "shared",
            "machines",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "queue_entries",
            "line",
            "node_jobs",
            "schedule",
        ),
        """\
local freed = free_machine(ARGV[1], ARGV[2])
if freed then schedule() end
return freed
""",
    ),
    "go_along_line": (
        (
            "time",
            "run",
            "shared",
            "machines",
            "queue_entries",
            "line",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "node_jobs",
            "workers",
            "lost",
            "schedule",
        ),
        """\
give_up_the_lost()
schedule()
""",
    ),
    "leave_line": (
        (
            "run",
            "shared",
            "time",
            "machines",
            "queue_entries",
            "line",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "node_jobs",
            "schedule",
        ),
        """\
leave_line(ARGV[1])
if redis.call('EXISTS', held(ARGV[1])) == 0 then redis.call('ZREM', holders, ARGV[1]) end
schedule()
""",
    ),
    "receiving": (
        (
            "time",
            "run",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "leases",
            "limits",
        ),
        """\
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
judge()
local since = run .. '/receiving'
if ARGV[2] == '1' then
  redis.call('HDEL', since, ARGV[1])
  return 0
end
redis.call('HSETNX', since, ARGV[1], now)
keep(since)
return now - redis.call('HGET', since, ARGV[1])
""",
    ),
    "record_event": (
        (
            "run",
            "events",
            "once",
        ),
        """\
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local sent = answered_before()
if sent then return sent end
event(ARGV[2], ARGV[3], ARGV[4])
remember('1')
return '1'
""",
    ),
    "register_runs": (
        (
            "vocabulary",
            "time",
            "run",
            "expiry",
            "events",
            "purge",
            "register_runs",
        ),
        """\
return (register_runs())
""",
    ),
    "register_worker": (
        (
            "time",
            "run",
            "shared",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "machines",
            "queue_entries",
            "line",
            "node_jobs",
            "workers",
            "lost",
            "schedule",
        ),
        """\
local machine, queue, token, host, lease, idle = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
give_up_the_lost()
local left
local known = redis.call('HMGET', worker(machine), 'token', 'host', 'since')
if known[1] and known[1] ~= token then
  if known[2] ~= host then return redis.error_reply('OCCUPIED ' .. known[2]) end
  left = drop_job(machine, 'the worker on ' .. machine .. ' was ended from outside', true)
  forget_worker(machine)
  known = {}
end
if not known[1] then
  redis.call('HSET', worker(machine), 'queue', queue, 'token', token, 'host', host, 'since', now, 'seen', now,
    'lease', lease)
  if left then redis.call('HSET', worker(machine), 'left_run', left[1], 'left', left[2]) end
end
redis.call('SADD', queues, queue)
redis.call('ZADD', worker_leases, now + lease, machine)
local job = redis.call('HGET', worker(machine), 'job')
if not job then redis.call('ZADD', workers_of(queue), idle and now or 0, machine) end
schedule()
local calls = redis.call('XREVRANGE', worker(machine) .. '/calls', '+', '-', 'COUNT', 1)
return {redis.call('HGET', worker(machine), 'job') or '', calls[1] and calls[1][1] or '0-0'}
""",
    ),
    "remove_run": (
        (
            "run",
            "time",
            "expiry",
            "purge",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "shared",
            "machines",
            "queue_entries",
            "line",
            "node_jobs",
            "schedule",
        ),
        """\
local id = ARGV[1]
select_run(id)
if not get('cluster_id') then return 0 end
if ARGV[3] == '1' then return 1 end
-- Deleting comes first: a Redis that is full lets a script that has begun to write go on, and one that adds not even begin.
redis.call('DEL', run .. '/receiving')
for _, job in ipairs(redis.call('HKEYS', run .. '/jobs')) do
  redis.call('DEL', sched .. 'files/result-' .. job .. '.tar.gz')
end
abort_run(ARGV[2])
leave_line(id)
redis.call('ZADD', runs, 0, get('last_job'))
keys_of_run(function(key) redis.call('DEL', key) end)
redis.call('DEL', run)
redis.call('PEXPIRE', run .. '/verdicts', 60000)
purge()
schedule()
return 1
""",
    ),
    "renew_leases": (
        (
            "run",
            "time",
            "leases",
        ),
        """\
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('verdict') then return 0 end
for i = 2, #ARGV do
  if redis.call('HEXISTS', run .. '/nodes', ARGV[i]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[i]) end
end
forgive_silence()
for i = 2, #ARGV do renew_lease(ARGV[i], ARGV[1], '') end
return #ARGV - 1
""",
    ),
    "renew_reservation": (
        (
            "time",
            "run",
            "shared",
            "machines",
            "queue_entries",
            "line",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "node_jobs",
            "workers",
            "lost",
        ),
        """\
forgive_silence_of_all()
if redis.call('ZSCORE', holders, ARGV[1]) then redis.call('ZADD', holders, now + ARGV[2], ARGV[1]) end
""",
    ),
    "renew_worker": (
        (
            "time",
            "run",
            "shared",
            "machines",
            "queue_entries",
            "line",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "node_jobs",
            "workers",
            "lost",
            "schedule",
        ),
        """\
local machine, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local known = redis.call('HMGET', worker(machine), 'token', 'job')
if known[1] ~= token then
  give_up_the_lost()
  return false
end
redis.call('ZADD', worker_leases, now + lease, machine)
redis.call('HSET', worker(machine), 'seen', now)
give_up_the_lost()
-- Whatever changes something goes along the line itself; what has not, such as the time of a run that is over, is seen so.
if now - tonumber(redis.call('HGET', sched .. 'book', 'walked') or 0) > 1000 and redis.call('EXISTS', line) == 1 then
  schedule()
end
return redis.call('HGET', worker(machine), 'job') or ''
""",
    ),
    "report": (
        (
            "run",
            "vocabulary",
            "time",
            "events",
            "nodes",
            "expiry",
            "begin",
            "verdicts",
        ),
        """\
local node = find_node(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local state, reason, dry = ARGV[2], ARGV[3], ARGV[4] == '1'
local verdict = get('verdict')
if verdict == 'finish' then return {0, verdict, ''} end
if verdict == 'abort' and reason == '' then state = 'abort' end
if dry then return {advances(node, state) and 1 or 0, verdict or '', get('reason') or ''} end
local changed
if state == 'abort' then
  changed = abort_run(reason)
  changed = set_state(find_node(node.job), 'abort', reason) or changed
else
  begin()
  changed = set_state(node, state)
end
return {changed and 1 or 0, get('verdict') or '', get('reason') or ''}
""",
    ),
    "reserve_machines": (
        (
            "time",
            "run",
            "shared",
            "machines",
            "queue_entries",
            "line",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "node_jobs",
            "workers",
            "lost",
            "schedule",
        ),
        """\
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
""",
    ),
    "send_message": (
        (
            "run",
            "events",
            "once",
        ),
        """\
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local sent = answered_before()
if sent then return sent end
if redis.call('HEXISTS', run .. '/nodes', ARGV[2]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[2]) end
local stream = run .. '/messages/' .. ARGV[3]
local id = redis.call('XADD', stream, 'MAXLEN', '~', ARGV[5], '*', 'node', ARGV[2], 'value', ARGV[4])
redis.call('SADD', run .. '/keys', ARGV[3])
keep(stream)
keep(run .. '/keys')
event(ARGV[2], 'send', ARGV[3])
remember(id)
return id
""",
    ),
    "submit": (
        (
            "run",
            "events",
            "vocabulary",
            "time",
            "nodes",
            "expiry",
            "purge",
            "register_runs",
            "shared",
            "machines",
            "queue_entries",
            "line",
            "verdicts",
            "node_jobs",
            "workers",
            "lost",
            "schedule",
        ),
        """\
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
""",
    ),
    "sweep": (
        (
            "run",
            "time",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "leases",
            "limits",
        ),
        """\
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
judge()
return get('verdict') == 'abort' and get('reason') or ''
""",
    ),
    "unregister_worker": (
        (
            "run",
            "shared",
            "time",
            "expiry",
            "events",
            "vocabulary",
            "nodes",
            "verdicts",
            "machines",
            "queue_entries",
            "line",
            "node_jobs",
            "workers",
            "lost",
            "schedule",
        ),
        """\
if redis.call('HGET', worker(ARGV[1]), 'token') ~= ARGV[2] then return end
drop_job(ARGV[1], 'the worker on ' .. ARGV[1] .. ' has left')
forget_worker(ARGV[1])
give_up_the_lost()
schedule()
""",
    ),
    "write_state": (
        (
            "run",
            "events",
            "vocabulary",
            "time",
            "nodes",
            "expiry",
            "begin",
        ),
        """\
local node = find_node(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local wrote = node.head ~= ARGV[2]
local changed = wrote or advances(node, 'write_state')
if not changed or ARGV[3] == '1' then return changed and 1 or 0 end
begin()
node.head = ARGV[2]
if not set_state(node, 'write_state', ARGV[2] .. '}') then
  store_node(node)
  event(node.node, 'write_state', ARGV[2] .. '}')
end
return 1
""",
    ),
}
