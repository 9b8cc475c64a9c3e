-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A node sends a message to all of its run.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 token, the same when this is repeated
--          2 node
--          3 key
--          4 value
--          5 how many messages of a key are kept
-- Answer   position of the message
-- Errors   UNKNOWN  there is no such run
--          NOBODY …  the run has no such node
--
-- @include run
-- @include events
-- @include once

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
local sent = answered_before()
if sent then return sent end
if redis.call('HEXISTS', run .. '/nodes', ARGV[2]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[2]) end
local stream = run .. '/messages/' .. ARGV[3]
local id = redis.call('XADD', stream, 'MAXLEN', '~', ARGV[5], '*', 'node', ARGV[2], 'value', ARGV[4])
redis.call('SADD', run .. '/keys', ARGV[3])
keep(stream)
keep(run .. '/keys')
event(ARGV[2], 'send', ARGV[3])
remember(id)
return id
