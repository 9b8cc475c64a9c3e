-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A run waits no longer for machines.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 run
-- Answer   nothing
--
-- @include shared
-- @include line
-- @include schedule

leave_line(ARGV[1])
if redis.call('EXISTS', held(ARGV[1])) == 0 then redis.call('ZREM', holders, ARGV[1]) end
schedule()
