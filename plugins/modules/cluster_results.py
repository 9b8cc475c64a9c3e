#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_results
short_description: Write the results of a submission
version_added: 0.1.0
description:
  - Writes C(summary.json), and for each run C(job.yaml) and C(events.jsonl), beside what the machines' scripts have left,
    and shows the results as a table.
  - Closes the runs. From then on it counts how long Redis keeps them.
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
      - The files are large, and new with each submission.
  idempotent:
    support: none
    details:
      - Writes the files each time.
  platform:
    platforms: posix
options:
  plan:
    description:
      - What M(lab.multidevice.cluster_split) returned.
    type: dict
    required: true
  dest:
    description:
      - The folder that holds one folder for each submission.
    type: path
    default: results
"""

EXAMPLES = r"""
- name: Write the results
  lab.multidevice.cluster_results:
    plan: "{{ plan }}"
    dest: /srv/results
  register: written

- name: Say how it went
  ansible.builtin.assert:
    that: written.summary.result == 'finish'
    fail_msg: "{{ written.verdict }}"
"""

RETURN = r"""
summary:
  description: What C(summary.json) holds.
  type: dict
  returned: success
  sample:
    submission_id: 20260131T120000-k3f9
    job: job.yaml
    result: finish
    reason: null
    runs: []
folder:
  description: The folder of the submission.
  type: str
  returned: success
  sample: /srv/results/20260131T120000-k3f9
table:
  description: The results as a table.
  type: str
  returned: success
  sample: "run  node  roles"
verdict:
  description: How the submission ended, in a sentence.
  type: str
  returned: success
  sample: "20260131T120000-k3f9: finish"
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.results import RESULTS


def main() -> None:
    run_module(RESULTS)


if __name__ == "__main__":
    main()
