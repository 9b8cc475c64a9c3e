# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.plugin_utils._results import node_outcome

Info = t.Mapping[str, t.Any]
Summary = dict[str, t.Any]

SCRIPT_KEYS = ("id", "name", "kind", "exit_code", "started", "finished", "timed_out", "stopped", "note")


def summarize(runs: t.Sequence[tuple[Info, Info, t.Sequence[Info]]]) -> Summary:
    """What ``summary.json`` holds, of all runs of a submission.

    :param runs: of each run its plan, and its state and its events as the coordinator gives them.
    """
    summaries = [_run(plan, info, events) for plan, info, events in runs]
    first = runs[0][1]
    aborted = [run for run in summaries if run["result"] != "finish"]
    return {
        "submission_id": first["submission_id"],
        "job": first["job"],
        "result": "abort" if aborted else "finish",
        "reason": aborted[0]["reason"] if aborted else None,
        "runs": summaries,
    }


def add_metrics(summary: Summary, metrics_of: t.Callable[[Info, str, Info], Info | None]) -> None:
    """Add to each script the numbers that it left: ``{name: {"value", "unit"}}``.

    :param metrics_of: gives them for a run, a node's name and a script, None when there are none.
    """
    for run in summary["runs"]:
        for name, node in run["nodes"].items():
            for script in node["scripts"]:
                metrics = metrics_of(run, name, script)
                if metrics:
                    script["metrics"] = dict(metrics)


def has_failed(script: Info) -> bool:
    """Whether a script is a failure of its own; one that was stopped because the run was over is not."""
    if script.get("failure") or script["timed_out"]:
        return True
    return script["kind"] != "monitor" and not script["stopped"] and script["exit_code"] not in (None, 0)


def _run(plan: Info, info: Info, events: t.Sequence[Info]) -> Summary:
    planned = {node["node"]: node["scripts"] for node in plan["nodes"]}
    nodes = {name: _node(node, planned.get(name, ())) for name, node in info["nodes"].items()}
    for event in events:
        if event["node"] in nodes:
            _note(nodes[event["node"]]["scripts"], event)
    for node in nodes.values():
        node["scripts"] = list(node["scripts"].values())
    reason = info["reason"] or _lost_results(list(nodes), events)
    finished = info["result"] == "finish" and reason is None
    if not finished and reason is None:
        reason = {"node": None, "script": None, "exit_code": None, "text": "the run did not come to its end"}
    run = {
        "cluster_id": info["cluster_id"],
        "number": info["number"],
        "result": "finish" if finished else "abort",
        "reason": reason,
        "cluster": info["cluster"],
        "params": info["params"],
        "started": info["started"],
        "finished": info["finished"],
        "barriers": info["barriers"],
        "start_skew": next((event["data"]["seconds"] for event in events if event["what"] == "start_skew"), None),
        "nodes": nodes,
    }
    for name, node in nodes.items():
        of_node = [event for event in events if event["node"] == name]
        node["text"] = node_outcome.tell(name, node, run, of_node)
        node["notes"] = [note for event in of_node if event["what"] == "collected" for note in event["data"]["notes"]]
    return run


def _lost_results(nodes: t.Sequence[str], events: t.Sequence[Info]) -> Info | None:
    """The reason why a run does not count as good although all of its scripts do."""
    lost = {event["node"]: event["data"]["text"] for event in events if event["what"] == node_outcome.RESULTS_LOST}
    for name in nodes:
        if name in lost:
            text = f"the results of {name} could not be fetched: {lost[name]}"
            return {"node": name, "script": None, "exit_code": None, "text": text, "kind": node_outcome.RESULTS_LOST}
    return None


def _node(node: Info, planned: t.Sequence[Info]) -> Summary:
    kept = {key: node[key] for key in ("job_id", "roles", "state", "ip", "direct_ips", "direct_macs")}
    never_run = {
        "exit_code": None,
        "started": None,
        "finished": None,
        "timed_out": False,
        "stopped": False,
        "note": None,
    }
    scripts = {
        item["id"]: {"id": item["id"], "name": item["name"], "kind": item["kind"], **never_run} for item in planned
    }
    return {**kept, "scripts": scripts}


def _note(scripts: Summary, event: Info) -> None:
    what, data = event["what"], event["data"]
    if what == "script":
        record = data["script"]
        known = scripts.get(record["id"], {})
        script = scripts[record["id"]] = {key: record.get(key) for key in SCRIPT_KEYS}
        script.update({key: known[key] for key in ("failure", "tail") if key in known})
        if data.get("tail") and script["exit_code"] and not script["stopped"]:
            script["tail"] = data["tail"]
    elif what in ("phase", "died") and data.get("script") in scripts and data.get("text"):
        script = scripts[data["script"]]
        script["failure"] = data["text"]
        if data.get("tail"):
            script["tail"] = data["tail"]
