-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- job_id, barrier, participants as JSON: ["nodes"|"roles", names…] or '', timeout in ms or '', pause in ms that a waiter
-- adds to the lease or '' for no lease, number of this retry or '', retries allowed, dry
-- @include prelude

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
