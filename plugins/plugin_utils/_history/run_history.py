# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""A run as its events tell it. This is the one reader of the event log: all that shows a run is a view of it."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from dataclasses import dataclass, field

from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier, EventName, Verdict

# {"time": seconds by the clock of Redis, "node": name or None, "what": the event's name, "data": what comes with it}
Event = t.Mapping[str, t.Any]

# A machine can say anything, as often as it likes.
NOTES_LIMIT = 100
_OF_THE_SUPERVISOR = (EventName.SCRIPT, EventName.PHASE, EventName.DIED)


@dataclass
class ScriptHistory:
    """What is known of a script: what its supervisor has said last, and why it failed, if that was said."""

    record: t.Mapping[str, t.Any] | None = None
    runs_since: float | None = None  # by the clock of Redis; None before its start and after its end
    ready_at: float | None = None  # by the clock of its machine
    failure: str | None = None
    tail: str | None = None


@dataclass
class NodeHistory:
    """What is known of a node."""

    name: str
    first: float | None = None
    last: float | None = None
    moments: dict[str, float] = field(default_factory=dict)  # event → when it came first
    arrivals: dict[str, float] = field(default_factory=dict)  # barrier → when
    waiting: dict[str, float] = field(default_factory=dict)  # those of them that were not released yet
    scripts: dict[str, ScriptHistory] = field(default_factory=dict)  # in the order in which they were heard of
    notes: list[str] = field(default_factory=list)  # what was warned of, such as what was cut of its results
    lost_results: str | None = None  # why they could not be fetched
    roles: list[str] | None = None
    # The clock of Redis less that of the machine. An event cannot come before it happened: it is the least that was seen.
    clock_offset: float | None = None

    def has(self, event: EventName) -> bool:
        """Whether this has happened."""
        return event in self.moments


@dataclass
class BarrierHistory:
    """Who came to a barrier when, and when it was released."""

    arrived: dict[str, float] = field(default_factory=dict)
    released: float | None = None

    @property
    def first(self) -> float | None:
        """When the first node came."""
        return min(self.arrived.values(), default=None)

    @property
    def last(self) -> list[str]:
        """The node that the others waited for; several when they came together."""
        latest = max(self.arrived.values(), default=None)
        return [node for node, moment in self.arrived.items() if moment == latest]

    @property
    def ahead(self) -> float:
        """How long before the last node the one before it had come: what was waited for that node alone."""
        moments = sorted(self.arrived.values())
        return moments[-1] - moments[-2] if len(moments) > 1 else 0.0


