# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import Note, Outcome, RunView

TOGETHER = 1.0
LONGEST = 5.0

Line = tuple[str, Outcome]  # text, and whether it says that something passed or failed


@dataclass
class _Group:
    run: RunView
    note: Note
    opened: float
    joined: float
    at: float
    nodes: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class GroupedNotes:
    """Gathers notes for a moment, so that what many nodes do at once is one line."""

    def __init__(self) -> None:
        self._groups: list[_Group] = []

    def add(self, run: RunView, note: Note, *, at: float | None = None) -> None:
        """Note something of a run. `at`: when it happened, now if not given."""
        now = time.monotonic()
        key = (run.cluster_id, note.text, note.outcome, note.failure)
        for group in self._groups:
            if (group.run.cluster_id, group.note.text, group.note.outcome, group.note.failure) == key:
                break
        else:
            group = _Group(run, note, now, now, time.time() if at is None else at)
            self._groups.append(group)
        group.joined = now
        if note.node is not None and note.node not in group.nodes:
            group.nodes.append(note.node)
        if note.seconds is not None:
            group.seconds.append(note.seconds)

    def lines(self, *, everything: bool = False) -> t.Iterator[Line]:
        """The lines that no other node will join any more, in the order in which they began."""
        while self._groups and (everything or _is_over(self._groups[0])):
            group = self._groups.pop(0)
            if not (group.note.failure and _is_said(group.note.failure, group.run)):
                yield _line(group), group.note.outcome


def _is_over(group: _Group) -> bool:
    now = time.monotonic()
    return now - group.joined > TOGETHER or now - group.opened > LONGEST


def _line(group: _Group) -> str:
    moment = time.strftime("%H:%M:%S", time.localtime(group.at))
    run = f"{group.run.name}: " if group.run.name else ""
    order = {name: number for number, name in enumerate(group.run.nodes)}
    nodes = sorted(group.nodes, key=lambda name: order.get(name, len(order)))
    who = f"{_format.names(nodes)}: " if nodes else ""
    took = f" ({_format.span(group.seconds)})" if group.seconds else ""
    return f"{moment} {run}{who}{group.note.text}{took}"


def _is_said(failure: str, run: RunView) -> bool:
    """Whether the run's reason says what a task has failed with; all other nodes' tasks repeat it."""
    text = str(run.history.reason["text"]) if run.history.reason else ""
    return bool(text) and (text in failure or failure in text)
