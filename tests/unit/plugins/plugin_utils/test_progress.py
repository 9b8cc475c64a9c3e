# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("redis")

from ansible_collections.lab.multidevice.plugins.plugin_utils._progress import _grouped_notes, _screen
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._grouped_notes import GroupedNotes
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import Note, RunView

CLIENTS = [f"client-{number}" for number in range(1, 50)]


def event(what: str, node: str | None = None, data: t.Any = None, time: float = 100.0) -> dict[str, t.Any]:
    return {"time": time, "node": node, "what": what, "data": data}


def script(node: str, state: str, kind: str = "test", time: float = 100.0, **values: t.Any) -> dict[str, t.Any]:
    record = {"id": f"{kind}-x", "name": "x", "kind": kind, "state": state, "started": 99.0, "finished": None}
    record.update(exit_code=None, stopped=False, timed_out=False)
    more = {"ready": values.pop("ready")} if "ready" in values else {}
    return event("script", node, {"at": time, "script": {**record, **values}, "tail": "", **more}, time)


def view(*nodes: str) -> RunView:
    return RunView("s.1", {node: [node.rpartition("-")[0]] for node in nodes or ("server-1", "client-1", "client-2")})


def texts(run: RunView, *events: dict[str, t.Any]) -> list[str]:
    return [note.text for one in events for note in run.take(one)]


def test_a_run_from_its_events() -> None:
    run = view("server-1", "client-1")
    assert not run.is_going
    assert texts(run, event("registered"), event("prepared", "server-1", time=100)) == []
    assert run.is_going
    assert run.nodes["client-1"].now()[0] == "is being prepared"
    run.take(event("arrive", "server-1", "start", 101))
    assert run.nodes["server-1"].now() == ("waits at start", 101)
    assert run.missing() == [("start", ["client-1"], 101)]
    run.take(event("arrive", "client-1", "start", 104))
    assert run.missing() == [], "all have come, and are about to be let go on"
    assert texts(run, event("release", None, "start", 104)) == [
        "start: 2 nodes together, client-1 3.0 s after the others"
    ]
    assert run.nodes["client-1"].now() == ("on its way to ready", 104)
    assert texts(run, script("server-1", "running", "daemon")) == []
    assert texts(run, script("server-1", "ready", "daemon", ready=True)) == ["daemon x is ready"]
    assert run.nodes["server-1"].beside() == {"daemon x": 100}
    assert texts(run, script("client-1", "running")) == ["test x runs"]
    assert run.nodes["client-1"].now() == ("test x", 100)
    run.take(event("arrive", "client-1", "halfway", 105))
    assert run.nodes["client-1"].now() == ("test x, waits at halfway", 105)
    assert run.missing() == [], "who else comes to a barrier of the scripts is not known"
    assert texts(run, script("client-1", "ended", exit_code=0, finished=103.0)) == ["test x has ended"]
    assert texts(run, event("release", None, "finish", 110)) == ["finish after 10.0 s"]
    assert run.history.verdict == "finish"
    for node in ("server-1", "client-1"):
        run.take(event("left", node))
    assert not run.is_going


def test_an_abort_is_told_once() -> None:
    run = view()
    reason = {"node": "client-2", "script": "test-x", "exit_code": 3, "text": "test x ended with exit code 3"}
    run.take(event("arrive", "server-1", "finish", 101))
    said = texts(
        run,
        script("client-2", "ended", exit_code=3, finished=101.0),
        event("abort", "client-2", reason),
        script("client-1", "ended", exit_code=-15, finished=101.5, stopped=True),
        event("abort", "client-1", {"text": "the run was aborted"}),
    )
    assert said == ["test x ended with exit code 3", "abort: client-2: test x ended with exit code 3"]
    assert run.missing() == []
    assert run.nodes["server-1"].now()[0] == "stops"


def test_what_many_nodes_do_at_once_is_one_line() -> None:
    run, notes = view("server-1", *CLIENTS), GroupedNotes()
    for number, name in enumerate(reversed(CLIENTS)):
        notes.add(run, Note("test x has ended", name, 1 + number / 100), at=0)
    assert list(notes.lines()) == [], "others may join"
    ((text, outcome),) = notes.lines(everything=True)
    assert text.partition(" ")[2] == "client-[1-49]: test x has ended (1.0–1.5 s)"
    assert outcome == ""


def test_notes_wait_for_others_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(_grouped_notes.time, "monotonic", lambda: now)
    run, notes = view(), GroupedNotes()
    said = []
    for number in range(20):
        now = number / 2
        notes.add(run, Note("again", f"client-{number}"))
        said += list(notes.lines())
    assert len(said) == 1, "a group that grows and grows is told all the same"
    now += 2
    assert len(list(notes.lines())) == 1


def test_what_the_reason_says_is_not_said_again() -> None:
    run, notes = view(), GroupedNotes()
    run.history.reason = {"text": "test x failed"}
    notes.add(run, Note("failed: 1", "client-1", failure="the run was aborted: test x failed (node client-2)"))
    notes.add(run, Note("failed: 2", "client-1", failure="the disk is full"))
    assert [text.rpartition(": ")[2] for text, _outcome in notes.lines(everything=True)] == ["2"]


def size(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))


def test_fifty_nodes_fit_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    size(monkeypatch, 80, 24)
    run = view("server-1", *CLIENTS)
    for number, name in enumerate(CLIENTS):
        run.take(script(name, "running", time=100 + number, name=f"x{number % 40}", id=f"test-{number}"))
    lines = _screen.picture([run], 200.0, about="Wait for the test scripts")
    assert len(lines) == 20
    assert all(len(line) < 80 for line in lines)
    assert lines[0] == "— 1:40 · Wait for the test scripts ———————————————————————————————————————————"
    assert lines[1] == "  start 0/50   ready 0/50   finish 0/50"
    assert lines[2] == "  client-1, client-41  test x0 1:40"
    assert lines[-2:] == ["  client-16            test x15 1:25", "  and 24 nodes more"]


def test_nodes_that_do_the_same_share_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    size(monkeypatch, 120, 30)
    run = view("server-1", *CLIENTS)
    run.take(script("server-1", "running", "daemon", time=110))
    run.take(event("arrive", "server-1", "finish", 150))
    for number, name in enumerate(CLIENTS):
        run.take(script(name, "running", time=120 + number / 10))
    assert _screen.picture([run], 200.0)[1:] == [
        "  start 0/50   ready 0/50   finish 1/50",
        "  waited for at finish since 0:50: client-[1-49]",
        "  client-[1-49]  test x 1:20",
        "  server-1       waits at finish 0:50  + daemon x 1:30",
    ]


def test_a_screen_is_written_in_its_place() -> None:
    written: list[str] = []
    screen = _screen.Screen(written.append)
    screen.show(["one", "two"])
    screen.show(["three"])
    screen.clear()
    screen.clear()
    assert written == ["one\x1b[K\ntwo\x1b[K\n\x1b[J", "\x1b[2Fthree\x1b[K\n\x1b[J", "\x1b[1F\x1b[J"]


def test_names_cannot_move_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    size(monkeypatch, 80, 24)
    run = view("client-1")
    run.take(script("client-1", "running", name="x\x1b[2J"))
    assert _screen.picture([run], 200.0)[2:] == ["  client-1  test x\ufffd[2J 1:40"]
