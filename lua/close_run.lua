-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A run is over and its nodes are clean: from now on counts how long it is kept.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 reason for those who still wait, as JSON
-- Answer   1, or 0 if it was closed before
-- Errors   UNKNOWN  there is no such run
--
-- @include time
-- @include run
-- @include expiry
-- @include purge
-- @include events
-- @include verdicts

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('closed') then return 0 end
set('closed', now)
abort_run(ARGV[1])
event('', 'closed')
expire_run()
purge()
return 1
