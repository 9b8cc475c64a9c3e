# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The node jobs of a plan, as they are handed out: to the machines of a play, or to workers through queues."""

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import compact
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.planned import NodeJob, Plan, PlannedNode, PlannedRun

WORK_LIMIT = 4194304


def node_job(plan: Plan, run: PlannedRun, node: PlannedNode) -> NodeJob:
    """What a machine is told of its part of a run."""
    return {
        **node,
        "cluster_id": run["cluster_id"],
        "number": run["number"],
        "params": run["params"],
        "submission_id": plan["submission_id"],
    }


def node_jobs_by_machine(plan: Plan) -> dict[str, list[dict[str, t.Any]]]:
    """For each machine its node jobs, one for each run of the submission; an empty one where it has no part in the run.

    Each has ``last`` besides, which is true when the machine has no part in a later run.
    """
    jobs: dict[str, list[dict[str, t.Any]]] = {}
    for index, run in enumerate(plan["runs"]):
        for node in run["nodes"]:
            of_node = jobs.setdefault(node["node"], [{} for _run in plan["runs"]])
            of_node[index] = {**node_job(plan, run, node)}
    for of_node in jobs.values():
        parts = [job for job in of_node if job]
        for job in parts:
            job["last"] = job is parts[-1]
    return jobs


def queued_node_jobs(plan: Plan, trees: t.Mapping[str, str], **more: t.Any) -> dict[str, dict[str, t.Any]]:
    """The node jobs of a submission as they go into queues, by job_id.

    :param trees: folder of scripts → checksum; each node job names those that its scripts are in.
    :param more: what the workers are told besides.
    :raises InputError: a node job is too large to go through Redis.
    """
    jobs: dict[str, dict[str, t.Any]] = {}
    for run in plan["runs"]:
        for node in run["nodes"]:
            roots = {script["root"] for script in node["scripts"] if script["root"]}
            mine = {root: checksum for root, checksum in trees.items() if root in roots}
            job = {**node_job(plan, run, node), **more, "trees": mine}
            size = len(compact(job))
            if size > WORK_LIMIT:
                raise InputError(
                    f"{plan['job']}: the node job of {node['node']} takes {size} bytes, more than the {WORK_LIMIT} that may "
                    "go through a queue; put long scripts and variables into files beside the job"
                )
            jobs[node["job_id"]] = job
    return jobs
