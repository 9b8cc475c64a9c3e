# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Which run gets which machines, and when: one line for the runs of controllers and of workers, kept in Redis.

Runs stand in one line, by priority and then in the order of their coming. A run gets all of its machines in one step or
none, and while it waits it keeps those that are free for it from the runs behind it. Two runs can therefore never hold
half of each other's machines, and none waits for ever. A run of a controller needs machines by their names; a run of
workers needs, for each node job, a worker that is idle on its queue. What is here is Lua: each change is one script.
"""

from __future__ import annotations

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.scripts import REGISTER_RUNS, Script, script

MAX_PRIORITY = 100
# So many workers may be gone with a node job before its run has begun; it may be what ends them.
MAX_TRIES = 5

# KEYS are those of all scripts, with what the keys of runs begin with as the fourth.
#
# Of a run: `queued`, node job → "queue entry" of those that wait; `taken`, node job → "queue entry machine" of those that
# workers hold; `jobs`, node job → what the worker is to do; `given`, node job → "how often machine", as it was given to
# workers so far, last to that one; `held`, machine → since when.
# Of a queue: the stream of its node jobs, and its workers by machine, with the moment since which they are idle, or 0.
SCHEDULER = (
    f"""
local MAX_TRIES = {MAX_TRIES}
"""
    """
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
"""
)


def _script(name: str, body: str) -> Script:
    return script(f"scheduler:{name}", SCHEDULER + body)


# Controllers

# run, lease in ms
RESERVE = _script(
    "reserve",
    """
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
""",
)

# run, machine
RELEASE = _script(
    "release",
    """
local freed = free(ARGV[1], ARGV[2])
if freed then schedule() end
return freed
""",
)

# run
WITHDRAW = _script(
    "withdraw",
    """
leave_line(ARGV[1])
if redis.call('EXISTS', held(ARGV[1])) == 0 then redis.call('ZREM', holders, ARGV[1]) end
schedule()
""",
)

# run, lease in ms
RENEW = _script(
    "renew",
    """
forgive_everybodys_silence()
if redis.call('ZSCORE', holders, ARGV[1]) then redis.call('ZADD', holders, now + ARGV[2], ARGV[1]) end
""",
)

# Queues

# The arguments of registering, then: number of node jobs, and of each: run, job_id, queue, what the worker is to do.
SUBMIT = _script(
    "submit",
    REGISTER_RUNS
    + """
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
""",
)

# machine, queue, token, where it runs, lease in ms, whether it wants a node job. One that comes from the same place takes
# over: what the one before it has held is given back or aborted.
WORKER_COMES = _script(
    "worker_comes",
    """
local machine, queue, token, host, lease, idle = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
forget_the_dead()
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
)

# machine, token, lease in ms; answers with the node job that it has been given, false when it is not a worker any more
WORKER_RENEWS = _script(
    "worker_renews",
    """
local machine, token, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local known = redis.call('HMGET', worker(machine), 'token', 'job')
if known[1] ~= token then
  forget_the_dead()
  return false
end
redis.call('ZADD', worker_leases, now + lease, machine)
redis.call('HSET', worker(machine), 'seen', now)
forget_the_dead()
-- Whatever changes something goes along the line itself; what has not, such as the time of a run that is over, is seen so.
if now - tonumber(redis.call('HGET', sched .. 'book', 'walked') or 0) > 1000 and redis.call('EXISTS', line) == 1 then
  schedule()
end
return redis.call('HGET', worker(machine), 'job') or ''
""",
)

# machine, token, job_id: its part is over and its results are handed in. The machine is free, and its worker comes back
# for the next node job.
WORKER_DONE = _script(
    "worker_done",
    """
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
""",
)

# machine, token
WORKER_LEAVES = _script(
    "worker_leaves",
    """
if redis.call('HGET', worker(ARGV[1]), 'token') ~= ARGV[2] then return end
drop_job(ARGV[1], 'the worker on ' .. ARGV[1] .. ' has left')
forget_worker(ARGV[1])
forget_the_dead()
schedule()
""",
)

# run, reason for those who still wait, dry. What they block on stays a minute longer, so that it reaches them.
REMOVE = _script(
    "remove",
    """
local id = ARGV[1]
turn_to(id)
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
)

# Look for what has died, and go along the line.
TURN = _script("turn", "forget_the_dead() schedule()")
