#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Tell the state of runs
version_added: 0.1.0
description:
  - Tells all that Redis knows of a run, the addresses of its roles, and who waits for whom. Without a run, lists all runs.
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
    support: N/A
    details:
      - Changes nothing.
  idempotent:
    support: N/A
    details:
      - Changes nothing.
  platform:
    platforms: posix
options:
  cluster_id:
    description:
      - The run.
    type: str
  job_id:
    description:
      - A machine's part of the run, instead of O(cluster_id).
    type: str
  events:
    description:
      - Whether to return all events of the run.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Ask for the addresses of all roles
  lab.multidevice.cluster_info:
    job_id: "{{ job.job_id }}"
  register: info

- name: Use them
  ansible.builtin.command: ping -c 1 {{ info.roles_ip.direct_server_ips | split | first }}
  changed_when: false

- name: List all runs
  lab.multidevice.cluster_info:
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
run:
  description: The run, its nodes and its barriers. Times are seconds since the epoch, by Redis' clock.
  type: dict
  returned: when a run is asked for
  sample:
    cluster_id: 20260131T120000-k3f9.1
    phase: start
    result: null
    reason: null
    nodes:
      server-1:
        job_id: 20260131T120000-k3f9.1.1
        state: started
        roles: [server]
        ip: 172.18.0.2
        direct_macs: ["02:00:00:00:00:01"]
        direct_ips: [192.168.222.1]
        times: {start: 1769860800.1, started: 1769860801.2}
        lease: 1769860831.2
    barriers:
      ready:
        arrived: [server-1]
        missing:
          - node: client-1
            roles: [client]
        since: 1769860801.3
        released: null
        participants: all
roles_ip:
  description: One variable for each role and its addresses, as scripts see them.
  type: dict
  returned: when a run is asked for
  sample:
    direct_server_ips: 192.168.222.1
    server: 172.18.0.2
missing:
  description: Who is waited for at which barrier.
  type: list
  elements: dict
  returned: when a run is asked for
  sample:
    - barrier: ready
      node: client-1
      roles: [client]
status:
  description: The run, or all runs, in lines for people. Says who waits for whom, and since when.
  type: list
  elements: str
  returned: always
  sample:
    - "20260131T120000-k3f9.1: jobs/netperf.yaml on two-servers: running for 80 s, has passed start"
    - "    at barrier ready for 42 s: server-1 (server)"
    - "    waiting for: client-1 (client), start for 78 s"
queues:
  description: The queues with their node jobs, first come first, and which machine's worker holds each, if any.
  type: dict
  returned: when no run is asked for
  sample:
    client:
      - job_id: 20260131T120000-k3f9.1.2
        cluster_id: 20260131T120000-k3f9.1
        node: client--1
        since: 1769860800.1
        machine: null
workers:
  description: The workers, what they hold and when they were last heard from.
  type: list
  elements: dict
  returned: when no run is asked for
  sample:
    - machine: host-7
      queue: client
      host: host-7:/var/lib/multidevice
      since: 1769860700.1
      seen: 1769860790.1
      lease: 1769860820.1
      job_id: null
      job_since: null
      left_job_id: null
waiting:
  description: The runs that wait for machines or workers, in the order in which they will get them.
  type: list
  elements: str
  returned: when no run is asked for
  sample: ["20260131T120000-k3f9.1"]
events:
  description: All changes of the run in their order.
  type: list
  elements: dict
  returned: when O(events=true)
  sample:
    - time: 1769860800.1
      node: server-1
      what: arrive
      data: start
runs:
  description: All runs in brief, oldest first.
  type: list
  elements: dict
  returned: when no run is asked for
  sample:
    - cluster_id: 20260131T120000-k3f9.1
      phase: start
      result: null
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.info import INFO


def main() -> None:
    run_module(INFO)


if __name__ == "__main__":
    main()
