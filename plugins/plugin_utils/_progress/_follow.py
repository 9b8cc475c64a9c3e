# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._grouped_notes import GroupedNotes, Line
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import RunView

SLICE = 1.0
# So long after its verdict a run is taken to be over, though nobody has closed it: its controller may be gone.
CLEAN_UP = 60.0


def follow(coordinator: Coordinator, cluster_id: str | None, *, timeout: float = 0) -> t.Iterator[Line]:
    """What has happened and what happens in a run, or in all that go on now, until they are over.

    :param timeout: end after so many seconds all the same; 0 for no limit.
    """
    if cluster_id is not None:
        ids = [cluster_id]
    else:
        ids = [run["cluster_id"] for run in coordinator.history.runs() if not run["closed"] and run["result"] is None]
    if not ids:
        raise InputError("cluster_id: no run goes on now; name one that is over to see what happened")
    runs = {name: _view(coordinator, name, alone=len(ids) == 1) for name in ids}
    positions = dict.fromkeys(ids, "0")
    notes = GroupedNotes()
    deadline = time.monotonic() + timeout
    while True:
        for name, event in coordinator.history.follow(positions, SLICE):
            for note in runs[name].take(event):
                notes.add(runs[name], note, at=event["time"])
        is_over = all(
            run.closed or (run.end is not None and coordinator.history.now() - run.end > CLEAN_UP)
            for run in (view.history for view in runs.values())
        )
        is_over = is_over or (timeout > 0 and time.monotonic() > deadline)
        yield from notes.lines(everything=is_over)
        if is_over:
            return


def _view(coordinator: Coordinator, cluster_id: str, *, alone: bool) -> RunView:
    nodes = coordinator.history.info(cluster_id)["nodes"]
    return RunView(cluster_id, {name: node["roles"] for name, node in nodes.items()}, name="" if alone else cluster_id)
