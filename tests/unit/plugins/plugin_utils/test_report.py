# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier, ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import BarrierHistory
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _page, _template, _timeline
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
    assert timeline.lanes[0].text == (
        "prepared the machine, 3.0 s; bound the direct links, 1.0 s; waited at start, 2.0 s; "
        "waited at finish, 0.00 s; stopped, collected, cleaned up, 2.0 s"
    )


def test_all_kinds_of_scripts_and_barriers_can_be_drawn_and_are_explained() -> None:
    assert set(_page.SCRIPTS) == set(ScriptKind)
    assert set(_page.WAITS) == set(Barrier)
    drawn = {*_page.KINDS.values(), *_page.WAITS.values(), "f", "x"}
    assert drawn == set(_page.LEGEND)
    css = (Path(_template.__file__).parent / "report.css").read_text(encoding="utf-8")
    assert drawn <= set(re.findall(r"\.(\w+) { fill:", css))


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
    assert told(timeline.lanes[2])[-1] == ("wait", 18, 24)
    assert timeline.lanes[2].segments[-1].text == "waited at finish in vain"


def test_who_waited_for_whom() -> None:
    events = [
        event(10, "a", "arrive", "ready"),
        event(11, "b", "arrive", "ready"),
        event(15, "c", "arrive", "ready"),
        event(15, None, "release", "ready"),
    ]
    (meeting,) = _timeline.build(run(a=[], b=[], c=[]), events).meetings
    assert (meeting.barrier.first, meeting.barrier.last, meeting.barrier.ahead, meeting.total) == (10, ["c"], 4, 9)
    assert [meeting.waited(node) for node in "abc"] == [5, 4, 0]


def test_a_later_run_does_not_count_the_wait_for_its_turn() -> None:
    events = [event(10, None, "registered"), event(52, "a", "prepared"), event(53, "a", "write_state")]
    assert _timeline.build(run(a=[]), events, since={"a": 50.0}).begin == 50
    assert _timeline.build(run(a=[]), events).begin == 10


@pytest.mark.parametrize("seconds", [0.002, 0.9, 3.3, 19, 61, 200, 4000, 90000, 1e7])
def test_the_axis_has_a_few_round_numbers(seconds: float) -> None:
    ticks = _timeline.Timeline(50.0, 50.0 + seconds, [], [], None).ticks
    assert 2 <= len(ticks) <= 10
    assert ticks[0] == 0
    assert ticks[-1] <= seconds < ticks[-1] + ticks[1] * 1.000001
    assert {round(later - tick, 9) for tick, later in zip(ticks, ticks[1:], strict=False)} == {round(ticks[1], 9)}


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        (0, 0.001),
        (9, 1),
        (9.5, 2),
        (90, 10),
        (91, 20),
        (270, 30),
        (271, 60),
        (5400, 600),
        (16200, 1800),
        (16201, 3600),
        (36000, 7200),
    ],
)
def test_the_steps_of_the_axis(seconds: float, step: float) -> None:
    assert _timeline.Timeline(0.0, seconds, [], [], None).ticks[1] == step


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


def lane(*scripts: Record, events: t.Sequence[Record], macs: t.Sequence[str] = ()) -> list[tuple[t.Any, ...]]:
    """What is drawn of node a besides what its scripts do: kind, start, end, text, row, outcome, barrier."""
    one = run(a=scripts, b=[])
    one["nodes"]["a"]["direct_macs"] = list(macs)
    return [
        (part.kind, part.start, part.end, part.text, part.row, part.outcome, part.barrier)
        for part in _timeline.build(one, events).lanes[0].segments
    ]


