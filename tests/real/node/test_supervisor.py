# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts under a supervisor: what they see, what becomes of them, what is left of them."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import signal
import socket
import struct
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _clients, _install, _processes, _supervisor
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import script_tree

from node.supervised import TOKEN, Controller, Machine, script
from support.ports import reserved_port
from support.waiting import wait_until


def has_said(folder: Path, name: str) -> bool:
    """Whether a script has written something."""
    output = folder / "results" / name / "stdout"
    return output.exists() and output.stat().st_size > 0


def finish(controller: Controller) -> None:
    """What the controller does at the end of a run."""
    assert controller.ask("stop", grace=1)["ok"]
    assert controller.ask("end")["ok"]


def test_scripts_run_one_after_another_each_with_its_own_files(machine: Machine) -> None:
    folder, controller = machine.new_run()
    controller.ask("export", env={"A": "all", "B": "all"}, cpu_shares={"threads": 0.001})
    ended = controller.run(
        script(
            "test",
            'echo "$A $B $threads"; echo complaint >&2; echo more >"$RESULT_ROOT/left"',
            name="one",
            env={"B": "own"},
        ),
        script("test", 'pwd; echo "$1" "$#"; ls "$TMP" >&2; cat /proc/self/stat', name="two", args=["a b"]),
    )
    assert ended["state"] == "finished"
    files, notes = controller.collect()
    assert files["test-one/stdout"] == b"all own 1\n"
    assert files["test-one/stderr"] == b"complaint\n"
    assert files["test-one/left"] == b"more\n"
    out = files["test-two/stdout"].decode().splitlines()
    assert out[:2] == [str(folder / "results" / "test-two"), "a b 1"]
    # proc(5): the fields behind the name are state, parent, process group, session. Each script has its own.
    assert out[2].rpartition(")")[2].split()[3] != str(os.getsid(0))
    assert notes == []
    one, two = controller.record("test-one"), controller.record("test-two")
    assert one["exit_code"] == two["exit_code"] == 0
    assert one["started"] <= one["finished"] <= two["started"] <= two["finished"]
    finish(controller)


def test_a_failed_script_ends_its_phase(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    ended = controller.run(script("test", "echo no such thing >&2; exit 3", name="one"), script("test", "", name="two"))
    assert (ended["state"], ended["script"], ended["exit_code"]) == ("failed", "test-one", 3)
    assert ended["text"] == "test script one ended with exit code 3: no such thing"
    assert controller.record("test-two")["started"] is None
    finish(controller)


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (None, 127, "/nowhere cannot be run: No such file or directory"),
        ("#!/no/such/interpreter\n", 127, "cannot be run: No such file or directory"),
        ("", 0, None),
        ("echo without a first line", 0, None),
    ],
)
def test_what_cannot_be_run(machine: Machine, content: str | None, code: int, text: str | None) -> None:
    _folder, controller = machine.new_run()
    what = {**script("test", ""), "content": content, "path": "/nowhere"}
    ended = controller.run(what)
    assert controller.record("test-it")["exit_code"] == code
    assert ended["state"] == ("finished" if code == 0 else "failed")
    assert text is None or text in ended["text"]
    finish(controller)


