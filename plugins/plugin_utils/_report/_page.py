# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier, ScriptKind, Verdict
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _logs, _template, _timeline
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._store import StoredRun, Submission
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import (
    matrix,
    metrics,
    run_warnings,
    script_record,
    table,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.node_outcome import came_to_its_end

View = dict[str, t.Any]
Record = t.Mapping[str, t.Any]

ROW = 18
THINNEST = 0.2
CLOSE = 11
# Nobody looks for what was lost in a shorter wait.
SHORTEST_WAIT = 0.1
# Classes in report.css of what a node does, and of its waits at the barriers of the run.
SCRIPTS: dict[str, str] = {ScriptKind.SETUP: "s", ScriptKind.DAEMON: "d", ScriptKind.MONITOR: "m", ScriptKind.TEST: "t"}
KINDS: dict[str, str] = {"prepare": "p", "links": "l", **SCRIPTS, "leave": "e", "wait": "w"}
WAITS: dict[str, str] = {Barrier.START: "ws", Barrier.READY: "wr", Barrier.FINISH: "wf"}
LEGEND = {
    "p": "prepare",
    "l": "links",
    **{name: str(kind) for kind, name in SCRIPTS.items()},
    **{name: f"waits at {barrier}" for barrier, name in WAITS.items()},
    "w": "waits at another barrier",
    "f": "failed",
    "x": "stopped",
    "e": "clean up",
}


def page(submission: Submission) -> str:
    """The report of a submission: one page that needs nothing else."""
    summary = submission.summary
    runs = summary["runs"]
    outputs = _logs.read_all(submission)
    columns = matrix.columns(runs)
    params = matrix.varied(runs)
    views = []
    left: dict[str, float] = {}
    for stored in submission.runs:
        timeline = _timeline.build(stored.summary, stored.events, since=left)
        left.update(_timeline.leaving(stored.events))
        views.append(_run(stored, timeline, outputs, params))
    _open_runs(views)
    _add_cells(views, runs, columns)
    first_aborted = next((run for run in runs if run["result"] != Verdict.FINISH), None)
    return _template.render(
        "report.html.j2",
        title=f"{summary['result']}: {_name(summary)}",
        job=_name(summary),
        result=summary["result"],
        started=min((run["started"] for run in runs if run["started"] is not None), default=None),
        facts=_facts(summary),
        reason={"run": first_aborted["number"], "text": table.reason(first_aborted["reason"])}
        if first_aborted
        else None,
        aborted=sum(run["result"] != Verdict.FINISH for run in runs),
        warned=run_warnings.count(summary.get("warnings", ())),
        warnings=run_warnings.lines(summary.get("warnings", ()), several_runs=len(runs) > 1),
        params=params,
        columns=columns,
        runs=views,
        node_count=max(len(run["nodes"]) for run in runs),
    )


def shares(values: Sequence[float | None]) -> list[str]:
    """How long a bar is for each of several values, in percent of the longest."""
    most = max((abs(value) for value in values if value is not None), default=0.0)
    return ["0" if value is None or not most else _percent(100 * abs(value) / most) for value in values]


def value_cell(cell: matrix.Cell | None, share: str) -> View | None:
    """A number in a table: its text, its bar, and what the mean hides."""
    if cell is None:
        return None
    return {"text": metrics.number(cell.mean), "share": share, "about": cell.about}


def _name(summary: Record) -> str:
    return str(summary["job"]).rpartition("/")[2] or str(summary["submission_id"])


def _facts(summary: Record) -> list[tuple[str, str]]:
    runs = summary["runs"]
    facts = [("submission", summary["submission_id"])]
    if summary["job"] != _name(summary):
        facts.append(("job file", str(summary["job"])))
    clusters = {run["cluster"]: None for run in runs if run.get("cluster")}
    if clusters:
        facts.append(("cluster", ", ".join(clusters)))
    facts.append(("nodes", _roles(runs[0])))
    if len(runs) > 1:
        facts.append(("runs", str(len(runs))))
    starts = [run["started"] for run in runs if run["started"] is not None]
    ends = [run["finished"] for run in runs if run["finished"] is not None]
    if starts and ends:
        facts.append(("took", _format.duration(max(ends) - min(starts))))
    facts += list(matrix.constant(runs).items())
    return facts


def _roles(run: Record) -> str:
    counts: dict[str, int] = {}
    for node in run["nodes"].values():
        for role in node["roles"]:
            counts[role] = counts.get(role, 0) + 1
    return f"{len(run['nodes'])} ({', '.join(f'{number} {role}' for role, number in counts.items())})"


def _open_runs(views: list[View]) -> None:
    """Of many runs, the first that failed is what one wants to see."""
    interesting = next((view for view in views if view["result"] != Verdict.FINISH), views[0])
    for view in views:
        view["open"] = view is interesting


def _add_cells(views: list[View], runs: Sequence[Record], columns: Sequence[matrix.Column]) -> None:
    rows = [matrix.cells(run, columns) for run in runs]
    bars = [shares([matrix.mean(row[number]) for row in rows]) for number in range(len(columns))]
    took = [script_record.seconds(run) for run in runs]
    for number, (view, row) in enumerate(zip(views, rows, strict=True)):
        view["cells"] = [value_cell(cell, own[number]) for cell, own in zip(row, bars, strict=True)]
        seconds = took[number]
        share = shares(took)[number]
        view["took_cell"] = (
            None if seconds is None else {"text": _format.duration(seconds), "share": share, "about": ""}
        )


def _run(
    stored: StoredRun, timeline: _timeline.Timeline, outputs: t.Mapping[_logs.Key, _logs.Output], params: Sequence[str]
) -> View:
    run = stored.summary
    ids = {name: f"run-{run['number']}-node-{number}" for number, name in enumerate(run["nodes"], 1)}
    columns = matrix.columns([run])
    varied = [matrix.word(run["params"].get(name)) for name in params]
    about = [f"{name} {value}" for name, value in zip(params, varied, strict=True)]
    took = script_record.seconds(run)
    if took is not None:
        about.append(_format.duration(took))
    lanes = [_lane(timeline, lane, run["nodes"][lane.node], ids[lane.node]) for lane in timeline.lanes]
    occurring = {shape["class"] for lane in lanes for shape in lane["shapes"]}
    return {
        "number": run["number"],
        "result": run["result"],
        "about": ", ".join(about),
        "varied": varied,
        "reason": _reason(run, ids),
        "ticks": [_tick(timeline, seconds) for seconds in timeline.ticks],
        "marks": _marks(timeline),
        "lanes": lanes,
        "legend": [
            {"class": key, "name": name, "thin": key[0] == "w"} for key, name in LEGEND.items() if key in occurring
        ],
        "meetings": [_meeting(timeline, meeting) for meeting in timeline.meetings if _is_worth_telling(meeting)],
        "columns": columns,
        "numbers": _numbers(run, columns),
        "nodes": [_node(run, name, node, ids[name], outputs) for name, node in run["nodes"].items()],
    }


def _reason(run: Record, ids: t.Mapping[str, str]) -> View | None:
    why = run["reason"]
    if not why:
        return None
    view = {"text": table.reason(why), "tail": ""}
    for script in run["nodes"].get(why["node"], {}).get("scripts", ()):
        if script["id"] == why["script"] and script.get("tail"):
            view.update(script=script_record.label(script), node=why["node"], id=ids[why["node"]], tail=script["tail"])
    return view


def _tick(timeline: _timeline.Timeline, seconds: float) -> View:
    x = 100 * seconds / timeline.seconds
    text = f"{seconds:g} s" if timeline.seconds < 120 else _format.clock(seconds)
    return {"x": _percent(x), "text": text, "anchor": _anchor(x)}


def _marks(timeline: _timeline.Timeline) -> list[View]:
    """The lines that cross all lanes: releases of barriers, and the abort. Texts that would overlap are left out."""
    moments = [
        (meeting.barrier.released, meeting.name, "meeting")
        for meeting in timeline.meetings
        if meeting.barrier.released is not None
    ]
    if timeline.aborted is not None:
        moments.append((timeline.aborted, str(Verdict.ABORT), "aborted"))
    marks: list[View] = []
    last = -100.0
    for moment, text, kind in sorted(moments, key=lambda item: (item[0], item[2] != "aborted")):
        x = 100 * (moment - timeline.begin) / timeline.seconds
        shown = x - last > CLOSE or kind == "aborted"
        if shown and marks and x - last <= CLOSE:
            marks[-1]["text"] = ""
        marks.append({"x": _percent(x), "text": text if shown else "", "class": kind, "anchor": _anchor(x)})
        last = x if shown else last
    return marks


def _lane(timeline: _timeline.Timeline, lane: _timeline.Lane, node: Record, target: str) -> View:
    shapes = []
    for segment in sorted(lane.segments, key=lambda one: (one.row, one.kind == "wait", one.start)):
        x = 100 * (segment.start - timeline.begin) / timeline.seconds
        width = max(THINNEST, 100 * segment.seconds / timeline.seconds)
        y, height = (4, 10) if segment.kind != "wait" else (7, 4)
        if segment.row:
            y, height = ROW - 2 + 5 * (segment.row - 1), 3
        shapes.append(
            {
                "class": _class(segment),
                "x": _percent(min(x, 100 - THINNEST)),
                "width": _percent(width),
                "y": y,
                "height": height,
                "title": segment.title,
            }
        )
    return {
        "node": lane.node,
        "id": target,
        "about": _about(node),
        "failed": _has_failed(node),
        "text": lane.text,
        "height": ROW + 5 * lane.rows,
        "shapes": shapes,
    }


def _class(segment: _timeline.Segment) -> str:
    if segment.outcome:
        return "f" if segment.outcome == "failed" else "x"
    return WAITS.get(segment.barrier, "w") if segment.kind == "wait" else KINDS[segment.kind]


def _is_worth_telling(meeting: _timeline.Meeting) -> bool:
    return bool(meeting.missing) or any(meeting.waited(node) >= SHORTEST_WAIT for node in meeting.barrier.arrived)


def _meeting(timeline: _timeline.Timeline, meeting: _timeline.Meeting) -> View:
    waits = {node: meeting.waited(node) for node in meeting.barrier.arrived}
    longest = max(waits, key=lambda node: waits[node])
    if meeting.missing:
        waited_for = f"{_format.names(meeting.missing)}: never arrived"
    elif len(waits) == 1:
        waited_for = "–"
    else:
        waited_for = (
            f"{_format.names(meeting.barrier.last)}, {_format.duration(meeting.barrier.ahead)} after the one before"
        )
    return {
        "name": meeting.name,
        "arrived": _format.count(len(waits), "node") + (f", {len(meeting.missing)} missing" if meeting.missing else ""),
        "released": "no"
        if meeting.barrier.released is None
        else f"at {_format.duration(meeting.barrier.released - timeline.begin)}",
        "missing": meeting.missing,
        "waited_for": waited_for,
        "longest": f"{longest}: {_format.duration(waits[longest])}",
        "total": _format.duration(meeting.total),
    }


def _numbers(run: Record, columns: Sequence[matrix.Column]) -> list[View]:
    rows: list[tuple[str, list[matrix.Cell | None]]] = []
    for name, node in run["nodes"].items():
        cells = matrix.cells({"nodes": {name: node}}, columns)
        if any(cells):
            rows.append((name, cells))
    bars = [shares([matrix.mean(cells[number]) for _name, cells in rows]) for number in range(len(columns))]
    return [
        {"node": name, "cells": [value_cell(cell, own[number]) for cell, own in zip(cells, bars, strict=True)]}
        for number, (name, cells) in enumerate(rows)
    ]


def _node(run: Record, name: str, node: Record, target: str, outputs: t.Mapping[_logs.Key, _logs.Output]) -> View:
    facts = [("state", node["state"]), ("job", node["job_id"])]
    if node["ip"]:
        facts.append(("address", node["ip"]))
    if node["direct_ips"]:
        facts.append(("direct addresses", ", ".join(node["direct_ips"])))
    if node["direct_macs"]:
        facts.append(("direct cards", ", ".join(node["direct_macs"])))
    return {
        "id": target,
        "name": name,
        "about": _about(node),
        "roles": " ".join(node["roles"]),
        "failed": _has_failed(node),
        "facts": facts,
        "told": node.get("text"),
        "warnings": node.get("notes", []),
        "warned": _format.count(len(node.get("notes", [])), "warning"),
        "scripts": [
            _script(script, outputs[run["number"], name, script["id"]], finished=came_to_its_end(run))
            for script in node["scripts"]
        ],
    }


def _script(script: Record, output: _logs.Output, *, finished: bool) -> View:
    failed = script_record.has_failed(script)
    took = script_record.seconds(script)
    numbers = script.get("metrics", {}).items()
    return {
        "label": script_record.label(script),
        "class": "failed" if failed else "good" if script["exit_code"] == 0 else "",
        "ended": _ended(script, at_the_end=finished),
        "took": "" if took is None else _format.duration(took),
        "numbers": ", ".join(f"{name} {metrics.shown(metric)}" for name, metric in numbers),
        "failure": script.get("failure") or "",
        "logs": [_log(log, failed) for log in output.logs],
        "files": output.files,
        "more_files": output.more_files,
    }


def _log(log: _logs.Log, failed: bool) -> View:
    return {
        "name": log.name,
        "href": log.href,
        "size": _size(log.size),
        "is_cut": log.is_cut,
        "text": log.text,
        "open": failed,
    }


def _ended(script: Record, *, at_the_end: bool) -> str:
    word = script_record.exit_word(script)
    if at_the_end and script["stopped"] and not script_record.has_failed(script):
        return "until the end"
    if word == "0":
        return "✔"
    if word == "-":
        return "nobody has seen the end"
    return (
        f"✘ exit code {word}"
        if word.lstrip("-").isdigit()
        else f"✘ {word}"
        if script_record.has_failed(script)
        else word
    )


def _has_failed(node: Record) -> bool:
    return any(script_record.has_failed(script) for script in node["scripts"])


def _about(node: Record) -> str:
    return " ".join([*node["roles"], node["state"], *(["failed"] if _has_failed(node) else [])])


def _size(size: int) -> str:
    if size < 1000:
        return _format.count(size, "byte")
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _percent(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _anchor(x: float) -> str:
    return "start" if x < 4 else "end" if x > 93 else "middle"
