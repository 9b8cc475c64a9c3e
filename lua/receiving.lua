-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Since when a message is waited for in vain, over all slices of the wait.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 who waits for what: job_id:key:position
--          2 "1" when the wait is over
-- Answer   ms since it was first asked
-- Errors   UNKNOWN  there is no such run
--
-- @include time
-- @include run
-- @include limits

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
