-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- reason for those who still wait
-- @include prelude

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('closed') then return 0 end
set('closed', now)
abort_run(ARGV[1])
event('', 'closed')
expire_run()
purge()
return 1
