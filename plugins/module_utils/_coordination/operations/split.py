# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.registration import Registration
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import (
    DEFAULT_EXCHANGE,
    DEFAULT_LEASE,
    DEFAULT_NETWORK,
    DEFAULT_QUEUE_TIMEOUT,
    DEFAULT_RETENTION,
    DEFAULT_TREES_LIMIT,
)
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError


def registration(options: Options) -> dict[str, t.Any]:
    """What the options say about how runs are registered."""
    return {key: options[key] for key in ("lease", "retention", "run_timeout")}


def split_result(plan: dict[str, t.Any], *, changed: bool) -> Result:
    """What the module returns of a plan."""
    return {
        "changed": changed,
        "warnings": plan.get("warnings", []),
        "submission_id": plan["submission_id"],
        "runs": plan["runs"],
        "plan": plan,
    }


def _register(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    plan = options["plan"]
    if plan is None or options["queued"]:
        raise InputError("a job file is split, and a submission put into queues, on the controller only")
    changed = options["register"] and (check_mode or Registration(connect()).register(plan, **registration(options)))
    return split_result(plan, changed=changed)


SPLIT = Operation(
    work=_register,
    argument_spec={
        "job": {"type": "path"},
        "plan": {"type": "dict"},
        "submission_id": {"type": "str"},
        "cluster": {"type": "str"},
        "cluster_paths": {"type": "list", "elements": "path", "default": []},
        "script_paths": {"type": "list", "elements": "path", "default": []},
        "direct_network": {"type": "list", "elements": "str", "default": [DEFAULT_NETWORK]},
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
        "exchange": {"type": "str", "default": DEFAULT_EXCHANGE},
        "trees": {"type": "dict", "default": {}},
        "trees_limit": {"type": "int", "default": DEFAULT_TREES_LIMIT},
        "settings": {"type": "dict", "default": {}},
    },
    constraints={"required_one_of": [("job", "plan")], "mutually_exclusive": [("job", "plan")]},
)
