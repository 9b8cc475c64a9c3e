-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A command that may be repeated because its answer was lost, and then does nothing; ARGV[1] tells it from others.
-- @include run

local token = run .. '/sent/' .. ARGV[1]

local function answered_before()
  return redis.call('GET', token)
end

local function remember(answer)
  redis.call('SET', token, answer, 'PX', 600000)
end
