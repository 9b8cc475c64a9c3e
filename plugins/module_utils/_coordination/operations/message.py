# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.messages import Messages
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.nodes import Nodes
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of, explain
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_SLICE
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Verdict


def _exchange(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    if options["operation"] == "send":
        return _send(connect(), options, check_mode)
    return _receive(Messages(connect()), options, check_mode)


def _send(connection: Connection, options: Options, check_mode: bool) -> Result:
    node = Nodes(connection).record(options["job_id"])
    value = options["value"] if isinstance(options["value"], str) else json.dumps(options["value"])
    if check_mode:
        return {"changed": True}
    position = Messages(connection).send(node["cluster_id"], node["node"], options["key"], value)
    return {"changed": True, "position": position}


def _receive(messages: Messages, options: Options, check_mode: bool) -> Result:
    cluster_id, key = cluster_of(options["job_id"]), options["key"]
    asked = f"{options['job_id']}:{key}:{options['position']}"
    waited = 0.0 if check_mode else messages.time_waited(cluster_id, asked)
    left = max(0.0, options["timeout"] - waited)
    seconds = 0.0 if check_mode else min(options["slice"], left)
    began = time.monotonic()
    got = messages.receive(cluster_id, key, position=options["position"], slice_seconds=seconds)
    result: Result = {
        "changed": False,
        "answer": "message" if got.messages else "retry",
        "messages": got.messages,
        "position": got.position,
        "waited": waited + time.monotonic() - began,
    }
    if got.messages:
        result["value"] = got.messages[-1]["value"]
    elif got.verdict == Verdict.ABORT:
        result.update(
            answer=str(Verdict.ABORT), msg=f"run {cluster_id} was aborted: {explain(got.reason)}", failed=True
        )
    elif got.verdict:
        result.update(msg=f"run {cluster_id} has finished and no node sent {key}", failed=True)
    elif not check_mode and left <= options["slice"]:
        result.update(msg=f"run {cluster_id}: no node sent {key} within {options['timeout']:g} s", failed=True)
    if not check_mode and (got.messages or result.get("failed")):
        messages.end_wait(cluster_id, asked)
    return result


MESSAGE = Operation(
    work=_exchange,
    argument_spec={
        "job_id": {"type": "str", "required": True},
        "operation": {"type": "str", "choices": ["send", "receive"], "required": True},
        "key": {"type": "str", "required": True, "no_log": False},
        "value": {"type": "raw"},
        "position": {"type": "str", "default": "0"},
        "timeout": {"type": "float", "default": 600.0},
        "slice": {"type": "float", "default": DEFAULT_SLICE},
    },
    constraints={"required_if": [("operation", "send", ("value",))]},
)
