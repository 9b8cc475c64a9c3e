-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A node says how far it has come.
-- KEYS     cluster_state, id2cluster, runs, the run's own
-- ARGV     1 job_id
--          2 state: started, finish or abort
--          3 reason of an abort, as JSON, or ""
--          4 "1" in check mode
-- Answer   1 1 if something has changed
--          2 verdict of the run, or ""
--          3 reason of the run's abort, as JSON, or ""
-- Errors   UNKNOWN  there is no such node job
--
-- @include run
-- @include nodes
-- @include begin
-- @include verdicts

local node = find_node(ARGV[1])
if not node then return redis.error_reply('UNKNOWN') end
local state, reason, dry = ARGV[2], ARGV[3], ARGV[4] == '1'
local verdict = get('verdict')
if verdict == 'finish' then return {0, verdict, ''} end
if verdict == 'abort' and reason == '' then state = 'abort' end
if dry then return {advances(node, state) and 1 or 0, verdict or '', get('reason') or ''} end
local changed
if state == 'abort' then
  changed = abort_run(reason)
  changed = set_state(find_node(node.job), 'abort', reason) or changed
else
  begin()
  changed = set_state(node, state)
end
return {changed and 1 or 0, get('verdict') or '', get('reason') or ''}
