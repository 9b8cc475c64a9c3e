# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.history import History
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import Queues
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.runs import Runs
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RESULTS_DIR
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason

CANCELLED = "an operator cancelled the submission"


def _end(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    if options["state"] != "absent":
        raise InputError("state: only on the controller can results be collected")
    connection = connect()
    submission_id = options["submission_id"]
    ids = [run["cluster_id"] for run in History(connection).runs() if run["submission_id"] == submission_id]
    if not ids:
        raise CoordinationError(
            f"submission {submission_id} is not known to Redis: never registered, removed or expired"
        )
    cancelled = [
        cluster_id
        for cluster_id in ids
        if Runs(connection).abort(cluster_id, make_reason(options["reason"] or CANCELLED), dry=check_mode)
    ]
    if not check_mode:
        Queues(connection).go_along_line()
    return {"changed": bool(cancelled), "cancelled": cancelled, "runs": ids}


QUEUE = Operation(
    work=_end,
    argument_spec={
        "submission_id": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["collected", "absent"], "required": True},
        "reason": {"type": "str"},
        "dest": {"type": "path", "default": DEFAULT_RESULTS_DIR},
        "timeout": {"type": "float", "default": 0},
    },
)
