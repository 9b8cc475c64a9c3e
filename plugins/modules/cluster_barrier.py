#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_barrier
short_description: Meet the other machines of a run at a barrier
version_added: 0.1.0
description:
  - No machine passes a barrier before all have arrived. All get the same answer, and get it at once.
  - Waiting ends after O(slice) seconds with the answer V(retry), so that the task does not keep one of Ansible's forks
    while it needs another machine's progress. Repeat the task as long as RV(answer) is V(retry). The module counts.
  - A timeout is never a pass. It aborts the run, and names the machines that are missing.
  - A barrier is used once. In a loop, make the number of the round a part of its name.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
  - lab.multidevice._attributes.controller
  - lab.multidevice._attributes.coordination
  - lab.multidevice._coordination
requirements:
  - redis (Python) >= 5.0.0 where it runs, not on the test machines
attributes:
  check_mode:
    support: partial
    details:
      - Does not arrive and does not wait, but tells whether it would arrive, and the answer if there is one already.
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  job_id:
    description:
      - The machine's part of the run.
    type: str
    required: true
  name:
    description:
      - The barrier. V(start), V(ready) and V(finish) are those of every run and always for all of its machines.
      - Any other name makes a barrier of its own for the run, for O(nodes), for O(roles), or else for all machines.
    type: str
    required: true
  operation:
    description:
      - V(arrive) says that the machine is there, and returns at once.
      - V(wait) does so too if that has not been done, and waits for the others.
    type: str
    choices: [arrive, wait]
    default: wait
  nodes:
    description:
      - The machines that have to arrive. Every arrival has to name the same, or none.
    type: list
    elements: str
  roles:
    description:
      - The roles whose machines have to arrive. Every arrival has to name the same, or none.
    type: list
    elements: str
  timeout:
    description:
      - Seconds, from the arrival, after which the run is aborted if somebody is still missing.
    type: float
  retries:
    description:
      - How many times the answer can be V(retry). The next time the run is aborted instead. V(0) is for ever.
    type: int
    default: 100
  slice:
    description:
      - Seconds to wait at most. Where the play has more hosts than forks, the first waits are shorter.
    type: float
    default: 10
  pause:
    description:
      - Seconds that may pass before the task is repeated. A machine that does not wait again within this time and the
        lease of the run is lost.
      - By default it is found from the number of hosts and of forks.
    type: float
  fail_on_abort:
    description:
      - Whether the task fails if the answer is V(abort).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Arrive
  lab.multidevice.cluster_barrier:
    job_id: "{{ job.job_id }}"
    name: ready
    operation: arrive

# In a file of its own, wait.yml
- name: Wait until all are ready
  lab.multidevice.cluster_barrier:
    job_id: "{{ job.job_id }}"
    name: ready
    timeout: 600
  register: ready

- name: Go on waiting
  ansible.builtin.include_tasks: wait.yml
  when: ready.answer == 'retry'

# Of clients only, and to be repeated in the same way
- name: Meet the other clients
  lab.multidevice.cluster_barrier:
    job_id: "{{ job.job_id }}"
    name: filled-{{ round }}
    roles: [client]
  register: met
"""

RETURN = r"""
answer:
  description: The name of the barrier if all have arrived, V(abort) if the run was aborted, otherwise V(retry).
  type: str
  returned: always
  sample: ready
reason:
  description: Why the run was aborted, by the first who did.
  type: dict
  returned: always
  sample:
    node: client-1
    script: netperf
    exit_code: 1
    text: script netperf failed with exit code 1 on node client-1
    kind: failed
missing:
  description: Who has not arrived yet. Always empty if O(operation=arrive).
  type: list
  elements: dict
  returned: always
  sample:
    - node: client-2
      roles: [client]
waited:
  description: Seconds since the arrival.
  type: float
  returned: always
  sample: 10.0
retries:
  description: How many times the answer has been V(retry).
  type: int
  returned: always
  sample: 1
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.barrier import BARRIER
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module


def main() -> None:
    run_module(BARRIER)


if __name__ == "__main__":
    main()
