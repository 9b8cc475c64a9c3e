# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The commands that change what Redis holds, each a script in Lua that Redis runs in one step; lua/ says what each does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._coordination._lua import COMMANDS, INCLUDES


@dataclass(frozen=True)
class Command:
    """A script for Redis, which knows those that it has had by their SHA."""

    name: str
    text: str
    sha: str


def _command(name: str) -> Command:
    includes, code = COMMANDS[name]
    text = "\n".join([*(INCLUDES[include] for include in includes), code])
    return Command(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


ABORT_RUN = _command("abort_run")
ARRIVE = _command("arrive")
CLOSE_RUN = _command("close_run")
DROP_LEASE = _command("drop_lease")
FINISH_JOB = _command("finish_job")
FREE_MACHINE = _command("free_machine")
GO_ALONG_LINE = _command("go_along_line")
LEAVE_LINE = _command("leave_line")
RECEIVING = _command("receiving")
RECORD_EVENT = _command("record_event")
REGISTER_RUNS = _command("register_runs")
REGISTER_WORKER = _command("register_worker")
REMOVE_RUN = _command("remove_run")
RENEW_LEASES = _command("renew_leases")
RENEW_RESERVATION = _command("renew_reservation")
RENEW_WORKER = _command("renew_worker")
REPORT = _command("report")
RESERVE_MACHINES = _command("reserve_machines")
SEND_MESSAGE = _command("send_message")
SUBMIT = _command("submit")
SWEEP = _command("sweep")
UNREGISTER_WORKER = _command("unregister_worker")
WRITE_STATE = _command("write_state")
