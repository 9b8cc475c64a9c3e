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


def keys(prefix: str, cluster_id: str = "") -> list[str]:
    """KEYS of a command: of one run, or of all runs and what is shared by them."""
    return [f"{prefix}cluster_state", f"{prefix}id2cluster", f"{prefix}runs", f"{prefix}cluster/{cluster_id}"]


ABORT = _command("abort")
ARRIVE = _command("arrive")
CLOSE = _command("close")
EVENT = _command("event")
RECEIVING = _command("receiving")
REGISTER = _command("register")
RELEASE_LEASE = _command("release_lease")
RELEASE_MACHINE = _command("release_machine")
REMOVE = _command("remove")
RENEW = _command("renew")
RENEW_RESERVATION = _command("renew_reservation")
REPORT = _command("report")
RESERVE = _command("reserve")
SEND = _command("send")
SUBMIT = _command("submit")
SWEEP = _command("sweep")
TURN = _command("turn")
WITHDRAW = _command("withdraw")
WORKER_COMES = _command("worker_comes")
WORKER_DONE = _command("worker_done")
WORKER_LEAVES = _command("worker_leaves")
WORKER_RENEWS = _command("worker_renews")
WRITE_STATE = _command("write_state")
