-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- run, lease in ms
-- @include prelude
-- @include scheduler

forgive_everybodys_silence()
if redis.call('ZSCORE', holders, ARGV[1]) then redis.call('ZADD', holders, now + ARGV[2], ARGV[1]) end
