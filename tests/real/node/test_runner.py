# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How scripts are started, timed, stopped and followed when they fork away. See test_supervisor.py for what is around it."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._node import (
    _processes,
    _readiness,
    _runner,
    _script,
)
from ansible_collections.lab.multidevice.plugins.module_utils._node._account import Account

from node.runners import Node, in_a_process_of_its_own, wait_for
from node.supervised import script

IGNORES_TERM = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
HERE = {"file": "here"}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    for name in ("results", "tmp"):
        (tmp_path / name).mkdir()
    return Node(tmp_path)


def states(node: Node) -> dict[str, str]:
    return {name: phase["state"] for name, phase in node.runner.status()["phases"].items()}


# Variables


@in_a_process_of_its_own
def test_what_scripts_of_lkp_tests_are_given(node: Node) -> None:
    names = ("BENCHMARK_ROOT", "TMP_RESULT_ROOT", "RESULT_MNT", "testcase")
    shown = "; ".join(f'echo "${name}"' for name in names)
    own = script(
        "test", shown, name="own", env={"BENCHMARK_ROOT": "/opt/b", "testcase": "mine", "TMP_RESULT_ROOT": "/"}
    )
    node.run(script("test", shown, name="given"), own)
    results = node.results
    assert node.says("test-given").splitlines() == ["/lkp/benchmarks", f"{results}/test-given", str(results), "given"]
    assert node.says("test-own").splitlines() == ["/opt/b", f"{results}/test-own", str(results), "mine"]


@in_a_process_of_its_own
def test_what_a_script_leaves_reaches_those_after_it(node: Node) -> None:
    left = [
        "mount_points: /a  /b ",
        "exec_prefix:",
        'quoted: "x"',
        "nr: 3",
        "no name: 1",
        "9th: 1",
        "# note: 1",
        "url:stuck",
        "RESULT_ROOT: /",
        f"{_processes.JOB_VARIABLE}: other",
        "PATH: /nowhere",
    ]
    lines = "\n".join(left)
    shown = 'echo "[$mount_points][${exec_prefix-unset}][$quoted][$nr][${note-unset}][${url-unset}]"'
    setup = script("setup", f"cat > $TMP/env.yaml <<'END'\n{lines}\nEND")
    daemon = script("daemon", f"{shown}; sleep 600 & :", name="d")
    assert node.run(setup, daemon, phase="daemon")["state"] == "finished"
    test = script(
        "test", f'{shown}; echo "$RESULT_ROOT"; echo "${{{_processes.JOB_VARIABLE}-unset}}"', name="t", env={"nr": "4"}
    )
    assert node.run(test)["state"] == "finished"
    assert node.says("daemon-d").strip() == '[/a  /b][]["x"][3][unset][unset]'
    assert node.says("test-t").splitlines() == ['[/a  /b][]["x"][4][unset][unset]', f"{node.results}/test-t", "unset"]


@pytest.mark.parametrize(
    ("leave", "why"),
    [
        ("ln -s /etc/passwd $TMP/env.yaml", "cannot be read"),
        ("mkfifo $TMP/env.yaml", "cannot be read"),
        ("mkdir $TMP/env.yaml", "cannot be read"),
        (f"head -c {_script.MAX_LEFT_BYTES + 1} /dev/zero > $TMP/env.yaml", "more than 65536 bytes"),
    ],
)
@in_a_process_of_its_own
def test_nothing_but_a_file_of_variables_is_read(node: Node, leave: str, why: str) -> None:
    assert node.run(script("setup", leave), phase="daemon")["state"] == "finished"
    ended = node.run(script("test", "echo ran", name="t"))
    assert ended["state"] == "failed"
    assert ended["text"].startswith("test script t could not be started: $TMP/env.yaml ")
    assert why in ended["text"]


# Phases


