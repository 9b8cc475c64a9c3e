#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_split
short_description: Split a job file into one job per machine and register them
version_added: 0.1.0
description:
  - Reads a job file and the cluster file that it names, expands lists of parameters into runs, and splits each run into
    one job per machine.
  - Registers all runs of this submission in Redis in one atomic step.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
  - lab.multidevice._attributes.controller
  - lab.multidevice._attributes.coordination
  - lab.multidevice._coordination
requirements:
  - redis (Python) >= 5.0.0 where it runs, not on the test machines
  - netaddr (Python) and PyYAML on the controller
attributes:
  check_mode:
    support: full
    details:
      - Splits, and registers nothing.
  diff_mode:
    support: none
    details:
      - There is nothing to compare, a submission is always new.
  idempotent:
    support: partial
    details:
      - Only with O(submission_id) or O(plan). Each use of a job file without them is a submission of its own.
  platform:
    platforms: posix
options:
  job:
    description:
      - The job file, on the controller. Either this or O(plan) has to be given.
    type: path
  plan:
    description:
      - A submission that has been split already, as RV(plan) of an earlier call.
    type: dict
  submission_id:
    description:
      - The submission's name. By default the time and four random characters, so that names sort by time.
    type: str
  cluster:
    description:
      - A cluster file or its name, instead of the one that the job file names.
    type: str
  cluster_paths:
    description:
      - Folders to look for cluster files in, after the job file's own folder.
    type: list
    elements: path
    default: []
  script_paths:
    description:
      - Folders that hold C(daemon), C(tests), C(setup), C(monitors) or C(programs), in the order of looking, after the job
        file's own folder.
    type: list
    elements: path
    default: []
  direct_network:
    description:
      - The network of the direct addresses, IPv4 or IPv6, or one of each kind.
      - With O(one_network_per_mac), one for each position in a machine's list of MACs, or only the first of them.
    type: list
    elements: str
    default: ["192.168.222.0/24"]
  one_network_per_mac:
    description:
      - Give the first direct link of every machine an address of O(direct_network), the second of the next network of
        the same size, and so on.
    type: bool
    default: false
  mtu:
    description:
      - The MTU of the direct links; with several, one for each position in the machine's list of MACs.
    type: list
    elements: int
  params:
    description:
      - Job variables and script parameters that take the place of those in the job file, as a mapping or as text.
    type: raw
  register:
    description:
      - Whether to register the runs in Redis. If V(false), Redis is not used.
    type: bool
    default: true
  lease:
    description:
      - Seconds without a word from a machine after which it is lost and its run aborts.
    type: float
    default: 30
  retention:
    description:
      - Seconds that Redis keeps a run after its end.
    type: float
    default: 604800
  run_timeout:
    description:
      - Seconds after which a run that has started and not ended is aborted.
    type: float
  queued:
    description:
      - Put the node jobs into the queues of their machines, all of them in the step that registers the runs, for workers
        to take them. The scripts are offered to the workers before.
    type: bool
    default: false
  priority:
    description:
      - Of two runs that wait in queues, the one with the higher priority goes first; of two with the same, the one that
        came first. From -100 to 100.
    type: int
    default: 0
  queue_timeout:
    description:
      - Seconds after which a run is aborted whose queues have had too few workers all the time.
    type: float
    default: 3600
  exchange:
    description:
      - What scripts and results go through between this controller and the workers. V(redis), the absolute path of a
        folder that all of them see, or the address of a web server that takes C(PUT), C(GET) and C(DELETE).
      - Logins for a web server are taken from C(~/.netrc).
    type: str
    default: redis
  trees:
    description:
      - Folders of scripts that the workers find in O(exchange) already, with the SHA-256 of the packed folder. It is filled
        in on the controller.
    type: dict
    default: {}
  trees_limit:
    description:
      - How many bytes a folder of scripts may take when it is packed for O(exchange).
    type: int
    default: 67108864
  settings:
    description:
      - What workers are told beside the job, as in the playbook C(submit.yml).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Split and register
  lab.multidevice.cluster_split:
    job: jobs/netperf.yaml
    script_paths: [/opt/lkp-tests]
    run_timeout: 7200
  delegate_to: localhost
  run_once: true
  register: submission

- name: Look at how a job would be split
  lab.multidevice.cluster_split:
    job: jobs/netperf.yaml
    script_paths: [/opt/lkp-tests]
    register: false
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
submission_id:
  description: The name of the submission.
  type: str
  returned: success
  sample: 20260131T120000-k3f9
runs:
  description: The runs, each with its cluster_id, parameters and nodes.
  type: list
  elements: dict
  returned: success
  sample:
    - cluster_id: 20260131T120000-k3f9.1
      number: 1
      params: {}
      cluster: two-servers
      roles: [server, client]
      script_roots: [/home/me/jobs]
      nodes:
        - node: server-1
          job_id: 20260131T120000-k3f9.1.1
          roles: [server]
          direct_macs: ["02:00:00:00:00:01"]
          direct_ips: [192.168.222.1]
plan:
  description: The whole submission, to be given to another call as O(plan).
  type: dict
  returned: success
warnings:
  description: What is odd in the job or cluster file but does no harm.
  type: list
  elements: str
  returned: when there are any
  sample: []
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.split import SPLIT


def main() -> None:
    run_module(SPLIT)


if __name__ == "__main__":
    main()
