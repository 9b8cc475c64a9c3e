-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- The run that a command is about: its fields, which are read once, and its keys, which begin with `run`.

local cluster_state, id2cluster, runs, run = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local FIELDS = {'cluster_id', 'registration', 'lease', 'retention', 'run_timeout', 'events', 'last_job', 'started', 'heard',
  'position', 'verdict', 'reason', 'expires', 'closed', 'mode', 'priority', 'arrival'}
local fields = {}

local function load()
  for i, value in ipairs(redis.call('HMGET', run, unpack(FIELDS))) do fields[FIELDS[i]] = value or nil end
end

local function get(name)
  return fields[name]
end

local function set(...)
  redis.call('HSET', run, ...)
  for i = 1, select('#', ...), 2 do fields[select(i, ...)] = select(i + 1, ...) end
end

load()

local function keep(key)
  redis.call('PEXPIREAT', key, get('expires'))
end
