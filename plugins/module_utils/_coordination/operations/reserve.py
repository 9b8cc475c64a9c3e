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
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.reservations import Reservations
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_LEASE, DEFAULT_SLICE


def _reserve(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    connection, cluster_id = connect(), cluster_of(options["job_id"])
    reservations, machine = Reservations(connection), Nodes(connection).record(options["job_id"])["node"]
    held = reservations.holder(machine) == cluster_id
    if options["state"] == "absent":
        if held and not check_mode:
            reservations.free(cluster_id, machine)
        return {"changed": held, "answer": "released"}
    if held or check_mode or machine == "localhost":
        return {"changed": not held and machine != "localhost", "answer": "reserved", "blockers": []}
    blockers, waited = reservations.reserve(cluster_id, lease=options["lease"], slice_seconds=options["slice"])
    if not blockers:
        return {"changed": True, "answer": "reserved", "blockers": [], "waited": waited}
    result: Result = {
        "changed": False,
        "answer": "retry",
        "blockers": [vars(blocker) for blocker in blockers],
        "waited": waited,
        "msg": ", ".join(map(str, blockers)),
    }
    if options["timeout"] is not None and waited >= options["timeout"]:
        reservations.withdraw(cluster_id)
        result.update(failed=True, msg=f"the machines were not free within {options['timeout']:g} s: {result['msg']}")
    return result


RESERVE = Operation(
    work=_reserve,
    argument_spec={
        "job_id": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "timeout": {"type": "float"},
        "slice": {"type": "float", "default": DEFAULT_SLICE},
        "lease": {"type": "float", "default": DEFAULT_LEASE},
    },
)
