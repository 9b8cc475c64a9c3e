# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import RunHistory
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import node_outcome

Record = dict[str, t.Any]


def script(name: str = "x", kind: str = "test", started: float | None = 1.0, **values: t.Any) -> Record:
    return {"name": name, "kind": kind, "started": started, "finished": 2.0, "stopped": False, **values}


def stopped(name: str = "x", kind: str = "test", finished: float | None = 10.5) -> Record:
    return script(name, kind, finished=finished, stopped=True)


NOT_STARTED = script("late", started=None, finished=None)
ELSEWHERE = {"node": "other", "text": "test y ended with exit code 3", "kind": "failed"}
HERE = {"node": "me", "text": "test x ended with exit code 3", "kind": "failed"}
OUTSIDE = {"node": None, "text": "an operator aborted the run", "kind": "abort"}
LOST = {"node": "other", "text": "the results of other could not be fetched: no place", "kind": "results_lost"}


def told(scripts: t.Sequence[Record], reason: Record | None, *events: Record, finished: float | None = 10.0) -> str:
    history = RunHistory.of([{"time": 0.0, "node": "me", **event} for event in events], ["me"])
    run = {"reason": reason, "finished": finished}
    return node_outcome.describe("me", {"scripts": scripts}, run, history.nodes["me"])


@pytest.mark.parametrize("reason", [None, LOST])
@pytest.mark.parametrize(
    ("scripts", "text"),
    [
        ([], "took part without a script"),
        ([NOT_STARTED], "took part without a script"),
        ([script()], "test x ended with success"),
        ([script("a"), script("b")], "tests a, b ended with success"),
        ([script("s", "setup"), script("d", "daemon"), script("m", "monitor"), script()], "test x ended with success"),
        ([script("s", "setup"), stopped("d", "daemon"), stopped("m", "monitor")], "daemon d served until the end"),
        ([stopped("d", "daemon"), stopped("e", "daemon")], "daemons d, e served until the end"),
        ([script("s", "setup")], "setup s ended with success"),
        (
            [script("s", "setup"), stopped("m", "monitor"), script("r", "setup")],
            "setups s, r and monitor m ended with success",
        ),
        ([script(), NOT_STARTED], "test x ended with success"),
        ([script(f"x{number}") for number in range(1, 6)], "tests x[1-5] ended with success"),
    ],
)
def test_a_node_of_a_run_that_came_to_its_end(scripts: list[Record], reason: Record | None, text: str) -> None:
    assert told(scripts, reason) == text


@pytest.mark.parametrize(
    ("scripts", "reason", "text"),
    [
        ([script(), stopped()], HERE, "test x ended with exit code 3"),
        ([], HERE, "test x ended with exit code 3"),
        ([], ELSEWHERE, "no script had been started when the run was aborted"),
        ([NOT_STARTED], OUTSIDE, "no script had been started when the run was aborted"),
        ([script(failure="daemon d died"), stopped()], ELSEWHERE, "daemon d died"),
        ([script(), script(failure="first"), script(failure="second")], ELSEWHERE, "first"),
        ([{**NOT_STARTED, "failure": "never"}], ELSEWHERE, "no script had been started when the run was aborted"),
        ([stopped()], ELSEWHERE, "test x was stopped 0.50 s after the run was aborted"),
        ([script("s", "setup"), stopped()], OUTSIDE, "test x was stopped 0.50 s after the run was aborted"),
        (
            [stopped("d", "daemon", 12.0), stopped(finished=11.0)],
            ELSEWHERE,
            "daemon d and test x were stopped 2.0 s after the run was aborted",
        ),
        (
            [stopped(finished=9.0), stopped("y", finished=11.0)],
            ELSEWHERE,
            "tests x, y were stopped 1.0 s after the run was aborted",
        ),
        ([stopped(finished=10.0)], ELSEWHERE, "test x was stopped 0.00 s after the run was aborted"),
        ([stopped(finished=9.9)], ELSEWHERE, "test x was stopped when the run was aborted"),
        ([stopped(finished=None)], ELSEWHERE, "test x was stopped when the run was aborted"),
        (
            [stopped(finished=None), stopped("y", finished=11.0)],
            ELSEWHERE,
            "tests x, y were stopped 1.0 s after the run was aborted",
        ),
        (
            [script(), script("d", "daemon", finished=None)],
            ELSEWHERE,
            "daemon d ran when the run was aborted, and nobody has seen the end",
        ),
        ([script("s", "setup"), script()], ELSEWHERE, "setup s and test x had ended when the run was aborted"),
        ([script(), NOT_STARTED], ELSEWHERE, "test x had ended when the run was aborted"),
    ],
)
def test_a_node_of_a_run_that_was_aborted(scripts: list[Record], reason: Record, text: str) -> None:
    assert told(scripts, reason) == text


def test_when_nobody_knows_when_the_run_was_aborted() -> None:
    assert told([stopped()], ELSEWHERE, finished=None) == "test x was stopped when the run was aborted"


PREPARED, LEFT = {"what": "prepared"}, {"what": "left"}
RESULTS_LOST = {"what": "results_lost", "data": {"text": "no place"}}
UNREACHABLE = "; it could not be reached at the end, and cleans itself when its lease is over"


@pytest.mark.parametrize(
    ("events", "more"),
    [
        ([], ""),
        ([PREPARED, LEFT], ""),
        ([LEFT], ""),
        ([PREPARED], UNREACHABLE),
        ([PREPARED, LEFT, RESULTS_LOST], "; its results could not be fetched: no place"),
        ([RESULTS_LOST], "; its results could not be fetched: no place"),
        ([PREPARED, RESULTS_LOST], UNREACHABLE),
        (
            [PREPARED, RESULTS_LOST, LEFT, {"what": "results_lost", "data": {"text": "again"}}],
            "; its results could not be fetched: no place",
        ),
    ],
)
def test_how_a_node_left(events: list[Record], more: str) -> None:
    assert told([script()], None, *events) == f"test x ended with success{more}"


@pytest.mark.parametrize(
    ("reason", "came"), [(None, True), (LOST, True), (HERE, False), (OUTSIDE, False), ({"text": "of old"}, False)]
)
def test_which_runs_came_to_their_end(reason: Record | None, came: bool) -> None:
    assert node_outcome.came_to_its_end({"reason": reason}) is came
