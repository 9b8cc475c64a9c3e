#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_reserve
short_description: Reserve the machines of a run, all or none
version_added: 0.1.0
description:
  - Reserves all machines of a run in one step, or waits until all of them are free. First come, first served. A run that waits
    keeps what it needs from those that come later, so none waits for ever, and no two runs ever hold half of each other's machines.
  - A reservation has a lease. What a dead controller has reserved becomes free by itself.
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
    support: full
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
  state:
    description:
      - V(present) reserves all machines of the run. V(absent) gives back this machine.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - Seconds, over all repetitions, after which the task fails with the names of those who hold the machines.
    type: float
  slice:
    description:
      - Seconds that one call waits at most. RV(answer) is then V(retry).
    type: float
    default: 10
  lease:
    description:
      - Seconds for which the reservation, or the place in the line, is kept for a controller that is not heard from.
      - While a run goes on, its controller is heard from by itself.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Reserve the machines of the run
  lab.multidevice.cluster_reserve:
    job_id: "{{ job.job_id }}"
    timeout: 3600
  register: reserved

- name: Give this one back
  lab.multidevice.cluster_reserve:
    job_id: "{{ job.job_id }}"
    state: absent
"""

RETURN = r"""
answer:
  description: V(reserved), V(retry) when the slice was over before, or V(released).
  type: str
  returned: success
  sample: reserved
blockers:
  description: Which machines are not free, and which runs hold them, or wait for them and have come first.
  type: list
  elements: dict
  returned: when O(state=present)
  sample:
    - machine: node2
      run: 20260131T120000-k3f9.1
      since: 1769860800.1
waited:
  description: Seconds since the run has asked for its machines.
  type: float
  returned: when O(state=present) and the run did not have them before
  sample: 12.5
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.reserve import RESERVE


def main() -> None:
    run_module(RESERVE)


if __name__ == "__main__":
    main()
