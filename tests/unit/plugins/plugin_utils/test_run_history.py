# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the one reader of the event log makes of a run's events."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier, EventName, Verdict
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import BarrierHistory, RunHistory
from hypothesis import given
from hypothesis import strategies as st

Event = dict[str, t.Any]
REASON = {"node": "a", "script": None, "exit_code": None, "text": "no", "kind": "abort"}
OTHER_REASON = {**REASON, "text": "another"}


def event(time: float, node: str | None, what: str, data: t.Any = None) -> Event:
    return {"time": time, "node": node, "what": what, "data": data}


def script(state: str = "running", **values: t.Any) -> Event:
    return {"id": "test-x", "name": "x", "kind": "test", "state": state, "exit_code": None, "stopped": False, **values}


def history(*events: Event) -> RunHistory:
    return RunHistory.of(events, ["a", "b"])


def everything(one: RunHistory) -> dict[str, t.Any]:
    """All that a history knows."""
    nodes = {name: dataclasses.asdict(node) for name, node in one.nodes.items()}
    barriers = {name: dataclasses.asdict(barrier) for name, barrier in one.barriers.items()}
    return {**vars(one), "nodes": nodes, "barriers": barriers}


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([], {"registered": None, "begin": None, "verdict": None, "reason": None, "end": None, "closed": False}),
        ([event(1, None, "registered"), event(2, None, "registered")], {"registered": 1, "begin": None}),
        ([event(1, None, "registered"), event(3, "a", "prepared"), event(4, "b", "prepared")], {"begin": 3}),
        (
            [event(5, None, "start_skew", {"seconds": 0.1}), event(6, None, "start_skew", {"seconds": 9})],
            {"start_skew": 0.1},
        ),
        ([event(5, None, "closed")], {"closed": True, "verdict": None}),
        ([event(5, None, "release", "start")], {"verdict": None, "end": None}),
        ([event(5, None, "release", "finish")], {"verdict": "finish", "end": 5, "aborted": None}),
        ([event(5, None, "abort", REASON)], {"verdict": "abort", "end": 5, "reason": REASON, "aborted": 5}),
        # The node reports first; that it ends the run is said with the reason.
        ([event(4, "a", "abort"), event(5, None, "abort", REASON)], {"verdict": "abort", "end": 5, "aborted": 4}),
        ([event(4, "a", "abort", REASON)], {"verdict": "abort", "end": 4, "reason": REASON}),
        (
            [
                event(5, None, "abort", REASON),
                event(6, "b", "abort", OTHER_REASON),
                event(7, None, "release", "finish"),
            ],
            {"verdict": "abort", "end": 5, "reason": REASON, "aborted": 5},
        ),
        (
            [event(5, None, "release", "finish"), event(6, "a", "abort", REASON)],
            {"verdict": "finish", "end": 5, "reason": None},
        ),
        ([event(5, None, "of the next version", {"x": 1})], {"begin": None, "verdict": None}),
    ],
)
def test_what_is_known_of_a_run(events: list[Event], known: Event) -> None:
    assert {name: getattr(history(*events), name) for name in known} == known


@pytest.mark.parametrize(
    ("events", "known"),
    [
        ([], {"first": None, "last": None, "roles": None, "lost_results": None, "clock_offset": None, "notes": []}),
        ([event(1, "a", "prepared"), event(2, "b", "prepared"), event(3, "a", "unheard of")], {"first": 1, "last": 3}),
        ([event(1, "a", "started"), event(2, "a", "started")], {"moments": {"started": 1}}),
        ([event(1, "a", "write_state", {"roles": ["server", "client"]})], {"roles": ["server", "client"]}),
        ([event(1, "a", "write_state")], {"roles": None, "moments": {"write_state": 1}}),
        (
            [event(1, "a", "collected", {"notes": ["x"]}), event(2, "a", "collected", {"notes": ["y"]})],
            {"notes": ["x", "y"]},
        ),
        (
            [event(1, "a", "results_lost", {"text": "no place"}), event(2, "a", "results_lost", {"text": "gone"})],
            {"lost_results": "no place"},
        ),
        # Of several differences of the clocks the least is nearest to the truth, also where it is below 0.
        (
            [
                event(10, "a", "script", {"script": script(), "at": 8}),
                event(11, "a", "phase", {"phase": "test", "state": "finished", "at": 14}),
                event(12, "a", "died", {"script": "test-x", "text": "x died", "at": 11}),
            ],
            {"clock_offset": -3},
        ),
        ([event(10, "a", "asked", {"at": 1})], {"clock_offset": None}),
    ],
)
def test_what_is_known_of_a_node(events: list[Event], known: Event) -> None:
    node = history(*events).nodes["a"]
    assert {name: getattr(node, name) for name in known} == known


