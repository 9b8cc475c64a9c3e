-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- token, node, key, value, messages kept
-- @include prelude

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local token = run .. '/sent/' .. ARGV[1]
local sent = redis.call('GET', token)
if sent then return sent end

if redis.call('HEXISTS', run .. '/nodes', ARGV[2]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[2]) end
local stream = run .. '/messages/' .. ARGV[3]
local id = redis.call('XADD', stream, 'MAXLEN', '~', ARGV[5], '*', 'node', ARGV[2], 'value', ARGV[4])
redis.call('SADD', run .. '/keys', ARGV[3])
keep(stream)
keep(run .. '/keys')
event(ARGV[2], 'send', ARGV[3])
redis.call('SET', token, id, 'PX', 600000)
return id
