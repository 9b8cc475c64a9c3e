-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The moment by the clock of Redis, in ms, which is the same for the whole of a command.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local DAY = 86400000

local function seconds(ms)
  return string.format('%d', math.floor(ms / 1000 + 0.5))
end
