-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What Redis gives its scripts: Lua 5.1 without what reaches out of it, and a few names of its own.
stds.redis = {
  read_globals = {
    "KEYS", "ARGV", "redis", "cjson",
    "assert", "error", "ipairs", "math", "next", "pairs", "pcall", "select", "string", "table", "tonumber", "tostring",
    "type", "unpack",
  },
}
std = "redis"
max_line_length = 140
