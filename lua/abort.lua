-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- reason, dry
-- @include prelude

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if ARGV[2] == '1' then return get('verdict') and 0 or 1 end
return abort_run(ARGV[1]) and 1 or 0
