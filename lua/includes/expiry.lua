-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- How long what belongs to a run is kept.
-- @include time
-- @include run

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
