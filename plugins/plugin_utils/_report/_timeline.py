# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.lab.multidevice.plugins.module_utils._format import duration
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    Barrier,
    EventName,
    Passes,
    ScriptKind,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import (
    BarrierHistory,
    Event,
    NodeHistory,
    RunHistory,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import script_record

Record = t.Mapping[str, t.Any]

BACKGROUND_ROWS = 3


@dataclass(frozen=True)
class Segment:
    """A stretch of a node's time. `row` 0 is the node's own way through the run, 1 and more what runs beside it."""

    kind: str  # prepare, links, setup, daemon, monitor, test, wait, leave
    start: float
    end: float
    text: str
    row: int = 0
    outcome: str = ""  # failed, stopped, or empty
    barrier: str = ""

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.start)

    @property
    def title(self) -> str:
        return f"{self.text}, {duration(self.seconds)}"


@dataclass
class Lane:
    """A node's time in a run."""

    node: str
    segments: list[Segment] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows of things run beside the node's own way."""
        return max((segment.row for segment in self.segments), default=0)

    @property
    def text(self) -> str:
        """All of it in a sentence."""
        own = sorted((s for s in self.segments if s.row == 0), key=lambda segment: segment.start)
        beside = [segment for segment in self.segments if segment.row]
        told = "; ".join(segment.title for segment in own) or "nothing is known"
        return f"{told}. Beside: {'; '.join(segment.title for segment in beside)}" if beside else told


@dataclass(frozen=True)
class Meeting:
    """A barrier: who came when, and who waited for whom."""

    name: str
    barrier: BarrierHistory
    missing: list[str]
    end: float

    def waited(self, node: str) -> float:
        """How long a node waited here."""
        return max(0.0, self.end - self.barrier.arrived[node])

    @property
    def total(self) -> float:
        """The time of all nodes that was spent waiting."""
        return sum(self.waited(node) for node in self.barrier.arrived)


@dataclass
class Timeline:
    """What every node did in a run, by the clock of Redis."""

    begin: float
    end: float
    lanes: list[Lane]
    meetings: list[Meeting]
    aborted: float | None

    @property
    def seconds(self) -> float:
        return max(self.end - self.begin, 0.001)

    @property
    def ticks(self) -> list[float]:
        """Round numbers of seconds for the axis, nine at most."""
        step = next(step for step in _steps() if self.seconds / step <= 9)
        return [step * number for number in range(int(self.seconds / step) + 1)]


def build(summary: Record, events: Sequence[Event], *, since: t.Mapping[str, float] | None = None) -> Timeline:
    """Make the timeline of a run from its events.

    :param since: when a node's part of an earlier run was over, so that the wait for its turn does not count.
    """
    nodes = summary["nodes"]
    history = RunHistory.of(events, nodes)
    own = {name: history.nodes[name] for name in nodes}
    started = {name: _begin(node, history.registered, (since or {}).get(name)) for name, node in own.items()}
    firsts = [moment for moment in (*started.values(), *(node.first for node in own.values())) if moment is not None]
    begin = min(firsts, default=history.registered or 0.0)
    lasts = [node.last for node in own.values()] + [barrier.released for barrier in history.barriers.values()]
    end = max([begin, *(moment for moment in (*lasts, history.aborted) if moment is not None)])
    meetings = list(_meetings(summary, history, history.aborted or end))
    lanes = [
        Lane(name, list(_segments(name, nodes[name], node, started[name], meetings, history.aborted, end)))
        for name, node in own.items()
    ]
    return Timeline(begin, end, lanes, meetings, history.aborted)


def leaving(events: Iterable[Event]) -> dict[str, float]:
    """When each node was last heard of."""
    return {name: node.last for name, node in RunHistory.of(events).nodes.items() if node.last is not None}


def _begin(own: NodeHistory, registered: float | None, since: float | None) -> float | None:
    if own.first is None:
        return None
    moments = [moment for moment in (registered, since) if moment is not None and moment <= own.first]
    return max(moments, default=own.first)