@in_a_process_of_its_own
def test_a_phase_from_its_begin_to_its_end(node: Node) -> None:
    assert node.runner.status() == {
        "phases": {name: {"state": "idle", "script": None, "text": None} for name in ("daemon", "test")},
        "scripts": [],
    }
    assert node.runner.is_idle()
    text = f"echo said; {wait_for('go')}"
    assert node.runner.start("test", [script("test", text, name=name) for name in "ab"], armed=False)
    assert states(node) == {"daemon": "idle", "test": "running"}
    assert not node.runner.is_idle()
    assert [node.record(f"test-{name}")["state"] for name in "ab"] == ["running", "waiting"]
    assert not node.runner.start("test", [script("test", "")], armed=False)
    assert not node.runner.go("test")
    assert node.runner.pause() is None
    node.give("test-a", "go")
    node.until(lambda: node.record("test-b")["state"] == "running")
    assert node.record("test-a")["state"] == "ended"
    assert states(node)["test"] == "running"
    node.give("test-b", "go")
    assert node.end_of("test") == {
        "event": "phase",
        "phase": "test",
        "state": "finished",
        "script": None,
        "exit_code": None,
        "text": None,
        "tail": "",
    }
    assert states(node) == {"daemon": "idle", "test": "finished"}
    assert [told["script"]["state"] for told in node.told_of("test-a")] == ["running", "ended"]
    assert {told["tail"] for told in node.told("script")} == {""}
    assert node.runner.is_idle()


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("echo one; echo two; exit 3", 3, "test script it ended with exit code 3: two"),
        ("echo out; echo err >&2; exit 3", 3, "test script it ended with exit code 3: err"),
        ("exit 1", 1, "test script it ended with exit code 1"),
        ("echo why; exit 1", 1, "test script it ended with exit code 1: why"),
        ("kill -KILL $$", -9, "test script it was ended by signal 9"),
    ],
)
@in_a_process_of_its_own
def test_a_script_that_fails(node: Node, text: str, code: int, said: str) -> None:
    ended = node.run(script("test", text), script("test", "", name="next"))
    assert (ended["state"], ended["script"], ended["exit_code"], ended["text"]) == ("failed", "test-it", code, said)
    assert node.runner.status()["phases"]["test"] == {"state": "failed", "script": "test-it", "text": said}
    assert node.record("test-next")["started"] is None
    tail = ended["tail"]
    assert said.endswith(tail.splitlines()[-1]) if tail else ":" not in said
    assert node.told_of("test-it")[-1]["tail"] == tail
    assert len(node.told("phase")) == 1


@in_a_process_of_its_own
def test_armed_scripts_start_in_order(node: Node) -> None:
    monitors = [script("monitor", "exec sleep 600", name=name) for name in "ab"]
    tests = [script("test", f"echo ran; {wait_for('go')}", name=name) for name in "ab"]
    assert node.runner.start("test", [*monitors, *tests], armed=True)
    armed = _processes.descendants(os.getpid())
    assert len(armed) == 3, "the first test goes with its monitors, the others wait for their turn"
    node.runner.step()
    assert states(node)["test"] == "armed"
    assert not node.events
    assert {record["state"] for record in node.runner.status()["scripts"]} == {"waiting"}
    assert not node.runner.start("test", tests, armed=True)
    assert node.runner.go("test")
    assert not node.runner.go("test")
    assert not node.runner.go("daemon")
    assert sorted(_processes.descendants(os.getpid())) >= sorted(armed)
    assert [told["script"]["id"] for told in node.told("script")] == ["monitor-a", "monitor-b", "test-a"]
    node.until(lambda: node.says("test-a"))
    assert node.record("test-b")["started"] is None
    node.give("test-a", "go")
    node.until(lambda: node.says("test-b"))
    node.give("test-b", "go")
    assert node.end_of("test")["state"] == "finished"
    assert [node.record(f"monitor-{name}")["state"] for name in "ab"] == ["running", "running"]
    node.stop()


@in_a_process_of_its_own
def test_a_phase_with_nothing_to_wait_for_is_over_at_once(node: Node) -> None:
    assert node.runner.start("daemon", [], armed=False)
    assert states(node)["daemon"] == "finished"
    assert node.runner.start("test", [script("monitor", "exec sleep 600")], armed=True)
    assert states(node)["test"] == "armed"
    assert node.runner.go("test")
    assert states(node)["test"] == "finished"
    node.stop()


@in_a_process_of_its_own
def test_a_monitor_that_ends_is_no_failure(node: Node) -> None:
    assert node.run(script("monitor", "exit 3"), script("test", "sleep 0.1"))["state"] == "finished"
    node.until(lambda: node.record("monitor-it")["exit_code"] == 3)
    assert len(node.told("phase")) == 1


