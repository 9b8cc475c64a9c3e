# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.plugin_utils._job.node_job import node_job


def node_jobs(plan: dict[str, t.Any]) -> dict[str, list[dict[str, t.Any]]]:
    """The node jobs of a submission by machine: for each run of the submission one, or an empty one where the machine
    has no part in the run.

    Each has the keys of its node in the plan, ``cluster_id``, ``number`` and ``params`` of its run, ``submission_id``,
    and ``last``, which is true when the machine has no part in a later run.
    """
    jobs: dict[str, list[dict[str, t.Any]]] = {}
    for index, run in enumerate(plan["runs"]):
        for node in run["nodes"]:
            of_node = jobs.setdefault(node["node"], [{} for _run in plan["runs"]])
            of_node[index] = node_job(plan, run, node)
    for of_node in jobs.values():
        parts = [job for job in of_node if job]
        for job in parts:
            job["last"] = job is parts[-1]
    return jobs


class FilterModule:
    """Filters for playbooks that use the collection's plans."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"node_jobs": node_jobs}
