# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

Info = t.Mapping[str, t.Any]
Summary = dict[str, t.Any]

SCRIPT_KEYS = ("id", "name", "kind", "exit_code", "started", "finished", "timed_out", "stopped", "note")


def summarize(runs: t.Sequence[tuple[Info, t.Sequence[Info]]]) -> Summary:
    """What ``summary.json`` holds, of all runs of a submission.

    :param runs: of each run its state and its events, as the coordinator gives them.
    """
    summaries = [_run(info, events) for info, events in runs]
    first = runs[0][0]
    aborted = [run for run in summaries if run["result"] != "finish"]
    return {
        "submission_id": first["submission_id"],
        "job": first["job"],
        "result": "abort" if aborted else "finish",
        "reason": aborted[0]["reason"] if aborted else None,
        "runs": summaries,
    }


def add_metrics(summary: Summary, metrics_of: t.Callable[[Info, str, Info], t.Optional[Info]]) -> None:
    """Add to each script the numbers that it left: ``{name: {"value", "unit"}}``.

    :param metrics_of: gives them for a run, a node's name and a script, None when there are none.
    """
    for run in summary["runs"]:
        for name, node in run["nodes"].items():
            for script in node["scripts"]:
                metrics = metrics_of(run, name, script)
                if metrics:
                    script["metrics"] = dict(metrics)


def _run(info: Info, events: t.Sequence[Info]) -> Summary:
    nodes = {name: _node(node) for name, node in info["nodes"].items()}
    for event in events:
        if event["what"] == "script" and event["node"] in nodes:
            record = event["data"]["script"]
            scripts = nodes[event["node"]]["scripts"]
            scripts[record["id"]] = {key: record.get(key) for key in SCRIPT_KEYS}
    for node in nodes.values():
        node["scripts"] = list(node["scripts"].values())
    finished = info["result"] == "finish"
    reason = info["reason"] or {"node": None, "script": None, "exit_code": None, "text": "the run did not come to its end"}
    return {
        "cluster_id": info["cluster_id"],
        "number": info["number"],
        "result": "finish" if finished else "abort",
        "reason": None if finished else reason,
        "params": info["params"],
        "started": info["started"],
        "finished": info["finished"],
        "nodes": nodes,
    }


def _node(node: Info) -> Summary:
    kept = {key: node[key] for key in ("job_id", "roles", "state", "ip", "direct_ips", "direct_macs")}
    return {**kept, "scripts": {}}
