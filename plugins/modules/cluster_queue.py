#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_queue
short_description: Collect the results of a submission from its workers, or cancel it
version_added: 0.1.0
description:
  - Follows a submission whose node jobs were put into queues with M(lab.multidevice.cluster_split), and collects what
    the workers have handed in; or cancels a submission, whether it waits, runs in queues, or is driven by a controller.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
  - lab.multidevice._attributes.controller
  - lab.multidevice._attributes.coordination
  - lab.multidevice._coordination
requirements:
  - redis (Python) >= 5.0.0 where it runs
attributes:
  check_mode:
    support: partial
    details:
      - Only with O(state=absent).
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    support: partial
    details:
      - With O(state=absent), the second call finds nothing to cancel.
  platform:
    platforms: posix
options:
  submission_id:
    description:
      - The submission.
    type: str
    required: true
  state:
    description:
      - With V(collected), waits until every node job is over, and fetches the results to O(dest). On the controller only.
      - With V(absent), aborts all runs of the submission that have no verdict yet, and takes them out of the queues.
    type: str
    choices: [collected, absent]
    required: true
  reason:
    description:
      - Why it is cancelled, in a sentence that everybody reads who waits for it.
    type: str
  dest:
    description:
      - The folder on the controller that gets a folder of the submission's name, as with M(lab.multidevice.cluster_results).
    type: path
    default: results
  timeout:
    description:
      - How many seconds to wait for the end of the submission. V(0) sets no limit.
    type: float
    default: 0
seealso:
  - module: lab.multidevice.cluster_split
  - module: lab.multidevice.cluster_worker
"""

EXAMPLES = r"""
- name: Wait for a submission and collect its results
  lab.multidevice.cluster_queue:
    submission_id: 20260131T120000-k3f9
    state: collected
    dest: /srv/results
    redis_url: redis://redis.example.com

- name: Cancel a submission
  lab.multidevice.cluster_queue:
    submission_id: 20260131T120000-k3f9
    state: absent
    reason: the switch is being replaced
    redis_url: redis://redis.example.com
"""

RETURN = r"""
plan:
  description: The whole submission, as M(lab.multidevice.cluster_split) has returned it.
  type: dict
  returned: O(state=collected)
missing:
  description: The node jobs that have handed in nothing.
  type: list
  elements: str
  returned: O(state=collected)
  sample: ["client-1 in run 20260131T120000-k3f9.1"]
runs:
  description: The runs of the submission.
  type: list
  elements: str
  returned: O(state=absent)
  sample: ["20260131T120000-k3f9.1"]
cancelled:
  description: Those that were cancelled; the others were over.
  type: list
  elements: str
  returned: O(state=absent)
  sample: ["20260131T120000-k3f9.1"]
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.queue import QUEUE


def main() -> None:
    run_module(QUEUE)


if __name__ == "__main__":
    main()