def test_a_script_of_no_kind_is_refused(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    answer = controller.ask("start", phase="test", scripts=[script("tests", "true")], armed=False)
    text = "scripts: tests-it has the kind 'tests', right would be setup, daemon, monitor, test"
    assert (answer["ok"], answer["text"]) == (False, text)
    assert controller.ask("status")["phases"]["test"]["state"] == "idle"
    finish(controller)


def test_what_nobody_offers_is_refused(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    answer = controller.ask("cleanse")
    assert (answer["ok"], answer["text"]) == (False, "the supervisor knows no 'cleanse'")
    finish(controller)


def test_standard_input_is_empty(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    assert controller.run(script("test", "cat; read line || echo nothing"))["state"] == "finished"
    assert controller.collect()[0]["test-it/stdout"] == b"nothing\n"
    finish(controller)


def test_binary_output(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    text = r"printf '\000\377\033[31mred\n' >&2; head -c 3000 /dev/urandom; printf '\000\377\033[31mred\n' >&2; exit 1"
    ended = controller.run(script("test", text))
    assert ended["text"].endswith("exit code 1: \ufffd\ufffd\ufffd[31mred")
    files, _notes = controller.collect()
    assert len(files["test-it/stdout"]) == 3000
    assert files["test-it/stderr"] == b"\0\377\033[31mred\n" * 2
    finish(controller)


def test_200_megabytes_of_output_are_cut_with_a_note(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    ended = controller.run(script("test", "echo first; head -c 200M /dev/zero; echo last"))
    assert ended["state"] == "finished"
    files, notes = controller.collect(limit=10 * 1048576)
    assert len(files["test-it/stdout"]) == 1048576
    assert files["test-it/stdout"].endswith(b"\0last\n")
    assert notes == [
        "test-it/stdout: cut to its last 1048576 of 209715211 bytes, the limit for a node is 10485760 bytes"
    ]
    files, notes = controller.collect()
    assert (len(files["test-it/stdout"]), notes) == (209715211, [])
    finish(controller)


def test_what_ignores_term_is_killed(machine: Machine) -> None:
    folder, controller = machine.new_run()
    ignores = script("test", "trap '' TERM; echo here; while :; do sleep 0.1; done")
    controller.ask("start", phase="test", scripts=[ignores], armed=False)
    wait_until("the test has said something", lambda: has_said(folder, "test-it"))
    begin = time.monotonic()
    assert controller.ask("stop", grace=0.5)["changed"]
    assert time.monotonic() - begin >= 0.5
    record = controller.record("test-it")
    assert (record["exit_code"], record["stopped"]) == (-signal.SIGKILL, True)
    assert not controller.ask("stop", grace=0.5)["changed"]
    finish(controller)


FORKS_AWAY = "setsid sh -c 'sleep 60 & sleep 60' & setsid env -i sleep 60 & exit 0"


def test_what_a_test_leaves_running_ends_with_the_run(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    assert controller.run(script("test", FORKS_AWAY))["state"] == "finished"
    supervisor = supervisor_of(controller)
    wait_until("what the test leaves runs alone", lambda: len(_processes.descendants(supervisor)) == 4)
    assert controller.ask("stop", grace=1)["changed"]
    assert _processes.descendants(supervisor) == []
    assert controller.ask("end")["ok"]


def supervisor_of(controller: Controller) -> int:
    """Its pid, from the other end of the connection."""
    return int(struct.unpack("3i", controller._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def kill_with_its_guard(supervisor: int) -> None:
    guard = int(Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in (guard, supervisor):
        os.kill(pid, signal.SIGKILL)
    wait_until("both are gone", lambda: not any(map(_processes.is_alive, (guard, supervisor))))


def test_timeout_of_a_script(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    ended = controller.run(script("test", "trap '' TERM; echo here; while :; do sleep 0.1; done", timeout=0.5))
    assert ended["text"] == "test script it timed out after 0.5 s: here"
    assert controller.record("test-it")["timed_out"]
    finish(controller)


# Daemons


def test_a_daemon_that_forks_away_has_started(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    assert controller.run(script("daemon", "(setsid sleep 60 &) ; exit 0"), phase="daemon")["state"] == "finished"
    assert controller.record("daemon-it")["state"] == "ended"
    finish(controller)


def test_a_daemon_in_the_foreground_has_started_after_a_grace(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    begin = time.monotonic()
    assert controller.run(script("daemon", "exec sleep 60"), phase="daemon")["state"] == "finished"
    assert time.monotonic() - begin >= 1
    finish(controller)


def test_a_daemon_that_fails_at_once_has_not(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    ended = controller.run(script("daemon", "echo address in use >&2; exit 1"), phase="daemon")
    assert (ended["state"], ended["text"]) == ("failed", "daemon script it ended with exit code 1: address in use")
    finish(controller)


# Longer than a daemon in the foreground has to start.
LATE = "sleep 1.5"
DIES = "until [ -e die ]; do sleep 0.02; done; echo gave up >&2;"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"touch here; {DIES} exit 4", 4),
        (f"touch here; {DIES} kill -9 $$", -9),
        (f"(setsid sh -c '{DIES} exit 4' &); exit 0", 4),
        (f"(setsid env -i sh -c '{DIES} exit 4' &); exit 0", 4),
        (f"(setsid sh -c '({DIES} exit 4) & exit 0' &); exit 0", 4),
        (f"{LATE}; (setsid sh -c '({DIES} exit 4) & exit 0' &); exit 0", 4),
    ],
    ids=["foreground", "killed", "forked", "forked without environment", "forked twice", "forked twice, late"],
)
def test_a_daemon_that_dies_is_reported_with_its_last_output(machine: Machine, text: str, code: int) -> None:
    folder, controller = machine.new_run()
    # A daemon that forks away is ready when its script ends. Were it ready before, it would be a matter of time how it is known.
    ready = {"file": "here"} if "here" in text else None
    assert controller.run(script("daemon", text, ready=ready), phase="daemon")["state"] == "finished"
    if ready is None:
        # On a busy machine a shell may take longer to return than a daemon in the foreground has to start.
        wait_until("its script has ended", lambda: controller.record("daemon-it")["state"] == "ended")
    (folder / "results" / "daemon-it" / "die").touch()
    died = controller.wait_for("died")
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    assert died["text"] == f"daemon it ended during the run with {how}: gave up"
    assert (died["script"], died["exit_code"]) == ("daemon-it", code)
    finish(controller)


def test_a_daemon_may_come_to_its_end(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    daemons = (
        script("daemon", "sleep 1.2; exit 0", name="slow"),
        script("daemon", "(setsid sleep 0.3 &); exit 0", name="forked"),
    )
    assert controller.run(*daemons, phase="daemon")["state"] == "finished"
    # Somebody else's orphan fails meanwhile.
    orphan = "(setsid sh -c ': >orphan; exit 7' &); until [ -e orphan ]; do sleep 0.1; done; sleep 0.3"
    assert controller.run(script("test", orphan))["state"] == "finished"
    assert not [event for event in controller.events if event["event"] == "died"]
    finish(controller)


LISTEN = (
    "sleep 0.5; exec python3 -c 'import socket,time; "
    's=socket.create_server(("127.0.0.1", {port}), reuse_port=True); time.sleep(60)\''
)


def test_a_daemon_is_ready_when_its_port_is_open(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    with reserved_port() as port:
        daemon = script("daemon", LISTEN.format(port=port), ready={"port": port, "timeout": 30})
        assert controller.run(daemon, phase="daemon")["state"] == "finished"
        assert controller.record("daemon-it")["state"] == "ready"
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        finish(controller)


@pytest.mark.parametrize("ready", [{"file": "here"}, {"command": "test -e $RESULT_ROOT/here || test -e here"}])
def test_a_daemon_is_ready_when_a_file_is_there_or_a_command_succeeds(
    machine: Machine, ready: dict[str, t.Any]
) -> None:
    _folder, controller = machine.new_run()
    begin = time.monotonic()
    daemon = script("daemon", "sleep 0.5; touch here; exec sleep 60", ready=ready)
    assert controller.run(daemon, phase="daemon")["state"] == "finished"
    assert time.monotonic() - begin >= 0.5
    finish(controller)


@pytest.mark.parametrize(
    ("ready", "what"),
    [
        ({"port": 1, "timeout": 0.3}, "port 1"),
        ({"file": "never", "timeout": 0.3}, "file never"),
        ({"command": "sleep 60", "timeout": 0.3}, "command sleep 60"),
    ],
)
def test_a_daemon_that_does_not_become_ready(machine: Machine, ready: dict[str, t.Any], what: str) -> None:
    _folder, controller = machine.new_run()
    ended = controller.run(script("daemon", "echo starting; sleep 60", ready=ready), phase="daemon")
    assert ended["text"] == f"daemon it is not ready after 0.3 s: {what}: starting"
    finish(controller)


def test_a_daemon_whose_condition_does_not_hold_is_skipped(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    daemon = script("daemon", ': >"$TMP/$MULTIDEVICE_SCRIPT.skipped"', ready={"port": 1})
    assert controller.run(daemon, phase="daemon")["state"] == "finished"
    assert controller.record("daemon-it")["note"] == "its condition does not hold on this machine"
    finish(controller)


# Armed tests, and the word to go


def test_armed_tests_wait_for_the_word_to_go(machine: Machine) -> None:
    folder, controller = machine.new_run()
    monitor = script("monitor", "echo watching; exec sleep 60")
    controller.run(monitor, script("test", "echo ran"), script("test", "echo too", name="next"), armed=True)
    wait_until("both are armed", lambda: len(_processes.descendants(supervisor_of(controller))) == 2)
    assert controller.record("test-it")["started"] is None
    assert not has_said(folder, "monitor-it") and not has_said(folder, "test-it")
    assert not controller.ask("start", phase="test", scripts=[script("test", "exit 1")], armed=False)["changed"]
    assert controller.ask("go", phase="test")["changed"]
    assert not controller.ask("go", phase="test")["changed"]
    assert controller.wait_for("phase", phase="test")["state"] == "finished"
    monitor, test = controller.record("monitor-it"), controller.record("test-it")
    assert monitor["state"] == "running"
    # Nothing is done between the two: what there is to be told is told when both run.
    assert monitor["started"] <= test["started"] <= controller.wait_for("script", id="monitor-it")["at"]
    wait_until("the monitor has said something", lambda: has_said(folder, "monitor-it"))
    controller.ask("stop", grace=1)
    files, _notes = controller.collect()
    assert (files["monitor-it/stdout"], files["test-it/stdout"], files["test-next/stdout"]) == (
        b"watching\n",
        b"ran\n",
        b"too\n",
    )
    assert controller.ask("end")["ok"]


def test_armed_tests_never_run_when_they_are_stopped_before(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    controller.run(script("test", "echo ran >ran"), armed=True)
    assert controller.ask("stop", grace=1)["changed"]
    assert not controller.ask("go", phase="test")["changed"]
    assert "test-it/ran" not in controller.collect()[0]
    assert controller.ask("end")["ok"]


# Who may speak, and what is said again


def sockets_of(pid: int) -> int:
    return sum(os.readlink(link).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())


def comes_in(connection: socket.socket, folder: Path) -> bool:
    """Unlike a blocking socket, one with a time-out is refused while too many others wait to be let in."""
    try:
        connection.connect(str(folder / "socket"))
    except BlockingIOError:
        return False
    return True


def said_to(folder: Path, line: bytes) -> tuple[bytes, bytes]:
    """The answer to the first thing that somebody says, and what comes after it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(folder / "socket"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(line + b"\n")
        lines = connection.makefile("rb")
        try:
            return lines.readline(), lines.readline()
        except ConnectionResetError:
            return b"", b""


def test_only_who_knows_the_token_is_let_in(machine: Machine) -> None:
    folder, controller = machine.new_run()
    stranger = Controller(folder, token="guessed")
    assert stranger.hello == {"id": 1, "ok": False, "text": "the token is not this run's"}
    assert stranger._lines.readline() == b""
    for line in (
        b'{"id": 1, "op": "end"}',
        b'{"id": 1, "op": "start", "phase": "test", "scripts": [], "armed": false}',
        '{"id": 1, "op": "hello", "token": "\u00e4"}'.encode(),
    ):
        answer, rest = said_to(folder, line)
        assert not json.loads(answer)["ok"]
        assert rest == b""
    finish(controller)


@pytest.mark.parametrize(
    "line", [b"", b"\0no json", b"[" * 200_000, b'{"op": "hello", "token": "' + b"x" * 5000 + b'"}']
)
def test_what_a_stranger_says_ends_its_own_connection_only(machine: Machine, line: bytes) -> None:
    folder, controller = machine.new_run()
    assert said_to(folder, line) == (b"", b"")
    assert controller.ask("status")["ok"]
    finish(controller)


def test_a_controller_that_nests_too_deeply_is_not_heard(machine: Machine) -> None:
    folder, controller = machine.new_run()
    controller._connection.sendall(b"[" * 200_000 + b"\n")
    assert controller._lines.readline() == b""
    finish(Controller(folder))


def test_a_stranger_who_has_said_something_is_closed_like_the_others(machine: Machine) -> None:
    folder, controller = machine.new_run()
    supervisor = supervisor_of(controller)
    others = sockets_of(supervisor)
    strangers = [socket.socket(socket.AF_UNIX) for _number in range(_supervisor.STRANGERS + 20)]
    try:
        for one in strangers[: _supervisor.STRANGERS]:
            one.connect(str(folder / "socket"))
        # It has let in all of them.
        wait_until("all are let in", lambda: sockets_of(supervisor) == others + _supervisor.STRANGERS, 20)
        # All of this is there at once when it goes on: those that are to make room have something to say.
        os.kill(supervisor, signal.SIGSTOP)
        for one in strangers[_supervisor.STRANGERS :]:
            one.connect(str(folder / "socket"))
        for one in strangers:
            one.sendall(b"{")
        os.kill(supervisor, signal.SIGCONT)
        assert controller.ask("status")["ok"]
        assert Controller(folder).hello["ok"]
        finish(controller)
    finally:
        for one in strangers:
            one.close()


def test_strangers_keep_nobody_out(machine: Machine) -> None:
    folder, controller = machine.new_run()
    strangers = [socket.socket(socket.AF_UNIX) for _number in range(300)]
    try:
        for one in strangers:
            one.settimeout(20)
            wait_until("there is room", functools.partial(comes_in, one, folder), 20)
        again = Controller(folder)
        assert again.hello["ok"]
        assert strangers[0].recv(1) == b""
        finish(controller)
    finally:
        for one in strangers:
            one.close()


@pytest.mark.parametrize("leave", ["mkfifo", "ln -s {known}", "touch"])
def test_what_another_script_has_put_in_the_place_of_output_is_replaced(
    machine: Machine, tmp_path: Path, leave: str
) -> None:
    _folder, controller = machine.new_run()
    known = tmp_path / "known"
    known.write_text("known")
    place = "; ".join(f"{leave.format(known=known)} ../test-second/{name}" for name in ("stdout", "stderr"))
    first = script("test", f"mkdir -p ../test-second; {place}", name="first")
    assert controller.run(first, script("test", "echo said", name="second"))["state"] == "finished"
    files, _notes = controller.collect()
    assert files["test-second/stdout"] == b"said\n"
    assert known.read_text() == "known"
    finish(controller)


def test_a_script_may_ask_but_not_command(machine: Machine) -> None:
    folder, controller = machine.new_run()
    controller.run(script("test", 'echo "$MULTIDEVICE_TOKEN"'))
    token = controller.collect()[0]["test-it/stdout"].decode().strip()
    impostor = Controller(folder, token=token)
    assert impostor.hello["ok"]
    assert impostor.ask("end")["text"] == "a script can ask for barriers and messages only"
    impostor.tell("ask", what="barrier", name="x")
    asked = controller.wait_for("ask")
    assert asked["question"] == {"what": "barrier", "name": "x"}
    controller.ask("answer", number=asked["number"], asked=asked["asked"], answer={"ok": True})
    assert impostor._next() == {"id": 3, "ok": True}
    finish(controller)


def test_a_controller_that_comes_back_hears_what_it_has_missed(machine: Machine) -> None:
    folder, controller = machine.new_run()
    controller.run(script("test", "exit 1"))
    seen = controller.events[-1]["seq"]
    controller.close()
    again = Controller(folder, after=seen - 1)
    assert [event["seq"] for event in again.events] == [seen]
    again.close()
    third = Controller(folder, after=seen)
    assert third.events == []
    finish(third)


# The end of a supervisor that nobody has told to end


def test_without_a_word_from_the_controller_the_machine_cleans_itself(machine: Machine) -> None:
    _folder, controller = machine.new_run(lease=1.5)
    controller.ask("export", env={}, hosts=[["192.0.2.1", "server"]])
    assert b"192.0.2.1 server\n" in machine.hosts.read_bytes()
    controller.ask(
        "start", phase="test", scripts=[script("test", f"trap '' TERM; {FORKS_AWAY[:-6]} sleep 60")], armed=False
    )
    machine.assert_clean(20)


def test_each_word_from_the_controller_renews_the_lease(tmp_path: Path) -> None:
    config = {"token": TOKEN, "lease": 30.0, "hosts_file": str(tmp_path / "hosts")}
    supervisor = _supervisor.Supervisor(tmp_path, config)
    ends = socket.socketpair()
    client, script_client, stranger = (_clients.SupervisorClient(ends[0]) for _number in range(3))
    cases: list[tuple[_clients.SupervisorClient, dict[str, t.Any], bool]] = [
        (stranger, {"op": "hello", "token": "guessed"}, False),
        (stranger, {"op": "alive", "after": 0}, False),
        (script_client, {"op": "hello", "token": supervisor.script_token}, False),
        (script_client, {"op": "ask", "what": "barrier"}, False),
        (client, {"op": "hello", "token": TOKEN}, True),
        (client, {"op": "alive", "after": 0}, True),
        (client, {"op": "no such thing"}, True),
    ]
    for who, request, renewed in cases:
        supervisor.lease_end = 0.0
        begin = _supervisor._now()
        supervisor._answer(who, {"id": 1, **request})
        end = _supervisor._now()
        assert supervisor.lease_end == 0.0 if not renewed else begin + 30 <= supervisor.lease_end <= end + 30, request
    for end_of_pair in ends:
        end_of_pair.close()


def test_a_supervisor_that_is_told_to_end_by_a_signal_cleans(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    controller.ask("export", env={}, hosts=[["192.0.2.1", "server"]])
    controller.ask("start", phase="test", scripts=[script("test", FORKS_AWAY)], armed=False)
    os.kill(supervisor_of(controller), signal.SIGTERM)
    machine.assert_clean(20)


def test_a_killed_supervisor_takes_everything_with_it(machine: Machine) -> None:
    folder, controller = machine.new_run()
    controller.ask("export", env={}, hosts=[["192.0.2.1", "server"]])
    controller.ask("start", phase="test", scripts=[script("test", f"{FORKS_AWAY[:-6]} sleep 60")], armed=False)
    supervisor = supervisor_of(controller)
    wait_until("all that the test starts runs", lambda: len(_processes.descendants(supervisor)) >= 5)
    everything = _processes.descendants(supervisor)
    os.kill(supervisor_of(controller), signal.SIGKILL)
    machine.assert_clean(20)
    assert [pid for pid in everything if _processes.is_alive(pid)] == []
    assert not _install.clean(folder)


def test_a_supervisor_that_hangs_is_ended_with_everything_of_its(machine: Machine) -> None:
    _folder, controller = machine.new_run(lease=2)
    controller.ask("start", phase="test", scripts=[script("test", "sleep 600")], armed=False)
    controller.wait_for("script", state="running")
    os.kill(supervisor_of(controller), signal.SIGSTOP)
    machine.assert_clean(60)


def test_what_two_killed_processes_leave_is_cleaned_by_the_module(machine: Machine) -> None:
    folder, controller = machine.new_run()
    controller.ask("export", env={}, hosts=[["192.0.2.1", "server"]])
    controller.ask("start", phase="test", scripts=[script("test", "setsid sleep 60 & sleep 60")], armed=False)
    supervisor = supervisor_of(controller)
    wait_until("all that the test starts runs", lambda: len(_processes.descendants(supervisor)) == 3)
    kill_with_its_guard(supervisor)
    assert folder.exists()
    assert _install.clean(folder)
    assert not _install.clean(folder)


def test_what_was_left_before_a_power_cut_is_cleaned_by_the_next_run(machine: Machine) -> None:
    folder, controller = machine.new_run()
    controller.ask("export", env={}, hosts=[["192.0.2.1", "server"]])
    kill_with_its_guard(supervisor_of(controller))
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))
    _other, other = machine.new_run()
    assert not folder.exists()
    assert machine.hosts.read_bytes() == machine.untouched
    finish(other)


# Several runs on one machine


def test_two_runs_on_one_machine_do_not_touch_each_other(machine: Machine) -> None:
    one_folder, one = machine.new_run()
    two_folder, two = machine.new_run()
    for number, controller in enumerate((one, two), 1):
        controller.ask("export", env={}, hosts=[[f"192.0.2.{number}", "server"]])
        controller.ask("start", phase="test", scripts=[script("test", "setsid sleep 60 & sleep 60")], armed=False)
        controller.wait_for("script")
    assert machine.hosts.read_text().count("BEGIN multidevice") == 2
    finish(one)
    assert not one_folder.exists()
    assert two_folder.exists()
    assert two.record("test-it")["state"] == "running"
    assert "192.0.2.2 server" in machine.hosts.read_text()
    assert "192.0.2.1 server" not in machine.hosts.read_text()
    finish(two)


def test_a_script_tree_is_put_on_a_machine_once(machine: Machine, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    (root / "tests").mkdir(parents=True)
    (root / "tests" / "it").write_text('#!/bin/sh\ncat "$LKP_SRC/tests/it"')
    (root / "tests" / "it").chmod(0o755)
    checksum, archive = script_tree.pack(root, tmp_path)
    which = {"root": "/home/me/checkout", "checksum": checksum}
    _folder, one = machine.new_run()
    assert not one.ask("has_tree", **which)["present"]
    data = base64.b64encode(archive.read_bytes()).decode()
    assert one.ask("put_tree", **which, offset=0, data=data, last=True)["ok"]
    _folder, two = machine.new_run()
    assert two.ask("has_tree", **which)["present"]
    finish(one)
    of_tree = {"id": "test-it", "name": "it", "kind": "test", "root": which["root"], "path": "tests/it"}
    assert two.run(of_tree)["state"] == "finished"
    assert two.collect()[0]["test-it/stdout"] == (root / "tests" / "it").read_bytes()
    finish(two)


def test_a_script_tree_that_did_not_arrive_whole_is_refused(machine: Machine) -> None:
    _folder, controller = machine.new_run()
    which = {"root": "/home/me/checkout", "checksum": "1" * 64}
    answer = controller.ask("put_tree", **which, offset=0, data=base64.b64encode(b"half").decode(), last=True)
    assert (answer["ok"], answer["text"]) == (False, "the script tree did not arrive whole: its checksum differs")
    assert not controller.ask("has_tree", **which)["present"]
    finish(controller)


# A full disk


@pytest.fixture
def small_disk(machine: Machine) -> t.Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("a file system of its own takes root")
    machine.base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=711", "tmpfs", machine.base], check=True)
    try:
        yield machine.base
    finally:
        subprocess.run(["umount", "--lazy", machine.base], check=True)


def test_a_test_that_fills_the_disk(machine: Machine, small_disk: Path) -> None:
    _folder, controller = machine.new_run()
    ended = controller.run(
        script("test", "exec 2>&1; yes | head -c 5M; echo $?; exit 1"), script("test", "", name="two")
    )
    assert ended["state"] == "failed"
    assert f"(the disk is full: 0 KB are free in {small_disk}" in ended["text"]
    files, _notes = controller.collect()
    assert len(files["test-it/stdout"]) > 100000
    assert controller.record("test-it")["exit_code"] == 1
    finish(controller)
    assert list(small_disk.iterdir()) == []


def test_scripts_that_cannot_be_started_on_a_full_disk(machine: Machine, small_disk: Path) -> None:
    _folder, controller = machine.new_run()
    subprocess.run(["sh", "-c", f"yes >{small_disk}/filler"], check=False, capture_output=True)
    assert not controller.ask("export", env={}, hosts=[["192.0.2.1", "server"]])["ok"]
    assert machine.hosts.read_bytes() == machine.untouched
    ended = controller.run(script("test", "echo never"))
    assert "could not be started: No space left on device" in ended["text"]
    assert controller.collect()[1] == []
    finish(controller)
    (small_disk / "filler").unlink()


def test_a_supervisor_that_cannot_be_installed_on_a_full_disk(machine: Machine, small_disk: Path) -> None:
    subprocess.run(["sh", "-c", f"yes >{small_disk}/filler"], check=False, capture_output=True)
    with pytest.raises(Exception, match="No space left on device"):
        machine.new_run()
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    (small_disk / "filler").unlink()


# Nothing but runs is ever removed


def test_what_is_not_a_run_is_left_alone(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for name in ("somebody", "empty"):
        (base / name).mkdir(parents=True)
    (base / "somebody" / "work").write_text("precious")
    (base / "file").write_text("precious")
    (base / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "work").write_text("precious")
    base.chmod(0o711)
    long_ago = time.time() - 86400
    for path in base.iterdir():
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    before = sorted(str(path) for path in tmp_path.rglob("*"))

    config = {"token": "x", "lease": 30.0, "hosts_file": str(tmp_path / "hosts")}
    for job_id in ("somebody", "file", "link", "../elsewhere", "..", "."):
        with pytest.raises(NodeError):
            _install.install(base, job_id, config)
    for path in base.iterdir():
        assert not _install.clean(path)
    _install._clean_abandoned(base)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_base_that_others_can_write_to_is_not_even_looked_into(tmp_path: Path) -> None:
    base = tmp_path / "shared"
    (base / "old").mkdir(parents=True)
    (base / "old" / "work").write_text("precious")
    os.utime(base / "old", (0, 0))
    base.chmod(0o1777)
    with pytest.raises(NodeError, match="nobody else can write to"):
        _install.install(base, "job.1", {"token": "x", "lease": 30.0, "hosts_file": str(tmp_path / "hosts")})
    assert (base / "old" / "work").read_text() == "precious"
