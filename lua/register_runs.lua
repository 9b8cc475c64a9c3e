-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Registers the runs of a submission in one step, unless they are registered already.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     those of includes/register_runs.lua
-- Answer   how many runs are new
-- Errors   TAKEN …  this run is registered with another plan
--
-- @include register_runs

return (register_runs())
