#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_worker
short_description: Take a node job from a queue, and hand in its results
version_added: 0.1.0
description:
  - Makes this ansible-playbook the worker of its machine. It is one from O(state=present) to its end; should it be killed,
    what it holds is given back or aborted, and the machine is cleaned.
  - This has no module that could be sent to another machine. A worker works where its ansible-playbook runs.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
  - lab.multidevice._attributes.coordination
  - lab.multidevice._coordination
requirements:
  - redis (Python) >= 5.0.0
attributes:
  action:
    description:
      - Has an action plugin of the same name, so that the task runs on the controller.
    support: full
    details:
      - It cannot be delegated to another machine.
  check_mode:
    support: partial
    details:
      - Does nothing in check mode.
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    support: partial
    details:
      - All but O(state=taken).
  platform:
    platforms: posix
options:
  state:
    description:
      - With V(present), becomes the worker of the machine, once one before it has ended and cleaned up.
      - With V(taken), waits for a node job and takes it.
      - With V(done), hands in the results of O(job_id) and gives the machine back.
    type: str
    choices: [present, taken, done]
    required: true
  queue:
    description:
      - The queue that it serves. Needed with O(state=present).
    type: str
  machine:
    description:
      - The name of the machine, by which cluster files of controllers call it too. Each machine has one worker.
      - The host name without its domain, if not set.
    type: str
  spool:
    description:
      - The folder in which node jobs and their results are kept until they are handed in.
      - C(/var/lib/multidevice) for root, C(~/.local/state/multidevice) for others, if not set.
    type: path
  exchange:
    description:
      - Where scripts come from, and results go to, as with M(lab.multidevice.cluster_split).
    type: str
    default: redis
  lease:
    description:
      - Seconds for which the worker counts as alive without being heard from.
    type: float
    default: 30
  timeout:
    description:
      - How many seconds O(state=taken) waits for a node job. V(0) sets no limit.
    type: float
    default: 0
  job_id:
    description:
      - The node job that is done.
    type: str
seealso:
  - module: lab.multidevice.cluster_split
  - module: lab.multidevice.cluster_queue
"""

EXAMPLES = r"""
- name: Become a worker
  lab.multidevice.cluster_worker:
    state: present
    queue: client
    redis_url: redis://redis.example.com

- name: Take a node job
  lab.multidevice.cluster_worker:
    state: taken
    timeout: 3600
    redis_url: redis://redis.example.com
  register: taken
"""

RETURN = r"""
machine:
  description: The name of the machine.
  type: str
  returned: O(state=present)
  sample: client-1
spool:
  description: The folder in which node jobs are kept.
  type: str
  returned: O(state=present)
  sample: /var/lib/multidevice
left:
  description: The node jobs that a worker before this one has left on the machine.
  type: list
  elements: str
  returned: O(state=present)
  sample: ["20260131T120000-k3f9.1.2"]
job:
  description:
    - The node job, as M(lab.multidevice.cluster_split) returns it within its run. Besides, C(archives) has its packed
      script trees by the folder that they were in, C(results) is where its results belong, and C(settings) are those of
      whoever has submitted it.
    - Nothing when none came in time.
  type: dict
  returned: O(state=taken)
  sample:
    job_id: 20260131T120000-k3f9.1.2
    cluster_id: 20260131T120000-k3f9.1
    node: client-1
    roles: [client]
    results: /var/lib/multidevice/jobs/20260131T120000-k3f9.1.2/results
notes:
  description: What was cut of the results, in sentences.
  type: list
  elements: str
  returned: O(state=done)
  sample: ["test-iperf/stdout: cut to its last 1048576 of 200000000 bytes, the limit for a node is 104857600 bytes"]
"""
