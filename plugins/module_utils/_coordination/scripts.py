# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import hashlib
from dataclasses import dataclass

# Every change of a run is one of these scripts. KEYS are always the same four; the other keys of a run
# begin with the fourth. ARGV differs and is named at the top of each script.
PRELUDE = """
local cluster_state, id2cluster, runs, run = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local RANK = {registered = 0, write_state = 1, start = 2, started = 3, ready = 4, finish = 5, abort = 6}
local CORE = {start = true, ready = true, finish = true}

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

local function seconds(ms)
  return string.format('%d', math.floor(ms / 1000 + 0.5))
end

local function keep(key)
  redis.call('PEXPIREAT', key, get('expires'))
end

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

local function event(node, what, data)
  redis.call('XADD', run .. '/events', 'MAXLEN', '~', get('events'), '*', 'node', node, 'what', what, 'data', data or '')
end

local function identify(job)
  local text = redis.call('HGET', cluster_state, job)
  local record = text and cjson.decode(text)
  if not record or record.cluster_id ~= get('cluster_id') then return nil end
  local head = string.match(text, '^(.*),"state":"[%a_]+","times":%b{}}$')
  return {job = job, node = record.node, head = head, state = record.state, times = record.times}
end

local function store(node)
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
  store(node)
  event(node.node, state, data)
  return true
end

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
  local node = entry and identify(cjson.decode(entry).job_id)
  if not node or not set_state(node, 'abort', reason) then event('', 'abort', reason) end
  return true
end

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

local function promise(node, ms, barrier)
  redis.call('ZADD', run .. '/leases', now + ms, node)
  redis.call('HSET', run .. '/promises', node, ms .. ' ' .. barrier)
  keep(run .. '/leases')
  keep(run .. '/promises')
end

local function purge()
  for _, last_job in ipairs(redis.call('ZRANGEBYSCORE', runs, '-inf', now, 'LIMIT', 0, 10)) do
    local id, last = string.match(last_job, '^(.*)%.(%d+)$')
    for number = 1, tonumber(last), 1000 do
      local jobs = {}
      for i = number, math.min(number + 999, tonumber(last)) do jobs[#jobs + 1] = id .. '.' .. i end
      redis.call('HDEL', cluster_state, unpack(jobs))
      redis.call('HDEL', id2cluster, unpack(jobs))
    end
    redis.call('ZREM', runs, last_job)
  end
end
"""


@dataclass(frozen=True)
class Script:
    name: str
    text: str
    sha: str


def script(name: str, body: str) -> Script:
    text = PRELUDE + body
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def keys(prefix: str, cluster_id: str = "") -> list[str]:
    """KEYS of a script: of one run, or of all runs and what is shared by them."""
    return [f"{prefix}cluster_state", f"{prefix}id2cluster", f"{prefix}runs", f"{prefix}cluster/{cluster_id}"]


# The fourth key is what the keys of all runs begin with. Number of runs, then per run: cluster_id, digest of the
# registration, retention in ms, number of fields, fields and values, number of nodes, and per node: name, job_id,
# {job_id, roles}, record. Runs that are registered already stay as they are. Answers with the number of the others, where
# more arguments begin, and which the others are.
REGISTER_RUNS = """
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
"""

REGISTER = script("register", REGISTER_RUNS + "return (register_runs())")

# job_id, the new head of the record, dry
WRITE_STATE = script(
    "write_state",
    """
local node = identify(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local wrote = node.head ~= ARGV[2]
local changed = wrote or advances(node, 'write_state')
if not changed or ARGV[3] == '1' then return changed and 1 or 0 end
begin()
node.head = ARGV[2]
if not set_state(node, 'write_state', ARGV[2] .. '}') then
  store(node)
  event(node.node, 'write_state', ARGV[2] .. '}')
end
return 1
""",
)

