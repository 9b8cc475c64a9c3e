# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import NOTES_LIMIT, RunHistory
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import run_warnings, table

Record = dict[str, t.Any]


def run(number: int = 1, *, notes: t.Sequence[str] = (), **of_nodes: t.Sequence[str]) -> Record:
    nodes = {name: {"notes": list(texts)} for name, texts in of_nodes.items()}
    return {"number": number, "result": "finish", "reason": None, "notes": list(notes), "nodes": nodes}


def summary(*runs: Record) -> Record:
    return {"submission_id": "s", "result": "finish", "reason": None, "runs": list(runs)}


def warned(*runs: Record, planned: t.Sequence[str] = (), strict: bool = False) -> Record:
    result = summary(*runs)
    run_warnings.add_warnings(result, planned, strict=strict)
    return result


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (warned(run(n1=[])), "s: finish"),
        (warned(run(n1=["x"])), "s: finish, 1 warning"),
        (warned(run(n1=["x"], n2=["x", "y"])), "s: finish, 3 warnings"),
        (warned(run(notes=["x"], n1=[])), "s: finish, 1 warning"),
        (warned(run(n1=[]), planned=["x", "y"]), "s: finish, 2 warnings"),
        (warned(run(1, n1=["x"]), run(2, n1=[])), "s: finish, all of 2 runs, 1 warning"),
        (warned(run(n1=[]), strict=True), "s: finish"),
        (
            warned(run(1, n1=[]), run(2, n1=["x"]), strict=True),
            "s: abort, 1 of 2 runs, 1 warning: n1: warnings count as failures here (multidevice_strict); the first: x",
        ),
        (
            warned(run(1, n1=[]), run(2, n1=[]), planned=["x"], strict=True),
            "s: abort, 2 of 2 runs, 1 warning: warnings count as failures here (multidevice_strict); the first: x",
        ),
    ],
)
def test_the_line_of_the_verdict_counts_warnings(result: Record, verdict: str) -> None:
    assert table.verdict(result) == verdict


def test_a_run_keeps_its_own_reason_where_warnings_are_failures() -> None:
    failed = run(n1=["x"])
    reason = {"node": "n1", "text": "test y ended with exit code 1"}
    failed.update(result="abort", reason=reason)
    result = {**summary(failed), "result": "abort", "reason": reason}
    run_warnings.add_warnings(result, [], strict=True)
    assert result["reason"] is reason and result["runs"][0]["reason"] is reason
    assert table.verdict(result) == "s: abort, 1 warning: n1: test y ended with exit code 1"


def test_each_warning_says_where_it_belongs() -> None:
    result = warned(run(1, notes=["a"], n1=["b"]), run(2, n1=["b"]), planned=["c"])
    assert [(each["run"], each["node"], each["text"]) for each in result["warnings"]] == [
        (None, None, "c"),
        (1, None, "a"),
        (1, "n1", "b"),
        (2, "n1", "b"),
    ]
    assert [each["text"] for each in run_warnings.of_run(result, 2)] == ["c", "b"]


def test_the_terminal_tells_what_is_alike_once() -> None:
    many = [run(number, n1=["b"], n2=["b", f"only {number}\x1b[2J"]) for number in (1, 2)]
    assert run_warnings.text_of(warned(*many, planned=["c"])).splitlines() == [
        "7 warnings:",
        "  c",
        "  n1, n2, 2 runs: b",
        "  n2, run 1: only 1\ufffd[2J",
        "  n2, run 2: only 2\ufffd[2J",
    ]
    assert run_warnings.text_of(warned(run(n1=[]))) == ""
    assert run_warnings.text_of(summary(run(n1=[]))) == "", "a summary of an older version"
    lines = run_warnings.text_of(warned(run(n1=[str(number) for number in range(12)]))).splitlines()
    assert len(lines) == 12 and lines[-1] == "  and 2 more, in the report"


@pytest.mark.parametrize(
    "plan", [{"warnings": ["x"]}, {"plan": {"warnings": ["x"]}, "warnings": [object()]}, {"plan": {"warnings": ["x"]}}]
)
def test_the_warnings_of_a_plan_or_of_what_a_task_returned(plan: Record) -> None:
    assert run_warnings.planned_warnings(plan) == ["x"]


def test_a_machine_cannot_warn_for_ever() -> None:
    events = [
        {"time": 1.0, "node": "n1", "what": "warning", "data": {"text": str(number)}}
        for number in range(NOTES_LIMIT + 5)
    ]
    assert len(RunHistory.of(events, ["n1"]).nodes["n1"].notes) == NOTES_LIMIT
