-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A node arrives at a barrier, or says again that it waits there; the last one releases it.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 job_id
--          2 barrier
--          3 who takes part, as JSON: ["nodes", name…] or ["roles", name…]; "" for all nodes
--          4 time-out in ms, "" for none
--          5 what is added to the lease that the one who waits holds, in ms; "" for no lease
--          6 number of this retry, "" for none
--          7 retries allowed, 0 for any number
--          8 "1" in check mode
--          9 "1" to be told who is missing
-- Answer   1 verdict: the barrier's name, "abort", or "" while it is waited for
--          2 reason of the abort, as JSON
--          3 position in the run's verdicts, after which to wait
--          4 how many nodes are missing
--          5 1 if the node was not there before
--          6 retries of this node so far
--          7 ms since it arrived
--          8 lease of the run in seconds
--          9 the node's name
--         10 the nodes that are missing, if that was asked: name, entry of `nodes`, name, entry, …
-- Errors   UNKNOWN  there is no such node job
--          PARTICIPANTS …  the barrier was opened for others, which follow as JSON, or "all"
--          NOBODY …        no node has this name or role
--          STRANGER        the node does not take part in it
--
-- @include vocabulary
-- @include time
-- @include run
-- @include events
-- @include nodes
-- @include begin
-- @include verdicts
-- @include leases
-- @include limits

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
