-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What all runs share beside their records: machines, the line, queues and workers. `prefix` is what keys of runs begin with.
--
-- Of a run: `queued`, node job → "queue entry" of those that wait; `taken`, node job → "queue entry machine" of those that
-- workers hold; `jobs`, node job → what the worker is to do; `given`, node job → "how often machine", as it was given to
-- workers so far, last to that one; `held`, machine → since when.
-- Of a queue: the stream of its node jobs, and its workers by machine, with the moment since which they are idle, or 0.
--
-- @include run

local prefix = KEYS[4]
local sched = string.sub(prefix, 1, -string.len('cluster/') - 1)
local line, reservations, holders = sched .. 'waiting', sched .. 'reservations', sched .. 'reservation_leases'
local releases, worker_leases, queues = sched .. 'releases', sched .. 'worker_leases', sched .. 'queues'

local function held(id) return prefix .. id .. '/held' end
local function stream_of(queue) return sched .. 'queue/' .. queue end
local function workers_of(queue) return sched .. 'queue/' .. queue .. '/workers' end
local function worker(machine) return sched .. 'worker/' .. machine end

local function select_run(id)
  run = prefix .. id
  load()
end