def test_what_is_drawn_of_a_good_run() -> None:
    events = [
        event(10, None, "registered"),
        event(11, "a", "prepared"),
        event(13, "a", "write_state"),
        event(13.5, "a", "write_state"),
        event(14, "a", "arrive", "start"),
        event(15, "a", "arrive", "start"),
        event(16, None, "release", "start"),
        event(17, "a", "arrive", "own"),
        event(18, None, "release", "own"),
        event(19, None, "release", "own"),
        event(20, "a", "arrive", "finish"),
        event(21, None, "release", "finish"),
        event(23, "a", "left"),
        event(24, "a", "collected", {"notes": []}),
    ]
    assert lane(events=events, macs=["02:00:00:00:00:01"]) == [
        ("prepare", 10, 13, "prepared the machine", 0, "", ""),
        ("links", 13, 14, "bound the direct links", 0, "", ""),
        ("wait", 14, 16, "waited at start", 0, "", "start"),
        ("wait", 17, 18, "waited at own", 0, "", "own"),
        ("wait", 20, 21, "waited at finish", 0, "", "finish"),
        ("leave", 21, 23, "stopped, collected, cleaned up", 0, "", ""),
    ]
    assert not any(part[0] == "links" for part in lane(events=events)), "without cards there is nothing to bind"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [event(11, "a", "prepared"), event(20, "b", "abort")],
            [("prepare", 11, 11, "prepared the machine", 0, "", "")],
            id="no more than prepared",
        ),
        pytest.param(
            [event(11, "a", "left"), event(20, "b", "abort")],
            [("prepare", 11, 20, "prepared the machine", 0, "", "")],
            id="aborted while it was prepared",
        ),
        pytest.param(
            [
                event(11, "a", "prepared"),
                event(12, "a", "write_state"),
                event(20, "b", "abort"),
                event(22, "a", "left"),
            ],
            [
                ("prepare", 11, 12, "prepared the machine", 0, "", ""),
                ("links", 12, 20, "bound the direct links", 0, "stopped", ""),
                ("leave", 20, 22, "stopped, collected, cleaned up", 0, "", ""),
            ],
            id="aborted while its links were bound",
        ),
        pytest.param(
            [
                event(11, "a", "write_state"),
                event(12, "a", "arrive", "start"),
                event(20, None, "abort"),
                event(21, "a", "arrive", "ready"),
                event(22, "a", "abort"),
            ],
            [
                ("prepare", 11, 11, "prepared the machine", 0, "", ""),
                ("links", 11, 12, "bound the direct links", 0, "", ""),
                ("wait", 12, 20, "waited at start in vain", 0, "", "start"),
                ("wait", 21, 21, "waited at ready in vain", 0, "", "ready"),
                ("leave", 20, 22, "stopped, collected, cleaned up", 0, "", ""),
            ],
            id="it waited when the run was aborted, and came to the next barrier after that",
        ),
        pytest.param(
            [event(11, "a", "write_state"), event(12, "a", "arrive", "start"), event(15, "b", "prepared")],
            [
                ("prepare", 11, 11, "prepared the machine", 0, "", ""),
                ("links", 11, 12, "bound the direct links", 0, "", ""),
                ("wait", 12, 15, "waited at start in vain", 0, "", "start"),
            ],
            id="nobody ended the run",
        ),
    ],
)
def test_what_is_drawn_of_a_run_that_did_not_come_to_its_end(
    events: list[Record], expected: list[tuple[t.Any, ...]]
) -> None:
    assert lane(events=events, macs=["02:00:00:00:00:01"]) == expected


@pytest.mark.parametrize(
    ("values", "ready", "expected"),
    [
        ({}, None, [("test", 20, 25, "test x", 0, "")]),
        ({"kind": "setup"}, None, [("setup", 20, 25, "setup x", 0, "")]),
        ({"exit_code": 3}, None, [("test", 20, 25, "test x ended with 3", 0, "failed")]),
        ({"timed_out": True, "exit_code": -15}, None, [("test", 20, 25, "test x timed out", 0, "failed")]),
        ({"stopped": True, "exit_code": -15}, None, [("test", 20, 25, "test x was stopped", 0, "stopped")]),
        ({"finished": None, "exit_code": None}, None, [("test", 20, 30, "test x", 0, "")]),
        ({"started": None}, None, []),
        ({"kind": "monitor"}, None, [("monitor", 20, 25, "monitor x", 1, "")]),
        ({"kind": "monitor", "failure": "it died"}, None, [("monitor", 20, 25, "monitor x", 1, "failed")]),
        ({"kind": "monitor", "stopped": True}, None, [("monitor", 20, 25, "monitor x", 1, "")]),
        ({"kind": "daemon", "exit_code": 1}, None, [("daemon", 20, 25, "started daemon x", 0, "failed")]),
        ({"kind": "daemon", "stopped": True}, None, [("daemon", 20, 25, "started daemon x", 0, "stopped")]),
        (
            {"kind": "daemon"},
            22,
            [("daemon", 20, 22, "started daemon x", 0, ""), ("daemon", 20, 25, "daemon x", 1, "")],
        ),
        (
            {"kind": "daemon", "stopped": True},
            22,
            [("daemon", 20, 22, "started daemon x", 0, ""), ("daemon", 20, 25, "daemon x", 1, "")],
        ),
        (
            {"kind": "daemon", "exit_code": 1},
            22,
            [("daemon", 20, 22, "started daemon x", 0, ""), ("daemon", 20, 25, "daemon x", 1, "failed")],
        ),
    ],
)
def test_what_is_drawn_of_a_script(values: Record, ready: float | None, expected: list[tuple[t.Any, ...]]) -> None:
    """Its machine's clock is 80 s behind."""
    one = script(**{"started": -60.0, "finished": -55.0, "kind": "test", **values})
    events = [event(30, "a", "script", {"at": -50.0, "script": one})]
    if ready is not None:
        events.append(event(ready + 0.5, "a", "script", {"at": ready - 80.0, "script": one, "ready": True}))
    drawn = lane(one, events=events)
    assert [part[:6] for part in drawn if part[0] != "prepare"] == expected


