#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_state
short_description: Report the state of a machine's part of a run
version_added: 0.1.0
description:
  - Records in Redis what a machine of a run is and has, and how far it has come.
  - V(failed) and V(abort) end the whole run. All machines that wait are told at once, and the first reason is kept.
  - States only go forward. Reporting the same state again changes nothing.
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
      - The states that a machine has been in, with their times, are in the events of M(lab.multidevice.cluster_info).
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  job_id:
    description:
      - The machine's part of the run. Either this or O(cluster_id) has to be given.
    type: str
  cluster_id:
    description:
      - The run, for O(state=abort) from outside and for O(state=absent).
    type: str
  state:
    description:
      - V(write_state) records O(ip), and O(roles), O(direct_macs) and O(direct_ips) if given.
      - V(started) says that setup scripts and daemons run. V(finished) says that the tests have ended with success.
      - V(failed) says that a script failed. V(abort) ends the run for another reason.
      - V(absent) removes all that Redis holds of a run now, and not at the end of its retention. A run that still goes on
        is aborted first.
    type: str
    required: true
    choices: [write_state, started, finished, failed, abort, absent]
  roles:
    description:
      - The machine's roles, if they differ from the registered ones.
    type: list
    elements: str
  ip:
    description:
      - The machine's own address. Required if O(state=write_state).
    type: str
  direct_macs:
    description:
      - The hardware addresses of its direct links, if they differ from the registered ones.
    type: list
    elements: str
  direct_ips:
    description:
      - The addresses of its direct links, one for each of O(direct_macs), if they differ from the registered ones.
    type: list
    elements: str
  reason:
    description:
      - One sentence that says why, for O(state=failed) and O(state=abort).
    type: str
  script:
    description:
      - The script that failed.
    type: str
  exit_code:
    description:
      - The exit code of O(script).
    type: int
"""

EXAMPLES = r"""
- name: Record address and links
  lab.multidevice.cluster_state:
    job_id: "{{ job.job_id }}"
    state: write_state
    ip: "{{ ansible_facts.default_ipv4.address }}"

- name: Report a failed test
  lab.multidevice.cluster_state:
    job_id: "{{ job.job_id }}"
    state: failed
    script: netperf
    exit_code: 1

- name: Abort a run
  lab.multidevice.cluster_state:
    cluster_id: 20260131T120000-k3f9.1
    state: abort
    reason: the switch needs a new firmware
  delegate_to: localhost
"""

RETURN = r"""
verdict:
  description: V(abort) or V(finish) if the run is over, otherwise none.
  type: str
  returned: when O(job_id) is given
  sample: abort
reason:
  description: Why the run was aborted, by the first who did.
  type: dict
  returned: when O(job_id) is given
  sample:
    node: client-1
    script: netperf
    exit_code: 1
    text: script netperf failed with exit code 1 on node client-1
    kind: failed
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.state import STATE


def main() -> None:
    run_module(STATE)


if __name__ == "__main__":
    main()
