# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.queue import QUEUE
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._names import check_submission_id, is_name
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.delegated import DelegatedAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import (
    Exchange,
    open_exchange,
    result_name,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import archive as _results_archive

Result = dict[str, t.Any]
# What nobody announces, such as a queue that has had no worker for too long, is looked for so often.
LOOK = 5.0


class ActionModule(DelegatedAction):
    operation = QUEUE

    def work(self, options: Result) -> Result:
        if options["state"] != "collected" or self._task.check_mode:
            return super().work(options)
        coordinator = self.connect(options)
        plan = coordinator.registration.plan(options["submission_id"])
        self._wait(coordinator, plan, options["timeout"])
        return {"changed": True, "plan": plan, "missing": self._collect(coordinator, plan, options)}

    def _wait(self, coordinator: Coordinator, plan: Result, timeout: float) -> None:
        """Until every node job is over."""
        ids = [run["cluster_id"] for run in plan["runs"]]
        positions = dict.fromkeys(ids, "0")
        deadline = time.monotonic() + timeout
        while True:
            coordinator.queues.go_along_line()
            open_jobs = coordinator.queues.open_jobs(ids)
            if not open_jobs:
                return
            if timeout and time.monotonic() > deadline:
                raise CoordinationError(
                    f"submission {plan['submission_id']} is not over after {timeout:g} s: "
                    + ", ".join(_who(plan, job_id, machine) for job_id, machine in open_jobs.items())
                )
            coordinator.history.follow(positions, LOOK)

    def _collect(self, coordinator: Coordinator, plan: Result, options: Result) -> list[str]:
        """Fetch what the workers have handed in; returns the node jobs of which there is nothing, or nothing whole."""
        settings = RedisSettings.from_options(options)
        dest, missing = Path(os.path.abspath(options["dest"]), check_submission_id(plan["submission_id"])), []
        for run in plan["runs"]:
            for node in run["nodes"]:
                if not is_name(node["node"]):
                    raise InputError(f"the plan in Redis has a node {node['node']!r}, which cannot name a folder")
                who = f"{node['node']} in run {run['cluster_id']}"
                target = dest / "runs" / str(int(run["number"])) / "nodes" / node["node"]
                try:
                    exchange = open_exchange(coordinator.queues.work_of(node["job_id"])["exchange"], settings)
                    if not _fetch(exchange, result_name(node["job_id"]), target):
                        missing.append(who)
                except (CoordinationError, NodeError) as error:
                    missing.append(f"{who} ({error})")
        return missing

    def delegate(self, options: Result, variables: Result) -> Result:
        if options["state"] == "collected":
            raise CoordinationError("results are collected on the controller only, where they are to be")
        return super().delegate(options, variables)


def _fetch(exchange: Exchange, name: str, target: Path) -> bool:
    with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
        found = exchange.get(name, Path(archive.name))
        if found:
            _results_archive.unpack(Path(archive.name), target)
    return found


def _who(plan: Result, job_id: str, machine: str | None) -> str:
    nodes = {node["job_id"]: node for run in plan["runs"] for node in run["nodes"]}
    node = nodes[job_id]
    return f"{node['node']} runs on {machine}" if machine else f"{node['node']} waits in queue {node['queue']}"
