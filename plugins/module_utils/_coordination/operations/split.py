# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import (
    DEFAULT_LEASE,
    DEFAULT_QUEUE_TIMEOUT,
    DEFAULT_RETENTION,
    Coordinator,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import compact
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import new_submission_id
from ansible_collections.lab.multidevice.plugins.plugin_utils import _exchange as exchange
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.node_job import node_job

WORK_LIMIT = 4194304
TREES_LIMIT = 67108864
RESULTS_LIMIT = 104857600


def _split(connect: t.Callable[[], Coordinator], options: Options, check_mode: bool) -> Result:
    plan = options["plan"] or plan_of(options)
    changed = False
    limits = {key: options[key] for key in ("lease", "retention", "run_timeout")}
    if options["register"] and check_mode:
        changed = True
    elif options["queued"]:
        queued = {key: options[key] for key in ("priority", "queue_timeout")}
        changed = connect().submit(plan, node_works(plan, options), **queued, **limits)
    elif options["register"]:
        changed = connect().register(plan, **limits)
    return {
        "changed": changed,
        "warnings": plan.get("warnings", []),
        "submission_id": plan["submission_id"],
        "runs": plan["runs"],
        "plan": plan,
    }


def plan_of(options: Options) -> dict[str, t.Any]:
    """Split the job file that the options name."""
    from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission

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


def node_works(plan: t.Mapping[str, t.Any], options: Options) -> dict[str, dict[str, t.Any]]:
    """What the workers of a submission's node jobs are to do, by job_id.

    :raises InputError: a node job is too large to go through Redis.
    """
    works = {}
    settings = {
        "results_limit": RESULTS_LIMIT,
        **options["settings"],
        "lease": options["lease"],
        "retention": options["retention"],
    }
    for run in plan["runs"]:
        for node in run["nodes"]:
            work = {**node_job(plan, run, node), "exchange": options["exchange"], "settings": settings}
            roots = {script["root"] for script in node["scripts"] if script["root"]}
            work["trees"] = {root: checksum for root, checksum in options["trees"].items() if root in roots}
            size = len(compact(work))
            if size > WORK_LIMIT:
                raise InputError(
                    f"{plan['job']}: the node job of {node['node']} takes {size} bytes, more than the {WORK_LIMIT} that may "
                    "go through a queue; put long scripts and variables into files beside the job"
                )
            works[node["job_id"]] = work
    return works


SPLIT = Operation(
    work=_split,
    argument_spec={
        "job": {"type": "path"},
        "plan": {"type": "dict"},
        "submission_id": {"type": "str"},
        "cluster": {"type": "str"},
        "cluster_paths": {"type": "list", "elements": "path", "default": []},
        "script_paths": {"type": "list", "elements": "path", "default": []},
        "direct_network": {"type": "list", "elements": "str", "default": ["192.168.222.0/24"]},
        "one_network_per_mac": {"type": "bool", "default": False},
        "mtu": {"type": "list", "elements": "int"},
        "params": {"type": "raw"},
        "register": {"type": "bool", "default": True},
        "lease": {"type": "float", "default": DEFAULT_LEASE},
        "retention": {"type": "float", "default": DEFAULT_RETENTION},
        "run_timeout": {"type": "float"},
        "queued": {"type": "bool", "default": False},
        "priority": {"type": "int", "default": 0},
        "queue_timeout": {"type": "float", "default": DEFAULT_QUEUE_TIMEOUT},
        "exchange": {"type": "str", "default": exchange.REDIS},
        "trees": {"type": "dict", "default": {}},
        "trees_limit": {"type": "int", "default": TREES_LIMIT},
        "settings": {"type": "dict", "default": {}},
    },
    constraints={"required_one_of": [("job", "plan")], "mutually_exclusive": [("job", "plan")]},
)
