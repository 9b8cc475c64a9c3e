-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A machine is clean, and free for the next run.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 run
--          2 machine
-- Answer   1, or nothing if the run does not hold it
--
-- @include machines
-- @include schedule

local freed = free_machine(ARGV[1], ARGV[2])
if freed then schedule() end
return freed
