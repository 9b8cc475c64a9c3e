# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Verdict
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import matrix, run_warnings, script_record
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import metrics as _metrics

Row = t.Sequence[str]
Part = t.Mapping[str, t.Any]

NODES_HEAD = ("run", "node", "roles", "script", "exit code", "seconds", "numbers", "direct addresses")
LINES = 24
WIDTH = 110
TAIL_LINES = 10


def text_table(summary: Part) -> str:
    """The summary of a submission as a table for a terminal.

    A line for each script of each node; where that would not fit a screen, machines that fared alike share a line, and
    of many runs only those that failed are told in so much detail. Several runs come with a table of their numbers.
    """
    runs = summary["runs"]
    detailed = _node_rows(runs, alike=False)
    if len(detailed) > LINES:
        detailed = _node_rows(runs, alike=True)
    if len(detailed) > LINES:
        detailed = _node_rows([run for run in runs if run["result"] != Verdict.FINISH], alike=True)[:LINES]
    tables = [_nodes_table(detailed, runs)] if detailed else []
    if len(runs) > 1:
        tables.append(_aligned(_run_rows(runs)))
    return "\n\n".join(tables)


def verdict(summary: Part) -> str:
    """How a submission ended, in one line."""
    total = len(summary["runs"])
    warned = "".join(f", {text}" for text in [run_warnings.count(summary.get("warnings", ()))] if text)
    if summary["result"] == Verdict.FINISH:
        return f"{summary['submission_id']}: finish" + (f", all of {total} runs" if total > 1 else "") + warned
    aborted = sum(run["result"] != Verdict.FINISH for run in summary["runs"])
    which = f", {aborted} of {total} runs" if total > 1 else ""
    return _printable(f"{summary['submission_id']}: abort{which}{warned}: {reason(summary['reason'])}")


def reason(why: Part) -> str:
    """Why a run aborted: the node, unless the text names it, and the text."""
    where = f"{why['node']}: " if why.get("node") and why["node"] not in why["text"] else ""
    return f"{where}{why['text']}"


def last_words(summary: Part) -> str:
    """The end of the failing script's output, under a line that says whose it is; empty when no script is to blame."""
    found = failing_script(summary)
    if found is None:
        return ""
    run, node, script = found
    lines = str(script.get("tail") or "").splitlines()[-TAIL_LINES:]
    if not lines:
        return ""
    where = f"run {run['number']}, " if len(summary["runs"]) > 1 else ""
    head = f"the last lines of {script_record.label(script)} ({where}{node}):"
    return "\n".join([head, *[f"  | {_printable(line)}" for line in lines]])


def failing_script(summary: Part) -> tuple[Part, str, Part] | None:
    """The script that is the reason of the first abort: its run, its node's name, itself."""
    for run in summary["runs"]:
        why = run["reason"]
        node = run["nodes"].get(why["node"]) if why else None
        for script in node["scripts"] if node else ():
            if script["id"] == why["script"]:
                return run, why["node"], script
        if why:
            return None
    return None


def _nodes_table(rows: t.Sequence[Row], runs: t.Sequence[Part]) -> str:
    """The rows without what says nothing, or finds no room."""
    first = 0 if len(runs) > 1 else 1
    table = [NODES_HEAD[first:], *[row[first:] for row in rows]]
    for last in (len(NODES_HEAD), -1):
        text = _aligned([row[:last] for row in table])
        if max(map(len, text.splitlines())) <= WIDTH:
            break
    return text


def _node_rows(runs: t.Iterable[Part], *, alike: bool) -> list[Row]:
    rows: list[Row] = []
    for run in runs:
        for names in _groups(run) if alike else [[name] for name in run["nodes"]]:
            nodes = [run["nodes"][name] for name in names]
            about = [str(run["number"]), _format.names(names), " ".join(nodes[0]["roles"])]
            addresses = _format.names((ip for node in nodes for ip in node["direct_ips"]), at_most=2)
            for scripts in zip(*[node["scripts"] for node in nodes], strict=True) if nodes[0]["scripts"] else [None]:
                rows.append([*about, *_script_cells(scripts), addresses])
                about, addresses = ["", "", ""], ""
    return rows


def _groups(run: Part) -> list[list[str]]:
    """The nodes of a run, those together that have the same roles and whose scripts ended alike."""
    groups: dict[t.Any, list[str]] = {}
    for name, node in run["nodes"].items():
        fate = tuple(
            (script["id"], script_record.exit_word(script), bool(script.get("failure"))) for script in node["scripts"]
        )
        groups.setdefault((tuple(node["roles"]), fate), []).append(name)
    return list(groups.values())


def _script_cells(scripts: t.Sequence[Part] | None) -> Row:
    if scripts is None:
        return ("-", "-", "-", "")
    first = scripts[0]
    took = [passed for passed in map(script_record.seconds, scripts) if passed is not None]
    span = " to ".join(dict.fromkeys(f"{passed:.2f}" for passed in (min(took), max(took)))) if took else "-"
    ended = script_record.exit_word(first) + (
        " (failed)" if first["stopped"] and script_record.has_failed(first) else ""
    )
    return (script_record.label(first), ended, span, _numbers(scripts))


def _numbers(scripts: t.Sequence[Part]) -> str:
    found: dict[tuple[str, str], list[float]] = {}
    for script in scripts:
        for name, metric in script.get("metrics", {}).items():
            found.setdefault((name, metric["unit"]), []).append(metric["value"])
    texts = []
    for (name, unit), values in found.items():
        low, high = _metrics.number(min(values)), _metrics.number(max(values))
        texts.append(f"{name} {low if low == high else f'{low} to {high}'}{f' {unit}' if unit else ''}")
    return ", ".join(texts)


def _run_rows(runs: t.Sequence[Part]) -> list[Row]:
    params, metrics = matrix.varied(runs), matrix.columns(runs)
    heads = [f"{column.label} ({column.unit})" if column.unit else column.label for column in metrics]
    rows: list[Row] = [["run", *params, "result", "seconds", *heads]]
    for run in runs:
        cells = matrix.cells(run, metrics)
        took = script_record.seconds(run)
        rows.append(
            [
                str(run["number"]),
                *[matrix.word(run["params"].get(name)) for name in params],
                run["result"],
                "-" if took is None else f"{took:.1f}",
                *["-" if cell is None else _metrics.number(cell.mean) for cell in cells],
            ]
        )
    return rows


def _aligned(rows: t.Sequence[Row]) -> str:
    texts = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _printable(text: str) -> str:
    return _format.printable(text.expandtabs())
