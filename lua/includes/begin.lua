-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- A run begins with the first that one of its nodes does.
-- @include time
-- @include run
-- @include expiry

local function begin()
  if not get('started') then
    set('started', now)
    local limit = get('run_timeout')
    if limit ~= '' then
      redis.call('ZADD', run .. '/deadlines', now + limit * 1000, '')
      keep(run .. '/deadlines')
    end
  end
  if get('expires') - now < get('retention') * 900 then expire_run() end
end
