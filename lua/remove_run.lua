-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Forgets a run. What its nodes wait on stays for a minute, so that the reason reaches them.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 run
--          2 reason for those who still wait, as JSON
--          3 "1" in check mode
-- Answer   1, or 0 if there is no such run
--
-- @include run
-- @include expiry
-- @include purge
-- @include verdicts
-- @include shared
-- @include line
-- @include schedule

local id = ARGV[1]
select_run(id)
if not get('cluster_id') then return 0 end
if ARGV[3] == '1' then return 1 end
-- Deleting comes first: a Redis that is full lets a script that has begun to write go on, and one that adds not even begin.
redis.call('DEL', run .. '/receiving')
for _, job in ipairs(redis.call('HKEYS', run .. '/jobs')) do
  redis.call('DEL', sched .. 'files/result-' .. job .. '.tar.gz')
end
abort_run(ARGV[2])
leave_line(id)
redis.call('ZADD', runs, 0, get('last_job'))
keys_of_run(function(key) redis.call('DEL', key) end)
redis.call('DEL', run)
redis.call('PEXPIRE', run .. '/verdicts', 60000)
purge()
schedule()
return 1
