# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is private to the collection: it can change without notice.

from __future__ import annotations


class ModuleDocFragment:
    # A module adds its own "attributes:" with "support:" (full, partial, none, N/A) and, where it is not full,
    # "details:"; and for platform the "platforms:".
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description:
      - Can run in C(check_mode) and tells whether it would change something, without changing it.
  diff_mode:
    description:
      - In diff mode, returns what has changed, or what would change in C(check_mode).
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second run reports no change.
      - This assumes that what the module manages has not changed in between.
  platform:
    description:
      - Operating systems on which the module runs.
    support: full
"""

    # For modules that have an action plugin: "support:" and "details:" are the same for all of them.
    CONTROLLER = r"""
options: {}
attributes:
  action:
    description:
      - Has an action plugin of the same name, so that the task runs on the controller.
    support: full
    details:
      - Runs inside the controller's own process, without a connection to the host of the task.
      - When the task is delegated to another machine than V(localhost), the module itself runs on that machine.
"""

    # For the members of the action group.
    COORDINATION = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/lab.multidevice.coordination) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - lab.multidevice.coordination
"""
