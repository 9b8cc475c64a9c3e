-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Aborts a run from outside, unless it has its verdict.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 the reason, as JSON
--          2 "1" in check mode
-- Answer   1 if it was aborted by this, 0 if it was over
-- Errors   UNKNOWN  there is no such run
--
-- @include run
-- @include verdicts

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if ARGV[2] == '1' then return get('verdict') and 0 or 1 end
return abort_run(ARGV[1]) and 1 or 0
