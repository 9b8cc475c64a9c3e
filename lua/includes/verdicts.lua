-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What ends a wait, and a run.
-- @include time
-- @include run
-- @include expiry
-- @include events
-- @include nodes

-- An entry has one field, the barrier that is released or abort, as it is sent to every waiter.
local function announce(verdict, reason, ...)
  local id = redis.call('XADD', run .. '/verdicts', '*', verdict, reason)
  set('position', id, ...)
  keep(run .. '/verdicts')
end

local function end_run(verdict, reason)
  if not get('started') then set('started', now) end
  set('verdict', verdict, 'phase', verdict, 'reason', reason, 'finished', now)
  redis.call('DEL', run .. '/leases', run .. '/promises', run .. '/deadlines')
  expire_run()
end

local function abort_run(reason)
  if get('verdict') then return false end
  end_run('abort', reason)
  announce('abort', reason)
  local name = cjson.decode(reason).node
  local entry = type(name) == 'string' and redis.call('HGET', run .. '/nodes', name)
  local node = entry and find_node(cjson.decode(entry).job_id)
  if not node or not set_state(node, 'abort', reason) then event('', 'abort', reason) end
  return true
end