class RunHistory:
    """What has happened in a run, and what is so now."""

    def __init__(self, nodes: Iterable[str] = ()) -> None:
        self.nodes = {name: NodeHistory(name) for name in nodes}
        self.barriers: dict[str, BarrierHistory] = {}
        self.registered: float | None = None
        self.begin: float | None = None  # the first sign of a node
        self.aborted: float | None = None
        self.end: float | None = None
        self.verdict: Verdict | None = None
        self.reason: t.Mapping[str, t.Any] | None = None
        self.start_skew: float | None = None
        self.notes: list[str] = []  # what was warned of that is no single node's
        self.closed = False

    @classmethod
    def of(cls, events: Iterable[Event], nodes: Iterable[str] = ()) -> RunHistory:
        """The history that these events tell, in the order in which they were recorded."""
        history = cls(nodes)
        for event in events:
            history.take(event)
        return history

    def take(self, event: Event) -> None:
        """Take the next event in. Names that are not known are of another version, and passed over."""
        moment: float = event["time"]
        what: str = event["what"]
        data: t.Any = event.get("data")
        node = self._node(event.get("node"), what, moment)
        if what in _OF_THE_SUPERVISOR and node is not None and "at" in data:
            delay = moment - data["at"]
            node.clock_offset = delay if node.clock_offset is None else min(node.clock_offset, delay)
        taker = _TAKERS.get(what)
        if taker is not None:
            taker(self, node, data, moment)

    def _node(self, name: str | None, what: str, moment: float) -> NodeHistory | None:
        if name is None:
            return None
        if self.begin is None:
            self.begin = moment
        node = self.nodes.setdefault(name, NodeHistory(name))
        node.first = moment if node.first is None else node.first
        node.last = moment
        node.moments.setdefault(what, moment)
        return node

    def _take_registered(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        self.registered = moment if self.registered is None else self.registered

    def _take_write_state(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        if node is not None and isinstance(data, dict):
            node.roles = list(data["roles"])

    def _take_arrive(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        if node is not None:
            barrier = self.barriers.setdefault(data, BarrierHistory())
            barrier.arrived.setdefault(node.name, moment)
            node.arrivals.setdefault(data, moment)
            if barrier.released is None and self.verdict is None:
                node.waiting[data] = node.arrivals[data]

    def _take_given_back(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        """Whoever takes the node job next arrives again."""
        if node is not None:
            for barrier in node.waiting:
                self.barriers[barrier].arrived.pop(node.name, None)
                node.arrivals.pop(barrier, None)
            node.waiting.clear()

    def _take_release(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        barrier = self.barriers.setdefault(data, BarrierHistory())
        barrier.released = moment if barrier.released is None else barrier.released
        for came in barrier.arrived:
            self.nodes[came].waiting.pop(data, None)
        if data == Barrier.FINISH:
            self._end(Verdict.FINISH, None, moment)

    def _take_abort(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        if self.aborted is None:
            self.aborted = moment
        if node is not None:
            node.waiting.clear()
        if isinstance(data, dict):
            self._end(Verdict.ABORT, data, moment)

    def _end(self, verdict: Verdict, reason: t.Any, moment: float) -> None:
        if self.verdict is None:
            self.verdict, self.reason, self.end = verdict, reason, moment
            for node in self.nodes.values():
                node.waiting.clear()

    def _take_script(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        if node is None:
            return
        record = data["script"]
        script = node.scripts.setdefault(record["id"], ScriptHistory())
        script.record = record
        if data.get("ready"):
            script.ready_at = data["at"]
        elif record.get("state") == "running":
            script.runs_since = moment
        elif record.get("state") == "ended":
            script.runs_since = None
        if data.get("tail") and record["exit_code"] and not record["stopped"]:
            script.tail = data["tail"]

    def _take_failure(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        if node is not None and data.get("script") and data.get("text"):
            script = node.scripts.setdefault(data["script"], ScriptHistory())
            script.failure = data["text"]
            script.tail = data.get("tail") or script.tail

    def _take_collected(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        if node is not None:
            node.notes += data["notes"]

    def _take_warning(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        notes = self.notes if node is None else node.notes
        if len(notes) < NOTES_LIMIT and data["text"] not in notes:
            notes.append(data["text"])

    def _take_results_lost(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        if node is not None and node.lost_results is None:
            node.lost_results = data["text"]

    def _take_start_skew(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        self.start_skew = data["seconds"] if self.start_skew is None else self.start_skew

    def _take_closed(self, node: NodeHistory | None, data: t.Any, moment: float) -> None:
        self.closed = True


_TAKERS: dict[str, t.Callable[[RunHistory, NodeHistory | None, t.Any, float], None]] = {
    EventName.REGISTERED: RunHistory._take_registered,
    EventName.WRITE_STATE: RunHistory._take_write_state,
    EventName.ARRIVE: RunHistory._take_arrive,
    EventName.GIVEN_BACK: RunHistory._take_given_back,
    EventName.RELEASE: RunHistory._take_release,
    EventName.ABORT: RunHistory._take_abort,
    EventName.SCRIPT: RunHistory._take_script,
    EventName.PHASE: RunHistory._take_failure,
    EventName.DIED: RunHistory._take_failure,
    EventName.COLLECTED: RunHistory._take_collected,
    EventName.WARNING: RunHistory._take_warning,
    EventName.RESULTS_LOST: RunHistory._take_results_lost,
    EventName.START_SKEW: RunHistory._take_start_skew,
    EventName.CLOSED: RunHistory._take_closed,
}
