-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A node need not be heard from any more.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 node
-- Answer   1, or 0 if it had no lease
--
-- @include run

redis.call('HDEL', run .. '/promises', ARGV[1])
return redis.call('ZREM', run .. '/leases', ARGV[1])
