-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Aborts a run if a lease or a time-out has passed.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- Answer   the reason, as JSON, if the run was aborted, by this or before; "" if not
-- Errors   UNKNOWN  there is no such run
--
-- @include run
-- @include limits

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
judge()
return get('verdict') == 'abort' and get('reason') or ''
