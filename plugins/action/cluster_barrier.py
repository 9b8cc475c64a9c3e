# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.barrier import BARRIER
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordination_action import CoordinationAction, rounds


class ActionModule(CoordinationAction):
    operation = BARRIER

    def prepare(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> None:
        """With fewer forks than hosts, every host waits for the slices of all others before its next one."""
        if options["pause"] is None:
            options["pause"] = (rounds(variables) - 1) * options["slice"]
