#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_report
short_description: Make the report of a submission from its files, or compare submissions
version_added: 0.1.0
description:
  - Makes C(report.html) and C(junit.xml) of a submission again, from C(summary.json) and what lies beside it. Redis is not needed.
  - Or writes a page that compares the numbers of several submissions, and shows the comparison on the terminal.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
attributes:
  action:
    description:
      - Has an action plugin of the same name, so that the task runs on the controller.
    support: full
    details:
      - It always runs there, where the results are.
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - A page's text tells less than the page.
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  submission:
    description:
      - The submission whose report is made, by its id or by the path of its folder.
    type: str
  submissions:
    description:
      - Two or more submissions that are compared, by their ids or the paths of their folders. The first is what the others
        are compared with.
    type: list
    elements: str
  results:
    description:
      - The folder that holds one folder for each submission.
    type: path
    default: results
  dest:
    description:
      - Where the comparison is written, a file or a folder. O(results) if not set.
    type: path
seealso:
  - module: lab.multidevice.cluster_results
"""

EXAMPLES = r"""
- name: Make a report again
  lab.multidevice.cluster_report:
    submission: 20260131T120000-k3f9

- name: Compare today's numbers with yesterday's
  lab.multidevice.cluster_report:
    submissions:
      - 20260130T120000-9a2b
      - 20260131T120000-k3f9
    dest: /srv/www/compare.html
"""

RETURN = r"""
report:
  description: The page.
  type: str
  returned: success
  sample: results/20260131T120000-k3f9/report.html
table:
  description: The comparison as text.
  type: str
  returned: when O(submissions) is set
  sample: "throughput (Gbit/s): A 3.9, B 4.1 (+5.1 %)"
"""
