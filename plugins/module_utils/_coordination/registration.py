# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import compact
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import (
    DEFAULT_LEASE,
    DEFAULT_QUEUE_TIMEOUT,
    DEFAULT_RETENTION,
)
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError

MAX_PRIORITY = 100
_SENTENCES = {"TAKEN": lambda run: f"run {run} is registered already, with another plan; submit it under a new id"}


class Registration(Subject):
    """How runs come into Redis."""

    def register(
        self,
        plan: t.Mapping[str, t.Any],
        *,
        lease: float = DEFAULT_LEASE,
        retention: float = DEFAULT_RETENTION,
        run_timeout: float | None = None,
    ) -> bool:
        """Register all runs of a submission in one atomic step; False if that very plan is registered already.

        Runs that are registered already stay as they are.
        """
        arguments = _registrations(plan, lease, retention, run_timeout, {})
        return bool(self._of_all(commands.REGISTER_RUNS, *arguments, sentences=_SENTENCES))

    def submit(
        self,
        plan: t.Mapping[str, t.Any],
        work: t.Mapping[str, t.Any],
        *,
        priority: int = 0,
        queue_timeout: float = DEFAULT_QUEUE_TIMEOUT,
        lease: float = DEFAULT_LEASE,
        retention: float = DEFAULT_RETENTION,
        run_timeout: float | None = None,
    ) -> bool:
        """Register all runs of a submission, and put all of their node jobs into their queues, in one atomic step.

        :param work: job_id → what its worker is to do, as plain data.
        :param priority: from -100 to 100; of two runs that wait, the one with more goes first.
        :param queue_timeout: seconds after which a run gives up whose queues have too few workers.
        :returns: False if that very plan is registered already.
        """
        check_queueing(priority, queue_timeout)
        fields = {"mode": "queue", "priority": priority, "queue_timeout": f"{queue_timeout:g}"}
        arguments = _registrations(plan, lease, retention, run_timeout, fields)
        jobs = [(run["cluster_id"], node["job_id"], node["queue"]) for run in plan["runs"] for node in run["nodes"]]
        arguments.append(len(jobs))
        for cluster_id, job_id, queue in jobs:
            arguments += [cluster_id, job_id, queue, compact(work[job_id])]
        # First, so that a worker's login, which may not write there, gets no further.
        key, text = self._plan_key(plan["submission_id"]), compact(plan)
        keep = int(retention * 1000)
        is_new = self._connection.call(lambda r: r.set(key, text, px=keep, nx=True))
        submitted = bool(self._of_all(commands.SUBMIT, *arguments, sentences=_SENTENCES))
        if submitted and not is_new:
            # Of an earlier submission of this name, which is gone but for its plan.
            self._connection.call(lambda r: r.set(key, text, px=keep))
        return submitted

    def plan(self, submission_id: str) -> dict[str, t.Any]:
        """The plan of a submission whose node jobs were put into queues.

        :raises CoordinationError: there is none.
        """
        text = self._connection.call(lambda r: t.cast("str | None", r.get(self._plan_key(submission_id))))
        if text is None:
            raise CoordinationError(
                f"submission {submission_id} was never put into queues at {self._connection.settings.address}, or has expired"
            )
        found: dict[str, t.Any] = json.loads(text)
        return found

    def _plan_key(self, submission_id: str) -> str:
        return f"{self._prefix}submission/{submission_id}"


def check_queueing(priority: int, queue_timeout: float) -> None:
    """:raises InputError: a run cannot stand in line so."""
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InputError(f"priority {priority}: right would be {-MAX_PRIORITY} to {MAX_PRIORITY}")
    if queue_timeout <= 0:
        raise InputError("queue_timeout has to be more than 0 seconds")


def _registrations(
    plan: t.Mapping[str, t.Any],
    lease: float,
    retention: float,
    run_timeout: float | None,
    more_fields: t.Mapping[str, t.Any],
) -> list[t.Any]:
    if lease <= 0 or retention <= 0 or (run_timeout is not None and run_timeout <= 0):
        raise InputError("lease, retention and run_timeout have to be more than 0 seconds")
    arguments: list[t.Any] = [len(plan["runs"])]
    for run in plan["runs"]:
        arguments += _registration(plan, run, lease, retention, run_timeout, more_fields)
    return arguments


def _registration(
    plan: t.Mapping[str, t.Any],
    run: t.Mapping[str, t.Any],
    lease: float,
    retention: float,
    run_timeout: float | None,
    more_fields: t.Mapping[str, t.Any],
) -> list[t.Any]:
    cluster_id, nodes = run["cluster_id"], run["nodes"]
    if not nodes:
        raise InputError(f"run {cluster_id} has no node")
    fields: dict[str, t.Any] = {
        "cluster_id": cluster_id,
        "submission_id": plan["submission_id"],
        "number": run["number"],
        "job": plan["job"],
        "name": run["cluster"],
        "nodes": " ".join(node["node"] for node in nodes),
        "params": compact(run["params"]),
        "lease": f"{lease:g}",
        "retention": f"{retention:g}",
        "run_timeout": "" if run_timeout is None else f"{run_timeout:g}",
        "events": max(10000, 50 * len(nodes)),
        "last_job": max((node["job_id"] for node in nodes), key=lambda job: int(job.rpartition(".")[2])),
        **more_fields,
    }
    flat: list[t.Any] = [len(nodes)]
    for node in nodes:
        if records.cluster_of(node["job_id"]) != cluster_id:
            raise InputError(f"job id {node['job_id']} of node {node['node']} does not belong to run {cluster_id}")
        head = records.node_record(
            cluster_id,
            node["node"],
            roles=node["roles"],
            ip=None,
            direct_macs=node["direct_macs"],
            direct_ips=node["direct_ips"],
        )
        member = compact({"job_id": node["job_id"], "roles": node["roles"]})
        flat += [node["node"], node["job_id"], member, records.new_record(head)]
    pairs = [item for pair in fields.items() for item in pair]
    digest = hashlib.sha256("\0".join(map(str, pairs + flat)).encode()).hexdigest()
    return [cluster_id, digest, int(retention * 1000), len(pairs), *pairs, *flat]
