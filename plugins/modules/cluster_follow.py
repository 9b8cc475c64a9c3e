#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_follow
short_description: Show what happens in a run that another process drives
version_added: 0.1.0
description:
  - Shows on the terminal what has happened in a run and what happens, a line for each step, until the run is over.
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
      - The run. If not set, all runs that go on now are followed.
    type: str
  timeout:
    description:
      - How many seconds to follow at most. V(0) sets no limit.
    type: float
    default: 0
seealso:
  - module: lab.multidevice.cluster_info
"""

EXAMPLES = r"""
- name: Follow a run
  lab.multidevice.cluster_follow:
    cluster_id: 20260131T120000-k3f9.1
    redis_url: redis://redis.example.com
"""

RETURN = r"""
lines:
  description: What was shown.
  type: list
  elements: str
  returned: success
  sample:
    - "12:00:04 start: 3 nodes together"
"""
