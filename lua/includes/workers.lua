-- Copyright (c) 2026, lab.multidevice contributors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- What becomes of what a worker holds when it is gone.
-- @include time
-- @include verdicts
-- @include machines
-- @include queue_entries
-- @include node_jobs

-- So many workers may be gone with a node job before its run has begun; it may be what ends them.
local MAX_TRIES = 5

-- The worker of a machine holds nothing any more, and the machine is free.
local function free_worker(machine)
  local id, queue, entry = unpack(redis.call('HMGET', worker(machine), 'run', 'queue', 'entry'))
  if not id then return end
  redis.call('HDEL', worker(machine), 'run', 'job', 'entry')
  -- A run that was removed meanwhile has left this.
  if redis.call('EXISTS', prefix .. id) == 0 then end_entry(queue, entry) end
  free_machine(id, machine)
end

-- What a worker before this one has left on the machine is not handed in any more.
local function forget_left(machine, why)
  local id, job = unpack(redis.call('HMGET', worker(machine), 'left_run', 'left'))
  if not id then return end
  redis.call('HDEL', worker(machine), 'left_run', 'left')
  select_run(id)
  if get('cluster_id') then end_job(job, 'worker_lost', why) else end_all_entries(id) end
end

-- The worker of a machine does not go on with what it holds. With `later`, results may still be handed in; tells of what.
local function drop_job(machine, why, later)
  local left
  local id, job = unpack(redis.call('HMGET', worker(machine), 'run', 'job'))
  if id then select_run(id) end
  local text = id and redis.call('HGET', run .. '/taken', job)
  if text then
    local begun = get('verdict') or redis.call('HEXISTS', run .. '/barrier/start', 'verdict') == 1
    local tries = times_given(job)
    if begun or tries >= MAX_TRIES then
      local node = find_node(job).node
      local what = begun and why or tries .. ' workers were gone before the run had begun; the last: ' .. why
      abort_run(cjson.encode({kind = 'lost', node = node, text = node .. ': ' .. what}))
      set_state(find_node(job), 'abort', get('reason'))
      if later then left = {id, job} else end_job(job, 'worker_lost', why) end
    else
      local queue, entry = split_entry(text)
      give_back(job, queue, entry, why)
    end
  end
  free_worker(machine)
  return left
end

local function forget_worker(machine)
  forget_left(machine, 'its worker is gone')
  local queue = redis.call('HGET', worker(machine), 'queue')
  redis.call('DEL', worker(machine))
  redis.call('ZREM', worker_leases, machine)
  if queue then
    redis.call('ZREM', workers_of(queue), machine)
    forget_queue(queue)
  end
end
