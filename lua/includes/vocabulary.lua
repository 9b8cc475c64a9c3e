-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Written by "make lua" from plugins/module_utils/_vocabulary.py: change it there.

local RANK = {registered = 0, write_state = 1, start = 2, started = 3, ready = 4, finish = 5, abort = 6}
local CORE = {start = true, ready = true, finish = true}
