# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.nodes import Nodes
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.runs import Runs
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Report, make_reason


def _report(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    state, job_id = options["state"], options["job_id"]
    reason = make_reason(options["reason"] or "", script=options["script"], exit_code=options["exit_code"])
    if not job_id:
        if state not in (Report.ABORT, "absent"):
            raise InputError(f"state {state} belongs to one node; give its job_id, not a cluster_id")
        if state == "absent":
            return {"changed": Runs(connect()).remove(options["cluster_id"], dry=check_mode)}
        return {"changed": Runs(connect()).abort(options["cluster_id"], reason, dry=check_mode)}
    if state == "write_state":
        changed = Nodes(connect()).write_state(
            job_id,
            ip=options["ip"],
            roles=options["roles"],
            direct_macs=options["direct_macs"],
            direct_ips=options["direct_ips"],
            dry=check_mode,
        )
        return {"changed": changed, "verdict": None, "reason": None}
    report = Nodes(connect()).report(job_id, state, reason, dry=check_mode)
    return {"changed": report.changed, "verdict": report.verdict, "reason": report.reason}


STATE = Operation(
    work=_report,
    argument_spec={
        "job_id": {"type": "str"},
        "cluster_id": {"type": "str"},
        "state": {
            "type": "str",
            "required": True,
            "choices": ["write_state", *map(str, Report), "absent"],
        },
        "roles": {"type": "list", "elements": "str"},
        "ip": {"type": "str"},
        "direct_macs": {"type": "list", "elements": "str"},
        "direct_ips": {"type": "list", "elements": "str"},
        "reason": {"type": "str"},
        "script": {"type": "str"},
        "exit_code": {"type": "int"},
    },
    constraints={
        "required_one_of": [("job_id", "cluster_id")],
        "mutually_exclusive": [("job_id", "cluster_id")],
        "required_if": [("state", "write_state", ("job_id", "ip")), ("state", "absent", ("cluster_id",))],
    },
)
