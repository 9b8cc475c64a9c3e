# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    Barrier,
    EventName,
    ScriptKind,
    ScriptState,
    Verdict,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import Event, NodeHistory, RunHistory
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import script_record, table

Outcome = t.Literal["passed", "failed", ""]


@dataclass(frozen=True)
class Note:
    """Something worth a line. Notes of several nodes with the same text make one line."""

    text: str
    node: str | None = None
    seconds: float | None = None
    outcome: Outcome = ""
    failure: str = ""  # what a task said; nothing new when the run's reason says it too


@dataclass
class NodeView:
    """What a node does at this moment."""

    history: NodeHistory
    roles: list[str] = field(default_factory=list)
    doing: str = "is being prepared"
    since: float = 0.0

    def now(self) -> tuple[str, float]:
        """What it does in a few words, and since when."""
        own = self._running(in_background=False)
        for barrier, arrived in self.history.waiting.items():
            return ", ".join([*own, f"waits at {barrier}"]), arrived
        return next(iter(own.items()), (self.doing, self.since))

    def beside(self) -> dict[str, float]:
        """What runs besides, and since when."""
        return self._running(in_background=True)

    def _running(self, *, in_background: bool) -> dict[str, float]:
        return {
            script_record.label(script.record): script.runs_since
            for script in self.history.scripts.values()
            if script.record is not None
            and script.runs_since is not None
            and ScriptKind(script.record["kind"]).properties.in_background is in_background
        }


class RunView:
    """A run at this moment, and what of what happens in it is worth telling."""

    def __init__(self, cluster_id: str, nodes: t.Mapping[str, Sequence[str]], *, name: str = "") -> None:
        self.cluster_id = cluster_id
        self.name = name
        self.history = RunHistory(nodes)
        self.nodes = {node: NodeView(self.history.nodes[node], list(roles)) for node, roles in nodes.items()}

    @property
    def is_going(self) -> bool:
        """Whether its nodes have work to do: from the first sign of one until the last has left."""
        run = self.history
        left = all(node.has(EventName.LEFT) for node in run.nodes.values())
        return run.begin is not None and not run.closed and not left

    def take(self, event: Event) -> list[Note]:
        """Take an event in, and say what of it a person wants to read."""
        before = self.history.verdict
        self.history.take(event)
        name = event["node"]
        if name is not None:
            view = self.nodes.setdefault(name, NodeView(self.history.nodes[name]))
            view.roles = view.history.roles or view.roles
        told = _NOTES.get(event["what"])
        notes = list(told(self, event) or ()) if told else []
        if before is None and self.history.verdict == Verdict.ABORT:
            for node in self.nodes.values():
                node.doing, node.since = "stops", event["time"]
        return notes

    def missing(self) -> list[tuple[str, list[str], float]]:
        """Who is waited for at the barriers of the run that are open: barrier, nodes, since when."""
        if self.history.verdict is not None:
            return []
        return [
            (name, [node for node in self.nodes if node not in barrier.arrived], barrier.first)
            for name, barrier in self.history.barriers.items()
            if barrier.released is None
            and barrier.first is not None
            and len(barrier.arrived) < len(self.nodes)
            and name in list(Barrier)
        ]

    def _goes_on(self, event: Event, doing: str = "", name: str | None = None) -> None:
        node = self.nodes[name or event["node"]]
        if not doing:
            ahead = [barrier for barrier in Barrier if barrier not in node.history.arrivals]
            doing = f"on its way to {ahead[0]}" if ahead else "goes on"
        node.doing, node.since = doing, event["time"]

    def _of_prepared(self, event: Event) -> None:
        self._goes_on(event, "is prepared")

    def _of_write_state(self, event: Event) -> None:
        self._goes_on(event, "binds its direct links")

    def _of_started(self, event: Event) -> None:
        self._goes_on(event)

    def _of_left(self, event: Event) -> None:
        self._goes_on(event, "has left")

    def _of_results_lost(self, event: Event) -> t.Iterator[Note]:
        text = event["data"]["text"]
        yield Note(f"the results could not be fetched: {text}", event["node"], outcome="failed", failure=text)

    def _of_release(self, event: Event) -> t.Iterator[Note]:
        barrier, moment = event["data"], event["time"]
        meeting = self.history.barriers[barrier]
        for name in meeting.arrived:
            self._goes_on(event, "collects its results" if barrier == Barrier.FINISH else "", name)
        if barrier == Barrier.FINISH:
            took = _format.duration(moment - (self.history.begin or moment))
            yield Note(f"finish after {took}", outcome="passed")
            return
        last = f", {meeting.last[0]} {_format.duration(meeting.ahead)} after the others" if meeting.ahead > 1 else ""
        yield Note(f"{barrier}: {_format.count(len(meeting.arrived), 'node')} together{last}")

    def _of_script(self, event: Event) -> t.Iterator[Note]:
        script = event["data"]["script"]
        label = script_record.label(script)
        if event["data"].get("ready"):
            yield Note(f"{label} is ready", event["node"], event["data"]["at"] - script["started"])
        elif script["state"] == ScriptState.RUNNING:
            if script["kind"] == ScriptKind.TEST:
                yield Note(f"{label} runs", event["node"])
        elif script["state"] == ScriptState.ENDED:
            if self.history.verdict is None:
                self._goes_on(event)
            if not script["stopped"]:
                yield _ended(script, event["node"])

    def _of_abort(self, event: Event) -> t.Iterator[Note]:
        if event["node"] is not None:
            self._goes_on(event, "has aborted")
        reason = self.history.reason
        if reason is not None and reason is event["data"]:
            yield Note(f"abort: {table.reason(reason)}", outcome="failed")


_NOTES: dict[str, t.Callable[[RunView, Event], t.Iterator[Note] | None]] = {
    EventName.PREPARED: RunView._of_prepared,
    EventName.WRITE_STATE: RunView._of_write_state,
    EventName.STARTED: RunView._of_started,
    EventName.LEFT: RunView._of_left,
    EventName.RESULTS_LOST: RunView._of_results_lost,
    EventName.RELEASE: RunView._of_release,
    EventName.SCRIPT: RunView._of_script,
    EventName.ABORT: RunView._of_abort,
}


def _ended(script: t.Mapping[str, t.Any], node: str) -> Note:
    failed = script_record.has_failed(script)
    how = "has ended"
    if failed:
        how = "timed out" if script["timed_out"] else f"ended with exit code {script['exit_code']}"
    text = f"{script_record.label(script)} {how}"
    return Note(text, node, script_record.seconds(script), "failed" if failed else "")
