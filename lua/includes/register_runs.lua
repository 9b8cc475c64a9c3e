-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The runs of a submission are registered, all or none; those that are registered already stay as they are.
-- ARGV     1 number of runs, and of each
--          2 cluster_id
--          3 digest of the registration
--          4 retention in ms
--          5 number of fields and values
--          6… field, value, field, value, …
--          number of nodes, and of each: name, job_id, {job_id, roles} as JSON, record as JSON
-- register_runs answers with the number of new runs or an error, where more arguments begin, and the set of new runs.
--
-- @include vocabulary
-- @include time
-- @include run
-- @include expiry
-- @include events
-- @include purge

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