def test_a_node_that_nobody_has_announced_is_known_by_its_events() -> None:
    heard = history(event(1, "c", "prepared"))
    assert list(heard.nodes) == ["a", "b", "c"]
    assert heard.nodes["c"].has(EventName.PREPARED)
    assert not heard.nodes["c"].has(EventName.LEFT)
    assert not heard.nodes["a"].has(EventName.PREPARED)


ARRIVES = event(1, "a", "arrive", "start")


@pytest.mark.parametrize(
    ("events", "arrived", "arrivals", "waiting"),
    [
        ([ARRIVES], {"a": 1}, {"start": 1}, {"start": 1}),
        ([ARRIVES, event(2, "a", "arrive", "start")], {"a": 1}, {"start": 1}, {"start": 1}),
        ([ARRIVES, event(2, "b", "arrive", "start")], {"a": 1, "b": 2}, {"start": 1}, {"start": 1}),
        ([ARRIVES, event(3, None, "release", "start")], {"a": 1}, {"start": 1}, {}),
        ([event(0, None, "release", "start"), ARRIVES], {"a": 1}, {"start": 1}, {}),
        ([ARRIVES, event(3, None, "release", "ready")], {"a": 1}, {"start": 1}, {"start": 1}),
        ([ARRIVES, event(3, "b", "abort")], {"a": 1}, {"start": 1}, {"start": 1}),
        ([ARRIVES, event(3, "a", "abort")], {"a": 1}, {"start": 1}, {}),
        ([ARRIVES, event(3, None, "abort", REASON)], {"a": 1}, {"start": 1}, {}),
        ([event(0, None, "abort", REASON), ARRIVES], {"a": 1}, {"start": 1}, {}),
        # Whoever takes the node job next arrives again.
        ([ARRIVES, event(3, "a", "given_back")], {}, {}, {}),
        ([ARRIVES, event(3, "b", "given_back")], {"a": 1}, {"start": 1}, {"start": 1}),
        (
            [ARRIVES, event(3, "a", "given_back"), event(4, "a", "arrive", "start")],
            {"a": 4},
            {"start": 4},
            {"start": 4},
        ),
        ([ARRIVES, event(2, None, "release", "start"), event(3, "a", "given_back")], {"a": 1}, {"start": 1}, {}),
        ([ARRIVES, event(3, None, "given_back")], {"a": 1}, {"start": 1}, {"start": 1}),
    ],
)
def test_arrivals(events: list[Event], arrived: Event, arrivals: Event, waiting: Event) -> None:
    one = history(*events)
    assert one.barriers["start"].arrived == arrived
    assert one.nodes["a"].arrivals == arrivals
    assert one.nodes["a"].waiting == waiting


def test_nobody_waits_when_the_run_has_ended() -> None:
    one = RunHistory.of([event(1.0, "a", "arrive", Barrier.START), event(2.0, None, "release", Barrier.FINISH)], ["a"])
    assert one.nodes["a"].waiting == {}


def test_the_first_release_counts() -> None:
    one = history(ARRIVES, event(2, None, "release", "start"), event(3, None, "release", "start"))
    assert one.barriers["start"].released == 2


