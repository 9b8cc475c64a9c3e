# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.split import (
    SPLIT,
    registration,
    split_result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.registration import check_queueing
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RESULTS_LIMIT
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import new_submission_id
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import script_tree
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.delegated import DelegatedAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import open_exchange, tree_name
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.node_jobs import queued_node_jobs
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.planned import Plan
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay

Result = dict[str, t.Any]


class ActionModule(DelegatedAction):
    """Splits a job file. The runs can be registered by another machine; all else is the controller's."""

    operation = SPLIT

    def prepare(self, options: Result) -> None:
        """The job file is the controller's, also where another machine registers it."""
        if options["queued"]:
            check_queueing(options["priority"], options["queue_timeout"])
        if options["plan"] is None:
            options["plan"] = _split(options)
            options["job"] = None

    def work(self, options: Result) -> Result:
        """Register the runs, or put their node jobs into queues."""
        if not options["queued"] or (options["register"] and self._task.check_mode):
            return super().work({**options, "queued": False})
        plan = options["plan"]
        trees = options["trees"] if self._task.check_mode else self._offer_trees(options)
        settings = {
            "results_limit": DEFAULT_RESULTS_LIMIT,
            **options["settings"],
            "lease": options["lease"],
            "retention": options["retention"],
        }
        jobs = queued_node_jobs(plan, trees, exchange=options["exchange"], settings=settings)
        queued = {key: options[key] for key in ("priority", "queue_timeout")}
        return split_result(
            plan, changed=self.connect(options).registration.submit(plan, jobs, **queued, **registration(options))
        )

    def _offer_trees(self, options: Result) -> dict[str, str]:
        """Put the script trees where the workers find them; returns their checksums by folder."""
        plan: Plan = options["plan"]
        nodes = [node for run in plan["runs"] for node in run["nodes"]]
        roots = sorted({script["root"] for node in nodes for script in node["scripts"] if script["root"]})
        exchange = open_exchange(options["exchange"], RedisSettings.from_options(options))
        trees = {}
        for root in roots:
            checksum, archive = script_tree.pack(Path(root), relay.cache_folder())
            size, limit = archive.stat().st_size, options["trees_limit"]
            if size > limit:
                raise InputError(
                    f"{root}: the scripts take {size} bytes when packed, more than the {limit} that may go through the "
                    "exchange; leave large files out of it, or set trees_limit and have them go through a shared folder"
                )
            exchange.put(tree_name(checksum), archive, keep_seconds=options["retention"])
            trees[root] = checksum
        return trees

    def delegate(self, options: Result, variables: Result) -> Result:
        """Have the other machine register the plan."""
        if options["queued"]:
            raise InputError("queued: a submission is put into queues by the controller itself, not by another machine")
        return super().delegate(options, variables)


def _split(options: Result) -> Plan:
    plan = plan_submission(
        options["job"],
        submission_id=options["submission_id"] or new_submission_id(),
        cluster=options["cluster"],
        cluster_paths=options["cluster_paths"],
        script_paths=options["script_paths"],
        direct_network=options["direct_network"],
        one_network_per_mac=options["one_network_per_mac"],
        mtu=options["mtu"],
        params=options["params"],
    )
    for run in plan["runs"]:
        if not any(node["scripts"] for node in run["nodes"]):
            # It would end well without having tested anything.
            raise InputError(
                f"{plan['job']}: run {run['number']} has nothing to do: none of its keys names a script under "
                f"{', '.join(run['script_roots']) or 'the job file'}. " + " ".join(plan["warnings"][:3])
            )
    return plan
