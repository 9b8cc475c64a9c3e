# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.lab.multidevice.plugins.module_utils import _format as wording
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import table

Event = t.Mapping[str, t.Any]

CORE = ("start", "ready", "finish")


@dataclass(frozen=True)
class Note:
    """Something worth a line. Notes of several nodes with the same text make one line."""

    text: str
    node: str | None = None
    seconds: float | None = None
    mood: str = ""  # good, bad, or empty
    failure: str = ""  # what a task said; nothing new when the run's reason says it too


@dataclass
class NodeView:
    """What is known of a node at this moment."""

    roles: list[str] = field(default_factory=list)
    doing: str = "is being prepared"
    since: float = 0.0
    running: dict[str, tuple[str, str, float]] = field(default_factory=dict)  # id → kind, label, since
    waiting: dict[str, float] = field(default_factory=dict)  # barrier → since

    def now(self) -> tuple[str, float]:
        """What it does in a few words, and since when."""
        for barrier, arrived in self.waiting.items():
            tests = [label for kind, label, _since in self.running.values() if kind in ("setup", "test")]
            return ", ".join([*tests, f"waits at {barrier}"]), arrived
        for kind, label, since in self.running.values():
            if kind in ("setup", "test"):
                return label, since
        return self.doing, self.since

    def beside(self) -> dict[str, float]:
        """What runs besides, and since when."""
        return {label: since for kind, label, since in self.running.values() if kind in ("daemon", "monitor")}


class RunView:
    """What is known of a run at this moment, from its events, and what of it is worth telling."""

    def __init__(self, cluster_id: str, nodes: t.Mapping[str, Sequence[str]], *, name: str = "") -> None:
        self.cluster_id = cluster_id
        self.name = name
        self.nodes = {node: NodeView(list(roles)) for node, roles in nodes.items()}
        self.arrived: dict[str, dict[str, float]] = {}
        self.released: dict[str, float] = {}
        self.begin: float | None = None
        self.end: float | None = None
        self.result: str | None = None
        self.reason: t.Mapping[str, t.Any] | None = None
        self.closed = False

    @property
    def is_going(self) -> bool:
        """Whether its nodes have work to do: from the first sign of one until the last has left."""
        return self.begin is not None and not self.closed and any(n.doing != "has left" for n in self.nodes.values())

    def take(self, event: Event) -> list[Note]:
        """Take an event in, and say what of it a person wants to read."""
        what, moment = event["what"], event["time"]
        if event["node"] is not None:
            if self.begin is None:
                self.begin = moment
            self.nodes.setdefault(event["node"], NodeView())
        handler = getattr(self, f"_{what}", None)
        return list(handler(event, moment) or ()) if handler else []

    def missing(self) -> list[tuple[str, list[str], float]]:
        """Who is waited for at the barriers of the run that are open: barrier, nodes, since when."""
        if self.result is not None:
            return []
        return [
            (barrier, [node for node in self.nodes if node not in came], min(came.values()))
            for barrier, came in self.arrived.items()
            if barrier not in self.released and barrier in CORE
        ]

    def _goes_on(self, event: Event, moment: float, doing: str = "") -> None:
        name = event["node"]
        if not doing:
            ahead = [barrier for barrier in CORE if name not in self.arrived.get(barrier, {})]
            doing = f"on its way to {ahead[0]}" if ahead else "goes on"
        self.nodes[name].doing, self.nodes[name].since = doing, moment

    def _prepared(self, event: Event, moment: float) -> None:
        self._goes_on(event, moment, "is prepared")

    def _write_state(self, event: Event, moment: float) -> None:
        self._goes_on(event, moment, "binds its direct links")
        if isinstance(event["data"], dict):
            self.nodes[event["node"]].roles = list(event["data"]["roles"])

    def _started(self, event: Event, moment: float) -> None:
        self._goes_on(event, moment)

    def _left(self, event: Event, moment: float) -> None:
        self._goes_on(event, moment, "has left")

    def _results_lost(self, event: Event, moment: float) -> t.Iterator[Note]:
        text = event["data"]["text"]
        yield Note(f"the results could not be fetched: {text}", event["node"], mood="bad", failure=text)

    def _closed(self, event: Event, moment: float) -> None:
        self.closed = True

    def _arrive(self, event: Event, moment: float) -> None:
        self.arrived.setdefault(event["data"], {})[event["node"]] = moment
        self.nodes[event["node"]].waiting[event["data"]] = moment

    def _release(self, event: Event, moment: float) -> t.Iterator[Note]:
        barrier = event["data"]
        self.released[barrier] = moment
        came = self.arrived.get(barrier, {})
        for name in came:
            self.nodes[name].waiting.pop(barrier, None)
            self._goes_on({"node": name}, moment, "collects its results" if barrier == "finish" else "")
        if barrier == "finish":
            self.result, self.end = "finish", moment
            yield Note(f"finish after {wording.duration(moment - (self.begin or moment))}", mood="good")
            return
        order = sorted(came, key=lambda name: came[name])
        last = ""
        if len(order) > 1 and came[order[-1]] - came[order[-2]] > 1:
            last = f", {order[-1]} {wording.duration(came[order[-1]] - came[order[-2]])} after the others"
        yield Note(f"{barrier}: {wording.count(len(came), 'node')} together{last}")

    def _script(self, event: Event, moment: float) -> t.Iterator[Note]:
        script = event["data"]["script"]
        label = f"{script['kind']} {script['name']}"
        node = self.nodes[event["node"]]
        if script["state"] == "running" and not event["data"].get("ready"):
            node.running[script["id"]] = (script["kind"], label, moment)
            if script["kind"] == "test":
                yield Note(f"{label} runs", event["node"])
        elif event["data"].get("ready"):
            yield Note(f"{label} is ready", event["node"], event["data"]["at"] - script["started"])
        elif script["state"] == "ended":
            node.running.pop(script["id"], None)
            if self.result is None:
                self._goes_on(event, moment)
            if not script["stopped"]:
                yield _ended(label, script, event["node"])

    def _abort(self, event: Event, moment: float) -> t.Iterator[Note]:
        reason = event["data"]
        if event["node"] is not None:
            self._goes_on(event, moment, "has aborted")
            self.nodes[event["node"]].waiting.clear()
        if self.result is None and isinstance(reason, dict):
            self.result, self.reason, self.end = "abort", reason, moment
            for node in self.nodes.values():
                node.waiting.clear()
                node.doing, node.since = "stops", moment
            yield Note(f"abort: {table.reason(reason)}", mood="bad")


def _ended(label: str, script: t.Mapping[str, t.Any], node: str) -> Note:
    took = None
    if script["started"] is not None and script["finished"] is not None:
        took = script["finished"] - script["started"]
    if script["timed_out"]:
        return Note(f"{label} timed out", node, took, "bad")
    if script["exit_code"] and script["kind"] != "monitor":
        return Note(f"{label} ended with exit code {script['exit_code']}", node, took, "bad")
    return Note(f"{label} has ended", node, took)
