-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Records what a node is and has.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 job_id
--          2 its record, as JSON without what follows the addresses
--          3 "1" in check mode
-- Answer   1 if that is new, 0 if not
-- Errors   UNKNOWN  there is no such node job
--
-- @include run
-- @include events
-- @include nodes
-- @include begin

local node = find_node(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local wrote = node.head ~= ARGV[2]
local changed = wrote or advances(node, 'write_state')
if not changed or ARGV[3] == '1' then return changed and 1 or 0 end
begin()
node.head = ARGV[2]
if not set_state(node, 'write_state', ARGV[2] .. '}') then
  store_node(node)
  event(node.node, 'write_state', ARGV[2] .. '}')
end
return 1
