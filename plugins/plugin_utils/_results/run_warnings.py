# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The warnings of a submission: what somebody has to know who relies on runs that ended well."""

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ReasonKind, Verdict, make_reason

Part = t.Mapping[str, t.Any]

LINES = 10


def planned_warnings(plan: Part) -> list[str]:
    """What the splitting of the job had to say, of a plan or of what ``cluster_split`` returned."""
    # Ansible makes objects of its own of the warnings of a result, but not of those in the plan inside it.
    return [str(text) for text in plan.get("plan", plan).get("warnings") or ()]


def add_warnings(summary: dict[str, t.Any], planned: t.Sequence[str], *, strict: bool = False) -> None:
    """Collect the warnings of all runs in the summary, each with its run and node where it has one.

    :param planned: those of the whole submission.
    :param strict: warnings are failures.
    """
    found: list[dict[str, t.Any]] = [{"run": None, "node": None, "text": text} for text in planned]
    for run in summary["runs"]:
        found += [{"run": run["number"], "node": None, "text": text} for text in run["notes"]]
        for name, node in run["nodes"].items():
            found += [{"run": run["number"], "node": name, "text": text} for text in node["notes"]]
    summary["warnings"] = found
    if strict:
        for run in summary["runs"]:
            own = [warning for warning in found if warning["run"] in (None, run["number"])]
            if own and run["result"] == Verdict.FINISH:
                run["result"] = str(Verdict.ABORT)
                text = f"warnings count as failures here (multidevice_strict); the first: {own[0]['text']}"
                run["reason"] = make_reason(text, kind=ReasonKind.WARNINGS, node=own[0]["node"])
        aborted = [run for run in summary["runs"] if run["result"] != Verdict.FINISH]
        if aborted:
            summary["result"], summary["reason"] = str(Verdict.ABORT), aborted[0]["reason"]


def of_run(summary: Part, number: int) -> list[Part]:
    """The warnings that a run has a part in: its own, and those of the whole submission."""
    return [warning for warning in summary.get("warnings", ()) if warning["run"] in (None, number)]


def count(warnings: t.Sequence[Part]) -> str:
    """How many there are, in words; empty when there are none."""
    return _format.count(len(warnings), "warning") if warnings else ""


def lines(warnings: t.Iterable[Part], *, several_runs: bool) -> list[str]:
    """A line for each thing that is warned of, with the nodes and runs that it is about."""
    about: dict[str, tuple[dict[str, None], dict[int, None]]] = {}
    for warning in warnings:
        nodes, runs = about.setdefault(warning["text"], ({}, {}))
        if warning["node"] is not None:
            nodes[warning["node"]] = None
        if warning["run"] is not None:
            runs[warning["run"]] = None
    found = []
    for text, (nodes, runs) in about.items():
        where = [_format.names(nodes)] if nodes else []
        if several_runs and runs:
            where.append(f"run {next(iter(runs))}" if len(runs) == 1 else f"{len(runs)} runs")
        found.append(f"{', '.join(where)}: {text}" if where else text)
    return found


def text_of(summary: Part) -> str:
    """The warnings for a terminal, under a line that says how many; empty when there are none."""
    warnings = summary.get("warnings", ())
    if not warnings:
        return ""
    told = lines(warnings, several_runs=len(summary["runs"]) > 1)
    more = [f"and {len(told) - LINES} more, in the report"] if len(told) > LINES else []
    return "\n".join([f"{count(warnings)}:", *[f"  {_format.printable(line)}" for line in [*told[:LINES], *more]]])
