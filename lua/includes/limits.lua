-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What a run is aborted for: a lease that has run out, a barrier or the run itself that takes too long.
-- @include time
-- @include run
-- @include verdicts
-- @include leases

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
