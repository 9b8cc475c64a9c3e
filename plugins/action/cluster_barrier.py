# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.barrier import BARRIER
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import Arrival, cluster_of
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._format import names
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.delegated import DelegatedAction

Result = dict[str, t.Any]
FIRST_SLICE = 0.5


class ActionModule(DelegatedAction):
    """Arrives, or waits; but does not wait for a machine of which the controller knows that it will not come."""

    operation = BARRIER

    def prepare(self, options: Result) -> None:
        """With fewer forks than hosts, every host waits for the slices of all others before its next one."""
        if options["pause"] is None:
            options["pause"] = (self.play.rounds - 1) * options["slice"]

    def work(self, options: Result) -> Result:
        if options["operation"] == "arrive" or self._task.check_mode:
            return super().work(options)
        arrival = self._arrive_and_abort_if_in_vain(options)
        if self.play.rounds > 1:
            # Those that are awaited may need this very fork to come.
            options["slice"] = min(options["slice"], FIRST_SLICE * 2 ** min(arrival.retries, 16))
        result = super().work(options)
        result["changed"] |= arrival.changed
        return result

    def _arrive_and_abort_if_in_vain(self, options: Result) -> Arrival:
        coordinator, job_id, barrier = self.connect(options), options["job_id"], options["name"]
        about = {key: options[key] for key in ("nodes", "roles", "timeout")}
        arrival = coordinator.arrive(job_id, barrier, **about)
        # Where hosts have other names than the nodes, nothing is known of who drives whom.
        if arrival.verdict is None and coordinator.node(job_id)["node"] == self.play.host:
            missing = [node["node"] for node in coordinator.missing(cluster_of(job_id), barrier)]
            outside = self.play.outside(missing)
            why = self.play.obstacle(missing) or self._nobody_else(options, outside)
            if why:
                coordinator.report(job_id, "abort", {"text": why})
            elif outside and not arrival.retries:
                self._display.display(
                    f"{self.play.host} waits for {names(outside)}: another ansible-playbook has to bring it"
                )
        return arrival

    def _nobody_else(self, options: Result, outside: list[str]) -> str | None:
        """Why nobody brings the nodes that are no hosts of the play; None if another ansible-playbook can."""
        if not outside or RedisSettings.from_options(options).is_set:
            return None
        limit = f" with --limit {self.play.limit}" if self.play.limit else ""
        return (
            f"{self.play.host} would wait for {names(outside)}, which this play does not have{limit}, and no other "
            "ansible-playbook can bring it, as the embedded Redis is for this one only; set redis_url, or have all machines "
            "of the run in the play"
        )
