-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What is shared by all runs is rid of those that have expired.
-- @include time
-- @include run

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
