-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A worker leaves. What it holds is given back, or its run is aborted.
-- KEYS     cluster_state, id2cluster, runs, what the keys of runs begin with
-- ARGV     1 machine
--          2 token of the worker
-- Answer   nothing
--
-- @include shared
-- @include workers
-- @include lost
-- @include schedule

if redis.call('HGET', worker(ARGV[1]), 'token') ~= ARGV[2] then return end
drop_job(ARGV[1], 'the worker on ' .. ARGV[1] .. ' has left')
forget_worker(ARGV[1])
give_up_the_lost()
schedule()
