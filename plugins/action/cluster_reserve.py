# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.reserve import RESERVE
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Report, make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.delegated import DelegatedAction

Result = dict[str, t.Any]


class ActionModule(DelegatedAction):
    """Reserves the machines of a run, unless the play cannot take them through it together."""

    operation = RESERVE

    def prepare(self, options: Result) -> None:
        """With fewer forks than hosts, every host waits for the slices of all others before its next one."""
        options["lease"] += (self.play.rounds - 1) * options["slice"]

    def work(self, options: Result) -> Result:
        if options["state"] == "present" and not self._task.check_mode and not self.play.takes_all_together:
            self._abort_if_in_vain(options)
        return super().work(options)

    def _abort_if_in_vain(self, options: Result) -> None:
        coordinator, job_id = self.connect(options), options["job_id"]
        nodes = coordinator.history.info(cluster_of(job_id))["nodes"]
        # Where hosts have other names than the nodes, nothing is known of who drives whom.
        if nodes.get(self.play.host, {}).get("job_id") != job_id:
            return
        why = self.play.obstacle(nodes)
        if why:
            coordinator.nodes.report(job_id, Report.ABORT, make_reason(why))
            raise InputError(why)

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Reserve, and say on the terminal what is in the way."""
        result = super().run(tmp, task_vars)
        # All machines of the run wait for the same.
        if result.get("answer") == "retry" and not result.get("failed") and self.play.host == self.play.batch[0]:
            self._display.display(f"waiting for machines since {result['waited']:.0f} s: {result['msg']}")
        return result
