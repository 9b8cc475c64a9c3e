# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.results import RESULTS
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordination_action import CoordinationAction


class ActionModule(CoordinationAction):
    operation = RESULTS

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Write the results, and show them as a table on the terminal."""
        result = super().run(tmp, task_vars)
        if "table" in result:
            self._display.display(f"\n{result['table']}\n\nresults: {result['folder']}\n{result['verdict']}\n")
        return result
