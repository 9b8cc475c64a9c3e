# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import compact
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError

WORK_LIMIT = 4194304

Part = t.Mapping[str, t.Any]


def node_job(plan: Part, run: Part, node: Part) -> dict[str, t.Any]:
    """What a machine is told of its part of a run: the keys of its node in the plan, and what the run and the submission are."""
    about = {key: run[key] for key in ("cluster_id", "number", "params")}
    return {**node, **about, "submission_id": plan["submission_id"]}


def queued_node_jobs(plan: Part, trees: Part, **more: t.Any) -> dict[str, dict[str, t.Any]]:
    """The node jobs of a submission as they go into queues, by job_id.

    :param trees: folder of scripts → checksum; each node job names those that its scripts are in.
    :param more: what the workers are told besides.
    :raises InputError: a node job is too large to go through Redis.
    """
    jobs = {}
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
