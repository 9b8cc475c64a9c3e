# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _timeline
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._text import clean

Record = dict[str, t.Any]


def event(time: float, node: str | None, what: str, data: t.Any = None) -> Record:
    return {"time": time, "node": node, "what": what, "data": data}


def run(**nodes: t.Sequence[Record]) -> Record:
    base = {"direct_macs": ["02:00:00:00:00:01"]}
    return {"nodes": {name: {**base, "scripts": list(scripts)} for name, scripts in nodes.items()}, "barriers": {}}


def script(kind: str = "test", **values: t.Any) -> Record:
    base = {"id": f"{kind}-x", "name": "x", "kind": kind, "exit_code": 0, "started": 0.0, "finished": 1.0}
    return {**base, "timed_out": False, "stopped": False, "note": None, **values}


def told(lane: _timeline.Lane) -> list[tuple[str, float, float]]:
    return [(segment.kind, round(segment.start, 3), round(segment.end, 3)) for segment in lane.segments]


def test_the_way_of_a_node() -> None:
    events = [
        event(10, None, "registered"),
        event(12, "a", "prepared"),
        event(13, "a", "write_state"),
        event(14, "a", "arrive", "start"),
        event(16, None, "release", "start"),
        event(21, "a", "arrive", "finish"),
        event(21, None, "release", "finish"),
        event(23, "a", "left"),
    ]
    timeline = _timeline.build(run(a=[]), events)
    assert (timeline.begin, timeline.end) == (10, 23)
    assert told(timeline.lanes[0]) == [
        ("prepare", 10, 13),
        ("links", 13, 14),
        ("wait", 14, 16),
        ("wait", 21, 21),
        ("leave", 21, 23),
    ]
    assert timeline.lanes[0].text.startswith(
        "prepared the machine, 3.0 s; bound the direct links, 1.0 s; waited at start"
    )


def test_scripts_are_put_on_the_clock_of_redis() -> None:
    """The machine's clock is an hour ahead, its reports take 0.2 s and more."""
    ahead = 3600.0
    test = script(started=20 + ahead, finished=25 + ahead)
    daemon = script("daemon", started=15 + ahead, finished=29 + ahead, stopped=True, exit_code=-15)
    events = [
        event(12, "a", "write_state"),
        event(15.7, "a", "script", {"at": 15 + ahead, "script": {**daemon, "finished": None}}),
        event(17.2, "a", "script", {"at": 17 + ahead, "script": daemon, "ready": True}),
        event(20.4, "a", "script", {"at": 20 + ahead, "script": test}),
    ]
    lane = _timeline.build(run(a=[daemon, test]), events).lanes[0]
    scripts = [segment for segment in lane.segments if segment.kind in ("daemon", "test")]
    assert [(segment.row, round(segment.start, 1), round(segment.end, 1)) for segment in scripts] == [
        (0, 15.2, 17.2),
        (1, 15.2, 29.2),
        (0, 20.2, 25.2),
    ]


def test_an_abort_ends_waits_and_scripts() -> None:
    stopped = script(started=20.0, finished=24.5, exit_code=-15, stopped=True)
    failed = script(started=20.0, finished=24.0, exit_code=3)
    events = [
        event(12, "a", "write_state"),
        event(12, "b", "write_state"),
        event(12, "c", "write_state"),
        event(18, "c", "arrive", "finish"),
        event(24, "b", "abort", {"text": "it failed"}),
        event(26, "a", "left"),
    ]
    timeline = _timeline.build(run(a=[stopped], b=[failed], c=[]), events)
    assert timeline.aborted == 24
    outcomes = {lane.node: [s.outcome for s in lane.segments if s.kind == "test"] for lane in timeline.lanes}
    assert outcomes == {"a": ["stopped"], "b": ["failed"], "c": []}
    wait = next(segment for segment in timeline.lanes[2].segments if segment.kind == "wait")
    assert (wait.end, wait.text) == (24, "waited at finish in vain")


def test_who_waited_for_whom() -> None:
    events = [
        event(10, "a", "arrive", "ready"),
        event(11, "b", "arrive", "ready"),
        event(15, "c", "arrive", "ready"),
        event(15, None, "release", "ready"),
    ]
    (meeting,) = _timeline.build(run(a=[], b=[], c=[]), events).meetings
    assert (meeting.first, meeting.last, meeting.ahead, meeting.total) == (10, ["c"], 4, 9)
    assert [meeting.waited(node) for node in "abc"] == [5, 4, 0]


def test_a_later_run_does_not_count_the_wait_for_its_turn() -> None:
    events = [event(10, None, "registered"), event(52, "a", "prepared"), event(53, "a", "write_state")]
    assert _timeline.build(run(a=[]), events, since={"a": 50.0}).begin == 50
    assert _timeline.build(run(a=[]), events).begin == 10


@pytest.mark.parametrize("seconds", [0.002, 0.9, 3.3, 19, 61, 200, 4000, 90000, 1e7])
def test_the_axis_has_a_few_round_numbers(seconds: float) -> None:
    ticks = _timeline.Timeline(0.0, seconds, [], [], None).ticks
    assert 2 <= len(ticks) <= 10
    assert ticks[-1] <= seconds


def test_a_run_without_events() -> None:
    timeline = _timeline.build(run(a=[script(started=None)]), [])
    assert [lane.segments for lane in timeline.lanes] == [[]]
    assert timeline.lanes[0].text == "nothing is known"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text\x1b]8;;x\x1b\\", "text"),
        ("10%\r20%\rdone\n", "done\n"),
        ("dos\r\nlines\r\n", "dos\nlines\n"),
        ("bell\x07 null\x00 \x9b", "bell\ufffd null\ufffd \ufffd"),
        ("\ud800\uffff", "\ufffd\ufffd"),
        ("äöü ✔ 漢", "äöü ✔ 漢"),
    ],
)
def test_what_a_page_can_hold(text: str, expected: str) -> None:
    assert clean(text) == expected
