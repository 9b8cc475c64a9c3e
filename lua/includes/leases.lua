-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The promises of nodes to be heard from again.
-- @include time
-- @include run

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
