# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.barriers import Barriers
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RETRIES, DEFAULT_SLICE
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Verdict


def wait(barriers: Barriers, options: Options, arrival: records.Arrival | None = None) -> Result:
    """Wait one slice.

    :param arrival: what arriving has answered, if that has been done.
    """
    answer = barriers.wait(
        options["job_id"],
        options["name"],
        arrival=arrival,
        slice_seconds=options["slice"],
        retries=options["retries"],
        pause=options["pause"] or 0.0,
        **who_and_how_long(options),
    )
    return _result(options, vars(answer))


def who_and_how_long(options: Options) -> dict[str, t.Any]:
    """Who takes part in the barrier, and for how long it is waited for."""
    return {key: options[key] for key in ("nodes", "roles", "timeout")}


def _meet(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    barriers = Barriers(connect())
    if options["operation"] == "wait" and not check_mode:
        return wait(barriers, options)
    arrival = barriers.arrive(options["job_id"], options["name"], dry=check_mode, **who_and_how_long(options))
    return _result(options, {**vars(arrival), "answer": arrival.verdict or "retry", "missing": []})


def _result(options: Options, told: t.Mapping[str, t.Any]) -> Result:
    result = {key: told[key] for key in ("changed", "answer", "reason", "missing", "waited", "retries")}
    if result["answer"] == Verdict.ABORT:
        cluster_id = records.cluster_of(options["job_id"])
        result["msg"] = f"run {cluster_id} was aborted: {records.explain(result['reason'])}"
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
