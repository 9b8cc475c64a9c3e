-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- job_id, state: started | finish | abort, reason, dry
-- @include prelude

local node = identify(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local state, reason, dry = ARGV[2], ARGV[3], ARGV[4] == '1'
local verdict = get('verdict')
if verdict == 'finish' then return {0, verdict, ''} end
if verdict == 'abort' and reason == '' then state = 'abort' end
if dry then return {advances(node, state) and 1 or 0, verdict or '', get('reason') or ''} end
local changed
if state == 'abort' then
  changed = abort_run(reason)
  changed = set_state(identify(node.job), 'abort', reason) or changed
else
  begin()
  changed = set_state(node, state)
end
return {changed and 1 or 0, get('verdict') or '', get('reason') or ''}
