# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RETRIES, DEFAULT_SLICE


def _meet(connect: t.Callable[[], Coordinator], options: Options, check_mode: bool) -> Result:
    job_id, barrier = options["job_id"], options["name"]
    asked = {key: options[key] for key in ("nodes", "roles", "timeout")}
    if options["operation"] == "arrive" or check_mode:
        arrival = connect().arrive(job_id, barrier, dry=check_mode, **asked)
        result: Result = {
            "changed": arrival.changed,
            "answer": arrival.verdict or "retry",
            "reason": arrival.reason,
            "missing": [],
            "waited": arrival.waited,
            "retries": arrival.retries,
        }
    else:
        answer = connect().wait(
            job_id,
            barrier,
            slice_seconds=options["slice"],
            retries=options["retries"],
            pause=options["pause"] or 0.0,
            **asked,
        )
        result = {
            "changed": answer.changed,
            "answer": answer.answer,
            "reason": answer.reason,
            "missing": answer.missing,
            "waited": answer.waited,
            "retries": answer.retries,
        }
    if result["answer"] == "abort":
        result["msg"] = f"run {records.cluster_of(job_id)} was aborted: {records.explain(result['reason'])}"
        result["failed"] = options["fail_on_abort"]
    return result


BARRIER = Operation(
    work=_meet,
    argument_spec={
        "job_id": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "operation": {"type": "str", "choices": ["arrive", "wait"], "default": "wait"},
        "nodes": {"type": "list", "elements": "str"},
        "roles": {"type": "list", "elements": "str"},
        "timeout": {"type": "float"},
        "retries": {"type": "int", "default": DEFAULT_RETRIES},
        "slice": {"type": "float", "default": DEFAULT_SLICE},
        "pause": {"type": "float"},
        "fail_on_abort": {"type": "bool", "default": True},
    },
    constraints={"mutually_exclusive": [("nodes", "roles")]},
)
