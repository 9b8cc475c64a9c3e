# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.barrier import (
    BARRIER,
    wait,
    who_and_how_long,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import Arrival
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._format import names
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Report, make_reason
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
        """Arrive or wait; what arriving answers is enough to see whether waiting is in vain."""
        if options["operation"] == "arrive" or self._task.check_mode:
            return super().work(options)
        coordinator = self.connect(options)
        arrival = coordinator.barriers.arrive(
            options["job_id"],
            options["name"],
            pause=options["pause"],
            tell_missing=True,
            **who_and_how_long(options),
        )
        why = self._why_in_vain(options, arrival)
        if why:
            coordinator.nodes.report(options["job_id"], Report.ABORT, make_reason(why))
        if self.play.rounds > 1:
            # Those that are awaited may need this very fork to come.
            options["slice"] = min(options["slice"], FIRST_SLICE * 2 ** min(arrival.retries, 16))
        result = wait(coordinator.barriers, options, None if why else arrival)
        result["changed"] |= arrival.changed
        return result

    def _why_in_vain(self, options: Result, arrival: Arrival) -> str | None:
        # Where hosts have other names than the nodes, nothing is known of who drives whom.
        if arrival.verdict or arrival.node != self.play.host:
            return None
        missing = [node["node"] for node in arrival.missing_nodes or []]
        outside = self.play.outside(missing)
        why = self.play.obstacle(missing) or self._nobody_else(options, outside)
        if outside and not why and not arrival.retries:
            self._display.display(
                f"{self.play.host} waits for {names(outside)}: another ansible-playbook has to bring it"
            )
        return why

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
