-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- @include prelude

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
judge()
return get('verdict') == 'abort' and get('reason') or ''
