-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The event log of a run.
-- @include run

local function event(node, what, data)
  redis.call('XADD', run .. '/events', 'MAXLEN', '~', get('events'), '*', 'node', node, 'what', what, 'data', data or '')
end
