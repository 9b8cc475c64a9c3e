-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

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
