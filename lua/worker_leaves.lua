-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- machine, token
-- @include prelude
-- @include scheduler

if redis.call('HGET', worker(ARGV[1]), 'token') ~= ARGV[2] then return end
drop_job(ARGV[1], 'the worker on ' .. ARGV[1] .. ' has left')
forget_worker(ARGV[1])
forget_the_dead()
schedule()
