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
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of, roles_ip
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.reservations import Reservations
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.status import describe, describe_queues
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError


def _tell(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    history = History(connect())
    if not options["cluster_id"] and not options["job_id"]:
        return {"changed": False, **_all_runs(connect())}
    cluster_id = options["cluster_id"] or cluster_of(options["job_id"])
    run = history.info(cluster_id)
    result: Result = {
        "changed": False,
        "run": run,
        "status": describe(run, run["now"]),
        "roles_ip": roles_ip(run["nodes"].values()),
        "missing": [
            {"barrier": name, **node}
            for name, barrier in run["barriers"].items()
            if barrier["since"] and not barrier["released"]
            for node in barrier["missing"]
        ],
    }
    if options["events"]:
        result["events"] = history.events(cluster_id)
    return result


def _all_runs(connection: Connection) -> Result:
    history = History(connection)
    runs, now = history.runs(), history.now()
    status = []
    for run in runs:
        try:
            status += describe(run if run["result"] else history.info(run["cluster_id"]), now)
        except CoordinationError:
            # Removed since it was listed.
            continue
    queues, workers = Queues(connection).queues(), Queues(connection).workers()
    status += describe_queues(queues, workers, now)
    waiting = Reservations(connection).waiting()
    return {"runs": runs, "status": status, "queues": queues, "workers": workers, "waiting": waiting}


INFO = Operation(
    work=_tell,
    argument_spec={
        "cluster_id": {"type": "str"},
        "job_id": {"type": "str"},
        "events": {"type": "bool", "default": False},
    },
    constraints={"mutually_exclusive": [("cluster_id", "job_id")]},
)