def _meetings(summary: Record, history: RunHistory, end: float) -> Iterator[Meeting]:
    for name, barrier in history.barriers.items():
        record = summary.get("barriers", {}).get(name, {})
        missing = [entry["node"] for entry in record.get("missing", [])]
        if barrier.arrived:
            yield Meeting(name, barrier, missing, end if barrier.released is None else barrier.released)


def _segments(
    name: str,
    node: Record,
    own: NodeHistory,
    begin: float | None,
    meetings: Sequence[Meeting],
    aborted: float | None,
    end: float,
) -> Iterator[Segment]:
    if own.last is None or begin is None:
        return
    over = aborted or end
    prepared = own.moments.get(EventName.WRITE_STATE, own.moments.get(EventName.PREPARED, over))
    yield Segment("prepare", begin, min(prepared, end), "prepared the machine")
    if own.has(EventName.WRITE_STATE) and node["direct_macs"]:
        linked = own.arrivals.get(Barrier.START, over)
        outcome = "" if Barrier.START in own.arrivals else "stopped"
        yield Segment("links", prepared, max(prepared, linked), "bound the direct links", outcome=outcome)
    for meeting in meetings:
        arrived = meeting.barrier.arrived.get(name)
        if arrived is not None:
            text = f"waited at {meeting.name}" + (" in vain" if meeting.barrier.released is None else "")
            yield Segment("wait", arrived, max(meeting.end, arrived), text, barrier=meeting.name)
    yield from _script_segments(node, own, end)
    finished = next((meeting.barrier.released for meeting in meetings if meeting.name == Barrier.FINISH), None)
    done = finished if aborted is None else aborted
    left = own.moments.get(EventName.LEFT, own.last)
    if done is not None and left > done:
        yield Segment("leave", done, left, "stopped, collected, cleaned up")


def _script_segments(node: Record, own: NodeHistory, end: float) -> Iterator[Segment]:
    # Scripts are timed by the node's clock, all else by that of Redis.
    offset = own.clock_offset or 0.0
    busy_until: list[float] = []
    for script in node["scripts"]:
        if script["started"] is None:
            continue
        start = script["started"] + offset
        stop = end if script["finished"] is None else script["finished"] + offset
        outcome = "failed" if script_record.has_failed(script) else "stopped" if script["stopped"] else ""
        label = script_record.label(script)
        passes = ScriptKind(script["kind"]).properties.passes
        if passes is Passes.WHEN_ENDED:
            yield Segment(script["kind"], start, stop, _ending(label, script), outcome=outcome)
            continue
        known = own.scripts.get(script["id"])
        answered = None if known is None or known.ready_at is None else known.ready_at + offset
        if passes is Passes.WHEN_READY:
            yield Segment(
                script["kind"],
                start,
                stop if answered is None else answered,
                f"started {label}",
                outcome=outcome if answered is None else "",
            )
        if passes is Passes.AT_ONCE or answered is not None:
            row = next((number for number, until in enumerate(busy_until) if until <= start), len(busy_until))
            busy_until[row : row + 1] = [stop]
            failed = outcome if outcome == "failed" else ""
            yield Segment(script["kind"], start, stop, label, row=1 + min(row, BACKGROUND_ROWS - 1), outcome=failed)


def _ending(label: str, script: Record) -> str:
    if script["timed_out"]:
        return f"{label} timed out"
    if script["stopped"]:
        return f"{label} was stopped"
    if script["exit_code"]:
        return f"{label} ended with {script['exit_code']}"
    return label


def _steps() -> Iterator[float]:
    for power in (0.001, 0.01, 0.1, 1):
        yield from (power, 2 * power, 5 * power)
    yield from (10, 20, 30)
    for minutes in (1, 2, 5, 10, 15, 30):
        yield 60 * minutes
    hours = 1
    while True:
        yield 3600 * hours
        hours *= 2
