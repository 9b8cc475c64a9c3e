# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.reserve import RESERVE
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordination_action import CoordinationAction, rounds


class ActionModule(CoordinationAction):
    operation = RESERVE

    def prepare(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> None:
        """With fewer forks than hosts, every host waits for the slices of all others before its next one."""
        options["lease"] += (rounds(variables) - 1) * options["slice"]

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Reserve, and say on the terminal what is in the way."""
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        # All machines of the run wait for the same.
        speaks = variables.get("inventory_hostname") == (variables.get("ansible_play_batch") or [None])[0]
        if speaks and result.get("answer") == "retry" and not result.get("failed"):
            self._display.display(f"waiting for machines since {result['waited']:.0f} s: {result['msg']}")
        return result