# job_id, state: started | finish | abort, reason, dry
REPORT = script(
    "report",
    """
local node = identify(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local state, reason, dry = ARGV[2], ARGV[3], ARGV[4] == '1'
local verdict = get('verdict')
if verdict == 'finish' then return {0, verdict, ''} end
if verdict == 'abort' and reason == '' then state = 'abort' end
if dry then return {advances(node, state) and 1 or 0, verdict or '', get('reason') or ''} end
local changed
if state == 'abort' then
  changed = abort_run(reason)
  changed = set_state(identify(node.job), 'abort', reason) or changed
else
  begin()
  changed = set_state(node, state)
end
return {changed and 1 or 0, get('verdict') or '', get('reason') or ''}
""",
)

# reason, dry
ABORT = script(
    "abort",
    """
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if ARGV[2] == '1' then return get('verdict') and 0 or 1 end
return abort_run(ARGV[1]) and 1 or 0
""",
)

# job_id, barrier, participants as JSON: ["nodes"|"roles", names…] or '', timeout in ms or '', pause in ms that a waiter
# adds to the lease or '' for no lease, number of this retry or '', retries allowed, dry
ARRIVE = script(
    "arrive",
    """
local node = identify(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local barrier, participants, timeout, hold = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local retry, retries, dry = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1'
local bar, missing, arrived = run .. '/barrier/' .. barrier, run .. '/missing/' .. barrier, run .. '/arrived/' .. barrier

local function answer(verdict, reason, changed)
  local own = redis.call('HMGET', bar, 'retries:' .. node.node, 'at:' .. node.node)
  return {verdict, reason, get('position'), redis.call('SCARD', missing), changed and 1 or 0, own[1] or 0,
    own[2] and now - own[2] or 0, get('lease')}
end

local function aborted()
  if not dry then set_state(identify(node.job), 'abort', get('reason')) end
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
  if not kept or string.match(kept, ' (.*)$') ~= '' then promise(node.node, get('lease') * 1000 + hold, barrier) end
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
  return {barrier, '', get('position'), 0, 1, 0, 0, get('lease')}
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
)

# seconds in ms, nodes…
RENEW = script(
    "renew",
    """
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('verdict') then return 0 end
for i = 2, #ARGV do
  if redis.call('HEXISTS', run .. '/nodes', ARGV[i]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[i]) end
end
forgive_silence()
for i = 2, #ARGV do promise(ARGV[i], ARGV[1], '') end
return #ARGV - 1
""",
)

# node
RELEASE_LEASE = script(
    "release_lease",
    """
redis.call('HDEL', run .. '/promises', ARGV[1])
return redis.call('ZREM', run .. '/leases', ARGV[1])
""",
)

SWEEP = script(
    "sweep",
    """
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
judge()
return get('verdict') == 'abort' and get('reason') or ''
""",
)

_ONCE = """
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local token = run .. '/sent/' .. ARGV[1]
local sent = redis.call('GET', token)
if sent then return sent end
"""

# token, node, what, data
EVENT = script(
    "event",
    _ONCE
    + """
event(ARGV[2], ARGV[3], ARGV[4])
redis.call('SET', token, '1', 'PX', 600000)
return '1'
""",
)

# token, node, key, value, messages kept
SEND = script(
    "send",
    _ONCE
    + """
if redis.call('HEXISTS', run .. '/nodes', ARGV[2]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[2]) end
local stream = run .. '/messages/' .. ARGV[3]
local id = redis.call('XADD', stream, 'MAXLEN', '~', ARGV[5], '*', 'node', ARGV[2], 'value', ARGV[4])
redis.call('SADD', run .. '/keys', ARGV[3])
keep(stream)
keep(run .. '/keys')
event(ARGV[2], 'send', ARGV[3])
redis.call('SET', token, id, 'PX', 600000)
return id
""",
)

# what is received (node:key:position), whether the wait for it is over
RECEIVING = script(
    "receiving",
    """
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
)

# reason for those who still wait
CLOSE = script(
    "close",
    """
if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('closed') then return 0 end
set('closed', now)
abort_run(ARGV[1])
event('', 'closed')
expire_run()
purge()
return 1
""",
)