@pytest.mark.parametrize(
    ("arrived", "first", "last", "ahead"),
    [
        ({}, None, [], 0),
        ({"a": 3}, 3, ["a"], 0),
        ({"a": 3, "b": 7}, 3, ["b"], 4),
        ({"b": 7, "a": 3, "c": 6}, 3, ["b"], 1),
        ({"a": 3, "b": 7, "c": 7}, 3, ["b", "c"], 0),
    ],
)
def test_who_came_last(arrived: dict[str, float], first: float | None, last: list[str], ahead: float) -> None:
    barrier = BarrierHistory(arrived)
    assert (barrier.first, barrier.last, barrier.ahead) == (first, last, ahead)


FAILED = script("ended", exit_code=3)


@pytest.mark.parametrize(
    ("events", "known"),
    [
        (
            [event(5, "a", "script", {"script": script(), "at": 4})],
            {"record": script(), "runs_since": 5, "ready_at": None},
        ),
        (
            [
                event(5, "a", "script", {"script": script(), "at": 4}),
                event(6, "a", "script", {"script": script(), "at": 5, "ready": True}),
            ],
            {"runs_since": 5, "ready_at": 5},
        ),
        (
            [
                event(5, "a", "script", {"script": script(), "at": 4}),
                event(7, "a", "script", {"script": FAILED, "at": 6, "tail": "oh"}),
            ],
            {"record": FAILED, "runs_since": None, "tail": "oh", "failure": None},
        ),
        # What it printed last is told of a failure only.
        ([event(7, "a", "script", {"script": script("ended", exit_code=0), "at": 6, "tail": "oh"})], {"tail": None}),
        ([event(7, "a", "script", {"script": {**FAILED, "stopped": True}, "at": 6, "tail": "oh"})], {"tail": None}),
        (
            [event(7, "a", "died", {"script": "test-x", "text": "x died"})],
            {"record": None, "failure": "x died", "tail": None},
        ),
        (
            [
                event(7, "a", "script", {"script": FAILED, "at": 6, "tail": "oh"}),
                event(
                    8, "a", "phase", {"phase": "test", "state": "failed", "script": "test-x", "text": "3", "tail": ""}
                ),
            ],
            {"record": FAILED, "failure": "3", "tail": "oh"},
        ),
        (
            [
                event(
                    8,
                    "a",
                    "phase",
                    {"phase": "test", "state": "failed", "script": "test-x", "text": "3", "tail": "end"},
                )
            ],
            {"failure": "3", "tail": "end"},
        ),
    ],
)
def test_what_is_known_of_a_script(events: list[Event], known: Event) -> None:
    (one,) = history(*events).nodes["a"].scripts.values()
    assert {name: getattr(one, name) for name in known} == known


def test_a_phase_that_went_well_says_nothing_of_a_script() -> None:
    assert history(event(8, "a", "phase", {"phase": "test", "state": "finished", "at": 7})).nodes["a"].scripts == {}


moments = st.floats(0, 1000)
nodes = st.sampled_from(["a", "b", "c"])
barriers = st.sampled_from([*Barrier, "between the two"])
reasons = st.builds(lambda text: {**REASON, "text": text}, st.text(max_size=3))
records = st.builds(
    lambda name, state, code, stopped: script(state, id=name, exit_code=code, stopped=stopped),
    st.sampled_from(["test-x", "daemon-y"]),
    st.sampled_from(["waiting", "running", "ended"]),
    st.none() | st.integers(-9, 3),
    st.booleans(),
)
failures = st.fixed_dictionaries(
    {"at": moments},
    optional={"script": st.sampled_from(["test-x", None]), "text": st.text(max_size=3), "tail": st.text(max_size=3)},
)
OF_THE_RUN: dict[str, st.SearchStrategy[t.Any]] = {
    "registered": st.none(),
    "release": barriers,
    "abort": reasons,
    "start_skew": st.fixed_dictionaries({"seconds": moments}),
    "closed": st.none(),
    "warning": st.fixed_dictionaries({"text": st.text(max_size=3)}),
}
OF_A_NODE: dict[str, st.SearchStrategy[t.Any]] = {
    **{str(name): st.none() for name in EventName if name not in OF_THE_RUN},
    "write_state": st.fixed_dictionaries({"roles": st.lists(st.sampled_from(["server", "client"]))}),
    "arrive": barriers,
    "abort": st.none() | reasons,
    "script": st.fixed_dictionaries(
        {"script": records, "at": moments}, optional={"ready": st.booleans(), "tail": st.text(max_size=3)}
    ),
    "phase": failures,
    "died": failures,
    "collected": st.fixed_dictionaries({"notes": st.lists(st.text(max_size=3), max_size=2)}),
    "warning": st.fixed_dictionaries({"text": st.text(max_size=3)}),
    "results_lost": st.fixed_dictionaries({"text": st.text(max_size=3)}),
}
ANYTHING = st.none() | st.text(max_size=3) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)


