-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Gives up what was not heard from in time, and gives out what can be given.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- Answer   nothing
--
-- @include lost
-- @include schedule

give_up_the_lost()
schedule()