@pytest.mark.parametrize("armed", [False, True])
@in_a_process_of_its_own
def test_a_script_that_cannot_be_started(node: Node, armed: bool) -> None:
    (node.results / "test-it").write_text("in the way")
    plans = [script("monitor", "exec sleep 600"), script("test", ""), script("test", "", name="next")]
    before = time.time()
    assert node.runner.start("test", plans, armed=armed)
    assert not node.runner.go("test")
    record = node.record("test-it")
    assert (record["state"], record["exit_code"], record["started"]) == ("ended", 126, None)
    assert before <= record["finished"] <= time.time()
    assert record["note"].startswith("could not be started: File exists")
    (ended,) = node.told("phase")
    assert (ended["state"], ended["script"], ended["exit_code"]) == ("failed", "test-it", 126)
    assert ended["text"] == f"test script it {record['note']}"
    assert [told["script"]["state"] for told in node.told_of("test-it")] == ["ended"]
    assert node.record("test-next")["state"] == "waiting"
    assert len(_processes.descendants(os.getpid())) == 1
    node.stop()


@in_a_process_of_its_own
def test_an_armed_script_that_is_ended_before_it_ran_keeps_no_gate(node: Node) -> None:
    node.runner.start("test", [script("test", "echo ran")], armed=True)
    descriptors = len(os.listdir("/proc/self/fd"))
    node.stop()
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1
    assert not node.runner.go("test")
    assert node.says("test-it") == ""
    assert node.record("test-it")["stopped"]
    assert states(node)["test"] == "stopped"


@in_a_process_of_its_own
def test_what_is_kept_of_a_script(node: Node) -> None:
    node.runner.start("test", [script("test", wait_for("go"), name=name) for name in "ab"], armed=False)
    node.runner.write_records()
    path = node.results / "test-a" / "result.json"
    assert json.loads(path.read_text()) == node.record("test-a")
    assert not (node.results / "test-b").exists()
    (node.results / "test-a" / "go").touch()
    node.until(lambda: node.record("test-a")["state"] == "ended")
    record = node.record("test-a")
    assert json.loads(path.read_text()) == record
    assert 0 < record["started"] <= record["finished"] <= time.time()
    assert not record["timed_out"] and not record["stopped"] and record["note"] is None
    node.stop()


@in_a_process_of_its_own
def test_a_message_says_that_the_disk_is_full(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_script, "ALMOST_FULL", 2**80)
    text = node.run(script("test", "echo here; exit 1"))["text"]
    assert text.startswith("test script it ended with exit code 1: here (the disk is full: ")


@pytest.fixture
def open_folder() -> t.Iterator[Path]:
    """One that other users reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@in_a_process_of_its_own
def test_scripts_of_another_user(open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    for name in ("results", "tmp"):
        (open_folder / name).mkdir(mode=0o711)
    node = Node(open_folder, account=Account("nobody", 65534, 65534, "/nonexistent", ""))
    daemon = script("daemon", "exec sleep 600", ready={"command": 'id -u >"$WHO"'})
    who = open_folder / "tmp" / "who"
    assert node.run({**daemon, "env": {"WHO": str(who)}}, phase="daemon")["state"] == "finished"
    assert who.read_text() == "65534\n"
    assert node.run(script("test", 'id -u; echo "$HOME $USER $A"'))["state"] == "finished"
    assert node.says("test-it") == "65534\n/nonexistent nobody all\n"
    node.stop()


@in_a_process_of_its_own
def test_links_that_another_user_puts_in_the_way_are_not_followed(open_folder: Path) -> None:
    """Root writes into folders that are the user's."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    for name in ("results", "tmp"):
        (open_folder / name).mkdir(mode=0o711)
    precious = open_folder / "precious"
    precious.write_text("root's")
    node = Node(open_folder, account=Account("nobody", 65534, 65534, "/nonexistent", ""))
    links = f'ln -s {precious} "$TMP/test-next.script"; ln -s {precious} result.json'
    assert node.run(script("test", links), script("test", "echo ran", name="next"))["state"] == "finished"
    assert node.says("test-next") == "ran\n"
    assert precious.read_text() == "root's"
    assert precious.stat().st_uid == 0 and precious.stat().st_mode & 0o100 == 0
    assert json.loads((node.results / "test-it" / "result.json").read_text()) == node.record("test-it")
    assert sorted(path.name for path in node.results.iterdir()) == ["test-it", "test-next"]


# The end of a run


@in_a_process_of_its_own
def test_a_stop_before_anything_was_started(node: Node) -> None:
    assert node.runner.stopping_for == 0.0
    node.runner.stop(60)
    assert node.runner.is_idle()
    assert states(node) == {"daemon": "stopped", "test": "stopped"}
    assert not node.runner.start("test", [script("test", "")], armed=False)


