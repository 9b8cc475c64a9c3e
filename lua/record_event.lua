-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Records an event of a run.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 token, the same when this is repeated
--          2 node, "" for the run
--          3 name of the event
--          4 what there is to say of it, as JSON, or ""
-- Answer   "1"
-- Errors   UNKNOWN  there is no such run
--
-- @include run
-- @include events
-- @include once

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local sent = answered_before()
if sent then return sent end
event(ARGV[2], ARGV[3], ARGV[4])
remember('1')
return '1'