def events_of(
    node: st.SearchStrategy[str | None], kinds: t.Mapping[str, st.SearchStrategy[t.Any]]
) -> st.SearchStrategy[Event]:
    return st.sampled_from(list(kinds)).flatmap(
        lambda what: st.builds(event, moments, node, st.just(what), kinds[what])
    )


UNKNOWN = st.text(max_size=5).filter(lambda name: name not in list(EventName))
any_events = st.lists(
    events_of(st.none(), OF_THE_RUN)
    | events_of(nodes, OF_A_NODE)
    | st.builds(event, moments, st.none() | nodes, UNKNOWN, ANYTHING),
    max_size=25,
)


def test_the_events_that_are_tried_are_all_that_there_are() -> None:
    assert {*OF_THE_RUN, *OF_A_NODE} == set(EventName)


@given(any_events)
def test_any_events_make_a_history(events: list[Event]) -> None:
    one = RunHistory(["a", "b"])
    verdicts: list[tuple[Verdict, t.Any, float | None]] = []
    for each in events:
        one.take(each)
        if one.verdict is not None:
            verdicts.append((one.verdict, one.reason, one.end))
        for name, node in one.nodes.items():
            assert node.waiting.items() <= node.arrivals.items()
            assert all(one.barriers[barrier].released is None for barrier in node.waiting)
            assert not (one.verdict and node.waiting)
            assert all(one.barriers[barrier].arrived[name] == moment for barrier, moment in node.arrivals.items())
    assert all(verdict == verdicts[0] for verdict in verdicts), "the first verdict is the run's"
    endings = [
        each
        for each in events
        if (each["what"], each["data"]) == ("release", "finish") or (each["what"] == "abort" and each["data"])
    ]
    assert (one.verdict is None) == (not endings)
    if endings:
        assert one.end == endings[0]["time"]
        assert one.verdict == (Verdict.ABORT if endings[0]["what"] == "abort" else Verdict.FINISH)
    assert everything(one) == everything(RunHistory.of(events, ["a", "b"]))


@given(any_events, st.integers(0, 25))
def test_a_history_that_has_begun_goes_on_like_one_that_is_read_at_once(events: list[Event], first: int) -> None:
    """Progress takes events as they come; the report reads them all at the end."""
    followed = RunHistory.of(events[:first], ["a", "b"])
    for each in events[first:]:
        followed.take(each)
    assert everything(followed) == everything(RunHistory.of(events, ["a", "b"]))


@given(any_events, nodes)
def test_what_is_given_back_has_arrived_nowhere_that_is_open(events: list[Event], node: str) -> None:
    one = RunHistory.of([*events, event(1000, node, "given_back")], ["a", "b", "c"])
    assert one.nodes[node].waiting == {}
    if one.verdict is None and not any(each["what"] == "abort" and each["node"] == node for each in events):
        held = {name for name, barrier in one.barriers.items() if node in barrier.arrived}
        assert all(one.barriers[name].released is not None for name in held)
