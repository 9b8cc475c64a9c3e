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
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.runs import Runs
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RESULTS_DIR
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError


def read_runs(history: History, plan: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Of each run of a submission its state and its events, as ``write_results`` takes them."""
    ids = [run["cluster_id"] for run in plan["runs"]]
    return [{"info": history.info(name), "events": history.events(name)} for name in ids]


def close_runs(runs: Runs, plan: t.Mapping[str, t.Any]) -> None:
    """From now on it counts how long Redis keeps them."""
    for run in plan["runs"]:
        runs.close(run["cluster_id"])


def _read_and_close(connect: t.Callable[[], Connection], options: Options, check_mode: bool) -> Result:
    """What another machine does, which alone reaches Redis; the files are written on the controller."""
    if options["state"] == "promised":
        raise InputError("state: only on the controller can results be promised")
    connection = connect()
    runs = read_runs(History(connection), options["plan"])
    if not check_mode:
        close_runs(Runs(connection), options["plan"])
    return {"changed": True, "runs": runs}


RESULTS = Operation(
    work=_read_and_close,
    argument_spec={
        "plan": {"type": "dict", "required": True},
        "dest": {"type": "path", "default": DEFAULT_RESULTS_DIR},
        "strict": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["written", "promised"], "default": "written"},
    },
)
