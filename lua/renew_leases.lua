-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Nodes promise to be heard from again.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 within so many ms
--          2… nodes
-- Answer   how many nodes, 0 if the run is over
-- Errors   UNKNOWN  there is no such run
--          NOBODY …  the run has no such node
--
-- @include run
-- @include leases

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('verdict') then return 0 end
for i = 2, #ARGV do
  if redis.call('HEXISTS', run .. '/nodes', ARGV[i]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[i]) end
end
forgive_silence()
for i = 2, #ARGV do renew_lease(ARGV[i], ARGV[1], '') end
return #ARGV - 1
