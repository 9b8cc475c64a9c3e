# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.split import SPLIT, plan_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordination_action import CoordinationAction


class ActionModule(CoordinationAction):
    operation = SPLIT

    def prepare(self, options: dict[str, t.Any]) -> None:
        """The job file is the controller's, also where another machine registers it."""
        if options["plan"] is None:
            options["plan"] = plan_of(options)
            options["job"] = None
