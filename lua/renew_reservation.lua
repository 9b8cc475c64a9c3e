-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The controller of a run is alive; without a reservation or a place in the line it does nothing.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 run
--          2 lease in ms
-- Answer   nothing
--
-- @include time
-- @include shared
-- @include lost

forgive_silence_of_all()
if redis.call('ZSCORE', holders, ARGV[1]) then redis.call('ZADD', holders, now + ARGV[2], ARGV[1]) end
