# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    Reason,
    ReasonKind,
    Verdict,
    make_reason,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import NodeHistory, RunHistory
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import node_outcome
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.metrics import Measured

Info = t.Mapping[str, t.Any]
Summary = dict[str, t.Any]

SCRIPT_KEYS = ("id", "name", "kind", "exit_code", "started", "finished", "timed_out", "stopped", "note")


def summarize(runs: t.Sequence[tuple[Info, Info, t.Sequence[Info]]]) -> Summary:
    """What ``summary.json`` holds, of all runs of a submission.

    :param runs: of each run its plan, and its state and its events as the coordinator gives them.
    """
    summaries = [_run(plan, info, events) for plan, info, events in runs]
    first = runs[0][1]
    aborted = [run for run in summaries if run["result"] != Verdict.FINISH]
    return {
        "submission_id": first["submission_id"],
        "job": first["job"],
        "result": str(Verdict.ABORT if aborted else Verdict.FINISH),
        "reason": aborted[0]["reason"] if aborted else None,
        "runs": summaries,
    }


def add_metrics(summary: Summary, measured_by: t.Callable[[Info, str, Info], Measured]) -> None:
    """Add to each script the numbers that it left: ``{name: {"value", "unit"}}``; and to its node what could not be used.

    :param measured_by: gives both for a run, a node's name and a script.
    """
    for run in summary["runs"]:
        for name, node in run["nodes"].items():
            for script in node["scripts"]:
                measured = measured_by(run, name, script)
                if measured.metrics:
                    script["metrics"] = measured.metrics
                node["notes"] += [f"{script['kind']} {script['name']}: {note}" for note in measured.notes]


def _run(plan: Info, info: Info, events: t.Sequence[Info]) -> Summary:
    history = RunHistory.of(events, info["nodes"])
    planned = {node["node"]: node["scripts"] for node in plan["nodes"]}
    nodes = {name: _node(node, planned.get(name, ()), history.nodes[name]) for name, node in info["nodes"].items()}
    reason = info["reason"] or _lost_results(nodes, history)
    finished = info["result"] == Verdict.FINISH and reason is None
    if not finished and reason is None:
        reason = {"node": None, "script": None, "exit_code": None, "text": "the run did not come to its end"}
    run = {
        "cluster_id": info["cluster_id"],
        "number": info["number"],
        "result": str(Verdict.FINISH if finished else Verdict.ABORT),
        "reason": reason,
        "cluster": info["cluster"],
        "params": info["params"],
        "started": info["started"],
        "finished": info["finished"],
        "barriers": info["barriers"],
        "start_skew": history.start_skew,
        "notes": history.notes,
        "nodes": nodes,
    }
    for name, node in nodes.items():
        node["text"] = node_outcome.describe(name, node, run, history.nodes[name])
        node["notes"] = history.nodes[name].notes
    return run


def _lost_results(nodes: t.Iterable[str], history: RunHistory) -> Reason | None:
    """The reason why a run does not count as good although all of its scripts do."""
    for name in nodes:
        why = history.nodes[name].lost_results
        if why is not None:
            text = f"the results of {name} could not be fetched: {why}"
            return make_reason(text, node=name, kind=ReasonKind.RESULTS_LOST)
    return None


def _node(node: Info, planned: t.Sequence[Info], history: NodeHistory) -> Summary:
    kept = {key: node[key] for key in ("job_id", "roles", "state", "ip", "direct_ips", "direct_macs")}
    scripts = {item["id"]: {key: item.get(key) for key in SCRIPT_KEYS} for item in planned}
    for script in scripts.values():
        script.update(timed_out=False, stopped=False)
    for name, known in history.scripts.items():
        if known.record is not None:
            scripts[name] = {key: known.record.get(key) for key in SCRIPT_KEYS}
        if name in scripts:
            said = {"tail": known.tail, "failure": known.failure}
            scripts[name].update({key: text for key, text in said.items() if text is not None})
    return {**kept, "scripts": list(scripts.values())}
