# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

Row = t.Sequence[str]

HEAD = ("run", "node", "roles", "direct addresses", "script", "exit code", "seconds", "numbers")


def text_table(summary: t.Mapping[str, t.Any]) -> str:
    """The summary of a submission as a table for a terminal: a line for each script of each node of each run."""
    rows: list[Row] = [HEAD]
    for run in summary["runs"]:
        for name, node in run["nodes"].items():
            about = [str(run["number"]), name, " ".join(node["roles"]), " ".join(node["direct_ips"]) or "-"]
            for script in node["scripts"] or [None]:
                rows.append([*about, *_script_cells(script)])
                about = ["", "", "", ""]
    return _aligned(rows)


def verdict(summary: t.Mapping[str, t.Any]) -> str:
    """How a submission ended, in one line; for an abort, the end of the failing script's output follows."""
    count = len(summary["runs"])
    if summary["result"] == "finish":
        return f"{summary['submission_id']}: finish" + (f", all of {count} runs" if count > 1 else "")
    aborted = sum(run["result"] != "finish" for run in summary["runs"])
    reason = summary["reason"]
    where = f"{reason['node']}: " if reason.get("node") and reason["node"] not in reason["text"] else ""
    which = f", {aborted} of {count} runs" if count > 1 else ""
    return f"{summary['submission_id']}: abort{which}: {where}{reason['text']}"


def _script_cells(script: t.Optional[t.Mapping[str, t.Any]]) -> Row:
    if script is None:
        return ("-", "-", "-", "")
    numbers = ", ".join(_number(name, metric) for name, metric in script.get("metrics", {}).items())
    return (f"{script['kind']} {script['name']}", _exit_code(script), _seconds(script), numbers)


def _exit_code(script: t.Mapping[str, t.Any]) -> str:
    if script["timed_out"]:
        return "timed out"
    if script["stopped"]:
        return "stopped"
    return "-" if script["exit_code"] is None else str(script["exit_code"])


def _seconds(script: t.Mapping[str, t.Any]) -> str:
    if script["started"] is None or script["finished"] is None:
        return "-"
    return f"{script['finished'] - script['started']:.2f}"


def _number(name: str, metric: t.Mapping[str, t.Any]) -> str:
    unit = f" {metric['unit']}" if metric.get("unit") else ""
    return f"{name} {metric['value']:g}{unit}"


def _aligned(rows: t.Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
