-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- seconds in ms, nodes…
-- @include prelude

if not get('cluster_id') then return redis.error_reply('UNKNOWN') end
if get('verdict') then return 0 end
for i = 2, #ARGV do
  if redis.call('HEXISTS', run .. '/nodes', ARGV[i]) == 0 then return redis.error_reply('NOBODY ' .. ARGV[i]) end
end
forgive_silence()
for i = 2, #ARGV do promise(ARGV[i], ARGV[1], '') end
return #ARGV - 1
