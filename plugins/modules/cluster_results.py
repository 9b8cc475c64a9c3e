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
  - On the controller, C(report.html), a page with all of it, and C(junit.xml) are written too. M(lab.multidevice.cluster_report)
    makes them again from the files.
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
      - Writes the files each time. V(promised) changes nothing.
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
  strict:
    description:
      - Whether a run with warnings does not count as good.
    type: bool
    default: false
  state:
    description:
      - V(written) writes the results.
      - V(promised) has them written on the controller if this C(ansible-playbook) is ended from outside before it has
        done that itself, with what is known by then.
    type: str
    choices: [written, promised]
    default: written
"""

EXAMPLES = r"""
- name: Have results even if somebody ends this play
  lab.multidevice.cluster_results:
    plan: "{{ plan }}"
    dest: /srv/results
    state: promised

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
  returned: when O(state=written)
  sample:
    submission_id: 20260131T120000-k3f9
    job: job.yaml
    result: finish
    reason: null
    runs: []
folder:
  description: The folder of the submission.
  type: str
  returned: when O(state=written)
  sample: /srv/results/20260131T120000-k3f9
table:
  description: The results as a table.
  type: str
  returned: when O(state=written)
  sample: "run  node  roles"
last_words:
  description: The end of the output of the script that failed, if one did.
  type: str
  returned: when O(state=written)
  sample: ""
told_warnings:
  description: The warnings of all runs, as lines for a terminal.
  type: str
  returned: when O(state=written)
  sample: ""
report:
  description: The page.
  type: str
  returned: when O(state=written), unless the task was delegated to another machine
  sample: /srv/results/20260131T120000-k3f9/report.html
verdict:
  description: How the submission ended, in a sentence.
  type: str
  returned: when O(state=written)
  sample: "20260131T120000-k3f9: finish"
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.results import RESULTS


def main() -> None:
    run_module(RESULTS)


if __name__ == "__main__":
    main()