@in_a_process_of_its_own
def test_a_stop_leaves_what_has_ended_as_it_is(node: Node) -> None:
    node.run(script("setup", "exit 0"), phase="daemon")
    node.run(script("test", "exit 1"))
    node.stop()
    assert states(node) == {"daemon": "finished", "test": "failed"}
    assert not node.record("test-it")["stopped"]
    assert len(node.events) == 6


@in_a_process_of_its_own
def test_all_processes_are_told_to_end(node: Node) -> None:
    text = "trap 'echo ended; exit 0' TERM; (setsid env -i sleep 600 &); echo $$; while :; do sleep 0.02; done"
    node.runner.start("test", [script("test", text), script("test", "", name="next")], armed=False)
    node.pid("test-it")
    node.stop(60)
    assert node.says("test-it").endswith("ended\n")
    record = node.record("test-it")
    assert (record["exit_code"], record["stopped"]) == (0, True)
    assert states(node)["test"] == "stopped"
    assert node.record("test-next")["started"] is None
    assert not node.told("phase")


@in_a_process_of_its_own
def test_a_second_stop_does_not_begin_the_grace_anew(node: Node) -> None:
    node.runner.start("test", [script("test", IGNORES_TERM)], armed=False)
    node.pid("test-it")
    begin = time.monotonic()
    node.runner.stop(0.3)
    first = node.runner.stopping_for
    assert 0 <= first <= time.monotonic() - begin
    node.runner.stop(600)
    assert first < node.runner.stopping_for <= time.monotonic() - begin
    pause = node.runner.pause()
    assert pause is not None and pause <= 0.3
    assert node.runner.is_idle() is False
    node.until(node.runner.is_idle)
    assert time.monotonic() - begin >= 0.3
    assert node.record("test-it")["exit_code"] == -signal.SIGKILL


@in_a_process_of_its_own
def test_nothing_is_killed_within_the_grace(node: Node) -> None:
    text = f"trap '{wait_for('go')}; exit 5' TERM; echo $$; while :; do sleep 0.02; done"
    node.runner.start("test", [script("test", text)], armed=False)
    node.pid("test-it")
    node.runner.stop(600)
    for _turn in range(5):
        node.runner.step()
    pause = node.runner.pause()
    assert pause is not None and 500 < pause <= 600
    node.give("test-it", "go")
    node.until(node.runner.is_idle)
    assert node.record("test-it")["exit_code"] == 5