@pytest.mark.parametrize(
    ("times", "rows"),
    [
        ([(1, 9), (2, 4), (3, 8), (4, 6), (5, 7), (9, 10)], [1, 2, 3, 2, 3, 1]),
        ([(1, 2), (1, 9), (2, 9), (3, 4)], [1, 2, 1, 3]),
        ([(1, 9), (1, 9), (1, 9), (1, 9), (1, 9)], [1, 2, 3, 3, 3]),
    ],
)
def test_what_runs_beside_takes_as_few_rows_as_it_can(times: list[tuple[float, float]], rows: list[int]) -> None:
    """There are three: a fourth would lie on the third."""
    monitors = [
        script("monitor", id=f"monitor-{number}", started=start, finished=end)
        for number, (start, end) in enumerate(times)
    ]
    (found,) = _timeline.build(run(a=monitors), [event(0, "a", "prepared"), event(12, "a", "left")]).lanes
    assert [segment.row for segment in found.segments if segment.kind == "monitor"] == rows
    assert found.rows == 3
    told_beside = "; ".join(f"monitor x, {end - start}.0 s" for start, end in times)
    assert found.text == f"prepared the machine, 0.00 s. Beside: {told_beside}"


def test_the_clock_of_a_machine_is_told_by_its_fastest_report() -> None:
    one = script(started=100.0, finished=101.0)
    events = [
        event(20.9, "a", "script", {"at": 100.0, "script": one}),
        event(20.5, "a", "phase", {"at": 100.0}),
        event(20.7, "a", "died", {"at": 100.0}),
        event(20.1, "a", "other", {"at": 100.0}),
    ]
    assert [part[1:3] for part in lane(one, events=events) if part[0] == "test"] == [(20.5, 21.5)]


def test_meetings() -> None:
    one = run(a=[], b=[], c=[])
    one["barriers"] = {"start": {"missing": []}, "finish": {"missing": [{"node": "c"}, {"node": "b"}]}}
    events = [
        event(10, "a", "arrive", "start"),
        event(12, "b", "arrive", "start"),
        event(12, "c", "arrive", "start"),
        event(12, None, "release", "start"),
        event(15, "a", "arrive", "finish"),
        event(18, "b", "abort"),
        event(25, "c", "left"),
    ]
    start, finish = _timeline.build(one, events).meetings
    assert (start.name, start.missing, start.end, start.total) == ("start", [], 12, 2)
    assert (finish.name, finish.missing, finish.end, finish.total) == ("finish", ["c", "b"], 18, 3)
    assert _timeline.Meeting("x", BarrierHistory({"a": 7}), [], 5).waited("a") == 0


@pytest.mark.parametrize(
    ("events", "begin", "end", "aborted"),
    [
        ([], 0, 0, None),
        ([event(10, None, "registered")], 10, 10, None),
        ([event(10, None, "registered"), event(12, "a", "prepared")], 10, 12, None),
        ([event(12, "a", "prepared"), event(14, None, "release", "start")], 12, 14, None),
        ([event(12, "a", "prepared"), event(14, None, "collected")], 12, 12, None),
        ([event(12, "a", "prepared"), event(14, None, "abort"), event(15, "b", "abort")], 12, 15, 14),
        ([event(12, "a", "prepared"), event(16, None, "abort")], 12, 16, 16),
        ([event(12, "stranger", "prepared")], 0, 0, None),
    ],
)
def test_from_when_to_when(events: list[Record], begin: float, end: float, aborted: float | None) -> None:
    timeline = _timeline.build(run(a=[], b=[]), events)
    assert (timeline.begin, timeline.end, timeline.aborted) == (begin, end, aborted)
    assert timeline.seconds == max(end - begin, 0.001)


def test_when_each_node_was_last_heard_of() -> None:
    events = [event(10, None, "registered"), event(12, "a", "prepared"), event(13, "b", "left"), event(15, "a", "left")]
    assert _timeline.leaving(events) == {"a": 15, "b": 13}


@pytest.mark.parametrize(
    ("since", "begin"), [({}, 10), ({"a": 50.0}, 50), ({"a": 5.0}, 10), ({"a": 53.0}, 10), ({"b": 50.0}, 10)]
)
def test_when_a_nodes_part_begins(since: dict[str, float], begin: float) -> None:
    events = [event(10, None, "registered"), event(52, "a", "prepared")]
    assert told(_timeline.build(run(a=[]), events, since=since).lanes[0])[0] == ("prepare", begin, 52)
