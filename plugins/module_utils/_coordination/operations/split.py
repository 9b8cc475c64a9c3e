# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import (
    DEFAULT_LEASE,
    DEFAULT_RETENTION,
    Coordinator,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._ids import new_submission_id


def _split(connect: t.Callable[[], Coordinator], options: Options, check_mode: bool) -> Result:
    plan = options["plan"] or plan_of(options)
    changed = False
    if options["register"]:
        changed = check_mode or connect().register(
            plan, lease=options["lease"], retention=options["retention"], run_timeout=options["run_timeout"]
        )
    return {
        "changed": changed,
        "warnings": plan.get("warnings", []),
        "submission_id": plan["submission_id"],
        "runs": plan["runs"],
        "plan": plan,
    }


def plan_of(options: Options) -> dict[str, t.Any]:
    """Split the job file that the options name."""
    from ansible_collections.lab.multidevice.plugins.module_utils._job import plan_submission

    return plan_submission(
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
    },
    constraints={"required_one_of": [("job", "plan")], "mutually_exclusive": [("job", "plan")]},
)