@in_a_process_of_its_own
def test_kill_is_sent_until_nothing_is_left(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being forked at the moment of a KILL comes into being after it."""
    send = _processes.send_signal
    late: list[int] = []

    def send_while_one_is_forked(pids: t.Iterable[int], number: int) -> None:
        send(pids, number)
        if number == signal.SIGKILL and len(late) < 3:
            late.append(os.fork())
            while late[-1] == 0:
                signal.pause()

    node.runner.start("test", [script("test", IGNORES_TERM)], armed=False)
    node.pid("test-it")
    monkeypatch.setattr(_processes, "send_signal", send_while_one_is_forked)
    node.runner.stop(0)
    while not node.runner.is_idle():
        node.runner.step()
        pause = node.runner.pause()
        assert node.runner.is_idle() or (pause is not None and pause <= 1)
        signal.sigtimedwait([signal.SIGCHLD], pause or 0)
    assert len(late) == 3


# Limits of time


@in_a_process_of_its_own
def test_a_script_that_takes_too_long(node: Node) -> None:
    node.runner.start("test", [script("test", "echo here; exec sleep 600", timeout=30)], armed=False)
    pause = node.runner.pause()
    assert pause is not None and 20 < pause < 30.1
    node.stop()
    assert not node.record("test-it")["timed_out"]


@pytest.mark.parametrize("kind", ["test", "setup", "daemon"])
@in_a_process_of_its_own
def test_a_script_that_took_too_long(node: Node, kind: str) -> None:
    plan = script(kind, "exec 2>/dev/null; trap 'exit 0' TERM; echo here; while :; do sleep 0.02; done", timeout=0.2)
    ended = node.run({**plan, "ready": {"file": "never"}}, phase="test" if kind == "test" else "daemon")
    assert ended["text"] == f"{kind} script it timed out after 0.2 s: here"
    record = node.record(f"{kind}-it")
    assert (record["exit_code"], record["timed_out"], record["stopped"]) == (0, True, False)
    assert record["finished"] - record["started"] > 0.15
    node.until(lambda: node.runner.pause() is None)
    assert node.runner.is_idle()


@in_a_process_of_its_own
def test_a_time_limit_of_a_daemon_is_for_its_start(node: Node) -> None:
    assert node.run(script("daemon", "touch here; exec sleep 600", ready=HERE, timeout=20), phase="daemon")
    assert node.record("daemon-it")["state"] == "ready"
    assert node.runner.pause() is None
    for running in node.runner._by_pid.values():
        running.since = time.monotonic() - 1000
    node.runner.step()
    assert not node.record("daemon-it")["timed_out"]
    node.stop()


@in_a_process_of_its_own
def test_what_a_script_forked_away_ends_with_its_time(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a KILL after a grace for what does not hear, and what is no part of it is left alone."""
    monkeypatch.setattr(_runner, "TIMEOUT_GRACE", 0.3)
    node.run(script("daemon", "touch here; echo $$; exec sleep 600", ready=HERE), phase="daemon")
    text = f"setsid sh -c '{IGNORES_TERM.replace(chr(39), chr(34))}' & {wait_for('never')}"
    node.runner.start("test", [script("test", text, timeout=0.2)], armed=False)
    away = node.pid("test-it")
    node.until(lambda: node.record("test-it")["timed_out"])
    pause = node.runner.pause()
    assert pause is not None and pause <= 0.3
    node.until(lambda: not _processes.is_alive(away))
    assert time.time() - node.record("test-it")["started"] >= 0.5
    assert _processes.is_alive(node.pid("daemon-it"))
    node.until(lambda: node.runner.pause() is None)
    node.stop()


@in_a_process_of_its_own
def test_what_a_script_started_without_its_environment_ends_with_its_time(node: Node) -> None:
    text = f"env -i sh -c 'echo $$; exec sleep 600' & {wait_for('never')}"
    node.runner.start("test", [script("test", text, timeout=0.5)], armed=False)
    child = node.pid("test-it")
    node.until(lambda: not _processes.is_alive(child))
    assert node.end_of("test")["state"] == "failed"


@in_a_process_of_its_own
def test_what_a_script_forks_when_its_time_is_over_is_killed_too(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runner, "TIMEOUT_GRACE", 0.0)
    node.runner.start("test", [script("test", IGNORES_TERM, timeout=0.1)], armed=False)
    node.pid("test-it")
    node.until(lambda: node.record("test-it")["timed_out"])
    late = os.posix_spawn("/bin/sleep", ["sleep", "600"], {_processes.SCRIPT_VARIABLE: "test-it"})
    other = os.posix_spawn("/bin/sleep", ["sleep", "600"], {_processes.SCRIPT_VARIABLE: "test-other"})
    node.until(lambda: not _processes.is_alive(late))
    node.until(lambda: node.runner.pause() is None)
    assert _processes.is_alive(other)
    assert node.end_of("test")["exit_code"] == -signal.SIGKILL
    node.stop()


# Daemons


@in_a_process_of_its_own
def test_daemons_start_one_after_another(node: Node) -> None:
    both = [script("daemon", f"{wait_for('go')}; touch here; exec sleep 600", name=name, ready=HERE) for name in "ab"]
    node.runner.start("daemon", both, armed=False)
    pause = node.runner.pause()
    assert pause is not None and 0 < pause <= 0.2
    node.runner.step()
    assert [node.record(f"daemon-{name}")["state"] for name in "ab"] == ["running", "waiting"]
    node.give("daemon-a", "go")
    node.until(lambda: node.record("daemon-b")["state"] == "running")
    assert node.record("daemon-a")["state"] == "ready"
    assert states(node)["daemon"] == "running"
    node.give("daemon-b", "go")
    assert node.end_of("daemon")["state"] == "finished"
    told = node.told_of("daemon-a")
    assert [event.get("ready", False) for event in told] == [False, True]
    assert [event["script"]["state"] for event in told] == ["running", "ready"]
    assert node.runner.pause() is None
    node.stop()
    assert not node.told("died")


@in_a_process_of_its_own
def test_a_command_that_tells_whether_a_daemon_is_ready(node: Node) -> None:
    """It sees what the daemon sees, is asked again and again, and its ends are nobody's death."""
    other = script("daemon", f"({wait_for('go')}; exit 9) & exit 0", name="other")
    text = f"{wait_for('go')}; touch here; exec sleep 600"
    ready = {"command": "echo $A $B >>asked; test -e here"}
    node.runner.start("daemon", [other, script("daemon", text, ready=ready, env={"B": "own"})], armed=False)
    asked = node.results / "daemon-it" / "asked"
    node.until(lambda: asked.exists() and len(asked.read_text().splitlines()) >= 2)
    assert set(asked.read_text().splitlines()) == {"all own"}
    node.give("daemon-it", "go")
    assert node.end_of("daemon")["state"] == "finished"
    assert node.record("daemon-it")["state"] == "ready"
    assert not node.told("died")
    node.stop()


@in_a_process_of_its_own
def test_a_daemon_that_does_not_become_ready(node: Node) -> None:
    ready = {"file": "never", "timeout": 0.1}
    ended = node.run(
        script("daemon", "echo here; exec sleep 600", ready=ready), script("daemon", "", name="b"), phase="daemon"
    )
    assert ended["text"] == "daemon it is not ready after 0.1 s: file never: here"
    assert (ended["state"], ended["script"]) == ("failed", "daemon-it")
    assert node.runner.pause() is None
    assert node.record("daemon-b")["started"] is None
    node.stop()


@in_a_process_of_its_own
def test_after_a_stop_nobody_asks_whether_a_daemon_is_ready(node: Node) -> None:
    plan = script("daemon", "exec sleep 600", ready={"command": "echo >>asked; false"})
    assert node.runner.start("daemon", [plan], armed=False)
    node.until((node.results / "daemon-it" / "asked").exists)
    node.runner.stop(600)
    # The next moment that counts is the end of the grace, not the next question.
    assert (node.runner.pause() or 0) > 60
    node.until(node.runner.is_idle)
    assert states(node)["daemon"] == "stopped"


@in_a_process_of_its_own
def test_a_daemon_that_fails_before_it_is_ready(node: Node) -> None:
    ended = node.run(script("daemon", "exit 4", ready=HERE), phase="daemon")
    assert ended["text"] == "daemon script it ended with exit code 4"
    assert node.runner.pause() is None
    assert not node.told("died")


@in_a_process_of_its_own
def test_a_daemon_whose_condition_does_not_hold(node: Node) -> None:
    daemon = script("daemon", f'{wait_for("go")}; : >"$TMP/$MULTIDEVICE_SCRIPT.skipped"', ready=HERE)
    node.runner.start("daemon", [daemon], armed=False)
    node.give("daemon-it", "go")
    assert node.end_of("daemon")["state"] == "finished"
    record = node.record("daemon-it")
    assert (record["state"], record["note"]) == ("ended", "its condition does not hold on this machine")
    assert json.loads((node.results / "daemon-it" / "result.json").read_text()) == record
    assert node.runner.pause() is None


@in_a_process_of_its_own
def test_a_test_that_fails_is_not_skipped(node: Node) -> None:
    ended = node.run(script("test", ': >"$TMP/$MULTIDEVICE_SCRIPT.skipped"; exit 1'))
    assert (ended["state"], node.record("test-it")["note"]) == ("failed", None)


@in_a_process_of_its_own
def test_a_stop_while_a_daemon_starts(node: Node) -> None:
    node.runner.start("daemon", [script("daemon", "exec sleep 600", ready=HERE)], armed=False)
    node.stop(600)
    assert node.runner.pause() is not None
    assert states(node)["daemon"] == "stopped"
    assert not node.told("died") and not node.told("phase")
    node.give("daemon-it", "here")
    node.runner.step()
    assert len(node.told("script")) == 2


# What a daemon that forks away leaves is found by its environment, by its session, or because it has thrown its
# environment away. It waits in the folder of its script, and ends with exit code 9.
WAITS = f"touch born; {wait_for('die')}; echo gave up >&2; exit 9"
FORKS = {
    "with its environment": f"setsid sh -c '{WAITS}' & exit 0",
    "without environment": f"setsid env -i sh -c '{WAITS}' & exit 0",
    "in its session": f"env -i sh -c '{WAITS}' & exit 0",
    "twice": f"setsid sh -c '({wait_for('fork')}; setsid sh -c \"{WAITS}\" & {wait_for('born')}) & exit 0' & exit 0",
    "twice, without environment": (
        f"setsid env -i sh -c 'touch begun; {wait_for('fork')}; ({WAITS}) & {wait_for('born')}; exit 0' & "
        f"{wait_for('begun')}; exit 0"
    ),
}


@pytest.mark.parametrize("text", FORKS.values(), ids=FORKS)
@in_a_process_of_its_own
def test_a_daemon_that_forked_away_and_dies(node: Node, text: str) -> None:
    assert node.run(script("daemon", text), phase="daemon")["state"] == "finished"
    assert node.record("daemon-it")["state"] == "ended"
    node.give("daemon-it", "fork")
    node.until((node.results / "daemon-it" / "born").exists)
    node.until(lambda: len(set(_processes.descendants(os.getpid(), dead=True)) - _sleeps()) == 1)
    assert not node.told("died")
    node.give("daemon-it", "die")
    node.until(lambda: node.told("died"))
    (died,) = node.told("died")
    text = "daemon it ended during the run with exit code 9"
    assert died == {
        "event": "died",
        "script": "daemon-it",
        "exit_code": 9,
        "text": f"{text}: gave up",
        "tail": "gave up",
    }
    assert node.record("daemon-it")["note"] == text
    assert json.loads((node.results / "daemon-it" / "result.json").read_text())["note"] == text
    node.until(node.runner.is_idle)
    assert len(node.told("died")) == 1


@in_a_process_of_its_own
def test_what_a_daemon_forks_later_is_found_by_its_session(node: Node) -> None:
    """It has no mark any more, and its parent, which was known, is gone."""
    later = f"echo $$; {wait_for('fork')}; ({wait_for('die')}; exit 9) & exit 0"
    node.run(script("daemon", f"env -i sh -c '{later}' & exit 0"), phase="daemon")
    parent = node.pid("daemon-it")
    node.give("daemon-it", "fork")
    node.until(lambda: _processes.session(parent) is None)
    assert not node.told("died")
    node.give("daemon-it", "die")
    node.until(lambda: node.told("died"))


@in_a_process_of_its_own
def test_a_daemon_dies_with_the_last_of_its_processes(node: Node) -> None:
    text = f"sh -c 'echo $$; {wait_for('one')}; exit 8' & sh -c '{WAITS}' & exit 0"
    node.run(script("daemon", text), phase="daemon")
    one = node.pid("daemon-it")
    node.give("daemon-it", "one")
    node.until(lambda: _processes.session(one) is None)
    assert not node.told("died")
    node.give("daemon-it", "die")
    node.until(lambda: node.told("died"))
    assert [died["exit_code"] for died in node.told("died")] == [9]


def _sleeps() -> set[int]:
    """Processes that a waiting shell starts and that end by themselves."""
    found = set()
    for pid in _processes.descendants(os.getpid(), dead=True):
        try:
            command = Path(f"/proc/{pid}/comm").read_text()
        except OSError:
            continue
        if command == "sleep\n":
            found.add(pid)
    return found


@in_a_process_of_its_own
def test_a_forked_daemon_that_ends_with_success_is_no_failure(node: Node) -> None:
    node.run(script("daemon", f"sh -c '{wait_for('go')}' & exit 0"), phase="daemon")
    node.give("daemon-it", "go")
    node.until(node.runner.is_idle)
    assert node.runner._forked == []
    assert not node.told("died")
    assert node.record("daemon-it")["note"] is None


@pytest.mark.parametrize(("text", "code", "how"), [("exit 4", 4, "exit code 4"), ("kill -KILL $$", -9, "signal 9")])
@in_a_process_of_its_own
def test_a_daemon_in_the_foreground_that_dies(node: Node, text: str, code: int, how: str) -> None:
    daemon = script("daemon", f"touch here; {wait_for('die')}; echo gave up; {text}", ready=HERE)
    assert node.run(daemon, phase="daemon")["state"] == "finished"
    node.give("daemon-it", "die")
    node.until(lambda: node.told("died"))
    (died,) = node.told("died")
    assert (died["text"], died["exit_code"]) == (f"daemon it ended during the run with {how}: gave up", code)
    assert len(node.told("phase")) == 1


@in_a_process_of_its_own
def test_a_ready_daemon_that_forks_away_later(node: Node) -> None:
    """Only what bears its mark, or is of its session, is taken for its own then."""
    orphan = "(setsid env -i sh -c 'until [ -e /nowhere ]; do sleep 0.02; done' &)"
    text = f"touch here; {wait_for('fork')}; setsid sh -c '{WAITS}' & exit 0"
    node.runner.start("daemon", [script("setup", orphan), script("daemon", text, ready=HERE)], armed=False)
    node.until(lambda: node.record("daemon-it")["state"] == "ready")
    node.give("daemon-it", "fork")
    node.until(lambda: node.record("daemon-it")["state"] == "ended")
    node.give("daemon-it", "die")
    node.until(lambda: node.told("died"))
    node.stop()


@in_a_process_of_its_own
def test_one_daemon_is_not_taken_for_another(node: Node) -> None:
    """The first is forked, the second in the foreground with a child; all have thrown their environment away."""
    first = script("daemon", f"setsid env -i sh -c '{WAITS}' & exit 0", name="first")
    second = script("daemon", f"setsid env -i sh -c '{WAITS}' & touch here; wait; exec sleep 600", name="second")
    second["ready"] = HERE
    third = script("daemon", f"setsid env -i sh -c '{WAITS}' & exit 0", name="third")
    assert node.run(first, second, third, phase="daemon")["state"] == "finished"
    assert [forked.script.name for forked in node.runner._forked] == ["first", "third"]
    sleeps = _sleeps()
    of_first, of_third = (forked.look() - sleeps - _sleeps() for forked in node.runner._forked)
    assert of_first and of_third and not of_first & of_third
    for name in ("third", "first", "second"):
        node.give(f"daemon-{name}", "die")
    node.until(lambda: len(node.told("died")) == 2)
    assert {died["script"] for died in node.told("died")} == {"daemon-first", "daemon-third"}
    assert node.record("daemon-second")["state"] == "ready"
    node.stop()
    assert len(node.told("died")) == 2


@in_a_process_of_its_own
def test_a_daemon_that_left_nothing_has_ended(node: Node) -> None:
    other = script("daemon", f"setsid sh -c '{WAITS}' & exit 0", name="other")
    assert node.run(other, script("daemon", "exit 0"), phase="daemon")["state"] == "finished"
    assert [forked.script.name for forked in node.runner._forked] == ["other"]
    node.stop()


@in_a_process_of_its_own
def test_only_daemons_are_followed(node: Node) -> None:
    for kind in ("test", "setup"):
        node.run(script(kind, f"setsid sh -c '{WAITS}' & exit 0"), phase="test" if kind == "test" else "daemon")
        node.give(f"{kind}-it", "die")
    node.until(node.runner.is_idle)
    assert not node.told("died")


@in_a_process_of_its_own
def test_a_forked_daemon_that_is_stopped_has_not_died(node: Node) -> None:
    node.run(script("daemon", f"setsid sh -c 'trap \"exit 9\" TERM; {wait_for('never')}' & exit 0"), phase="daemon")
    node.stop()
    assert not node.told("died")


@in_a_process_of_its_own
def test_a_daemon_that_is_stopped_has_not_forked_away(node: Node) -> None:
    """It ends with success when it is told to, and what it leaves for a moment does not."""
    child = f"trap '' TERM; {wait_for('die')}; exit 9"
    text = f"sh -c '{child.replace(chr(39), chr(34))}' & trap \"exit 0\" TERM; touch here; {wait_for('never')}"
    node.run(script("daemon", text, ready=HERE), phase="daemon")
    node.runner.stop(600)
    node.until(lambda: node.record("daemon-it")["state"] == "ended")
    assert node.record("daemon-it")["exit_code"] == 0
    assert node.runner._forked == []
    node.give("daemon-it", "die")
    node.until(node.runner.is_idle)
    assert not node.told("died")


@in_a_process_of_its_own
def test_a_daemon_that_forks_away_is_ready_without_a_grace(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_readiness, "GRACE", 600.0)
    assert node.run(script("daemon", FORKS["with its environment"]), phase="daemon")["state"] == "finished"
    assert node.record("daemon-it")["state"] == "ended"
    node.stop()


@in_a_process_of_its_own
def test_a_daemon_without_a_check_is_ready_after_a_grace(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_readiness, "GRACE", 0.2)
    begin = time.monotonic()
    assert node.run(script("daemon", "exec sleep 600"), phase="daemon")["state"] == "finished"
    assert time.monotonic() - begin >= 0.2
    assert node.record("daemon-it")["state"] == "ready"
    node.stop()
