-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- token, node, what, data
-- @include prelude

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local token = run .. '/sent/' .. ARGV[1]
local sent = redis.call('GET', token)
if sent then return sent end

event(ARGV[2], ARGV[3], ARGV[4])
redis.call('SET', token, '1', 'PX', 600000)
return '1'
