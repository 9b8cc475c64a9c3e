# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What scripts call to meet one another: the short way of a usual call says the same as the long one of any call."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._node import _commands
from hypothesis import example, given
from hypothesis import strategies as st

COMMANDS = ("multidevice-barrier", "multidevice-send", "multidevice-receive")
WORDS = st.one_of(
    st.sampled_from(
        ["--timeout", "--role", "30", "0", "1.5", "-1", "--", "-h", "--timeout=3", "ready", "half", "", "nan"]
    ),
    st.text(max_size=6),
)


@given(st.sampled_from(COMMANDS), st.lists(WORDS, max_size=6))
@example("multidevice-barrier", ["half", "--timeout", "30", "--role", "client"])
@example("multidevice-barrier", ["half", "--role", "client", "--role", "server"])
@example("multidevice-barrier", ["half", "--timeout"])
@example("multidevice-receive", ["half", "--role", "client"])
@example("multidevice-receive", ["half", "--timeout", "\u0663"])
@example("multidevice-send", ["half", "-1"])
@example("multidevice-send", ["half", "a", "b"])
def test_what_needs_no_parser_is_what_the_parser_says(command: str, arguments: list[str]) -> None:
    plain = _commands._plain(command, arguments)
    if plain is not None:
        assert plain == _commands._parsed(command, arguments)


@pytest.mark.parametrize(
    ("command", "arguments", "question"),
    [
        ("multidevice-barrier", ["half"], {"name": "half", "timeout": None, "role": None}),
        (
            "multidevice-barrier",
            ["half", "--timeout", "30", "--role", "client"],
            {"name": "half", "timeout": 30.0, "role": "client"},
        ),
        ("multidevice-send", ["port", "80 81"], {"key": "port", "value": "80 81"}),
        ("multidevice-send", ["port", ""], {"key": "port", "value": ""}),
        ("multidevice-send", ["port"], {"key": "port", "value": None}),
        ("multidevice-receive", ["port", "--timeout", "5"], {"key": "port", "timeout": 5.0}),
        ("multidevice-barrier", [], None),
        ("multidevice-barrier", ["ready"], None),
        ("multidevice-barrier", ["half", "--timeout"], None),
        ("multidevice-barrier", ["half", "--timeout", "1e3"], None),
        ("multidevice-barrier", ["half", "--role", "--timeout"], None),
        ("multidevice-receive", ["port", "--role", "client"], None),
        ("multidevice-send", ["port", "-n"], None),
        ("multidevice-send", ["port", "80", "81"], None),
        ("multidevice-send", ["-port"], None),
    ],
)
def test_usual_calls_need_no_parser(command: str, arguments: list[str], question: dict[str, t.Any] | None) -> None:
    assert _commands._plain(command, arguments) == question


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("aZ09_.-")), max_size=110))
@example("a" * 100)
@example("a" * 101)
@example(".a")
@example("a\n")
def test_names(text: str) -> None:
    assert _commands.is_name(text) == bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", text))


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(max_size=20)),
        max_size=4,
    )
)
@example({"timeout": float("inf")})
@example({"ok": True})
@example({"value": "\udcff\n"})
def test_questions_and_answers_are_json(message: dict[str, t.Any]) -> None:
    assert json.loads(_commands._encode(message)) == message
    assert _commands._decode(json.dumps(message) + "\n") == message


def serve(listening: socket.socket, asked: list[dict[str, t.Any]], answers: list[dict[str, t.Any] | None]) -> None:
    connection, _address = listening.accept()
    with connection, connection.makefile("rwb") as lines:
        for answer in answers:
            asked.append(json.loads(lines.readline()))
            if answer is None:
                return
            lines.write(json.dumps(answer).encode() + b"\n")
            lines.flush()


@pytest.mark.parametrize(
    ("call", "answers", "asked", "printed", "code"),
    [
        (["multidevice-barrier", "half"], [{"ok": True}, {"ok": True}], "half", "", 0),
        (["multidevice-receive", "port"], [{"ok": True}, {"ok": True, "value": "x" * 200000}], "port", "x" * 200000, 0),
        (["multidevice-barrier", "half"], [{"ok": True}, {"ok": False, "text": "it ended"}], "half", "it ended", 1),
        (["multidevice-barrier", "half"], [{"ok": False, "text": "wrong token"}], None, "wrong token", 1),
        (["multidevice-barrier", "half"], [{"ok": True}, None], "half", "the run has ended", 2),
    ],
)
def test_a_call_asks_and_says_the_answer(
    tmp_path: Path,
    call: list[str],
    answers: list[dict[str, t.Any] | None],
    asked: str | None,
    printed: str,
    code: int,
) -> None:
    command = tmp_path / call[0]
    command.write_text(
        f"#!{sys.executable} -IS\n{Path(_commands.__file__).read_text(encoding='utf-8')}", encoding="utf-8"
    )
    command.chmod(0o755)
    heard: list[dict[str, t.Any]] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        thread = threading.Thread(target=serve, args=(listening, heard, answers))
        thread.start()
        done = subprocess.run(
            [str(command), *call[1:]],
            env={**os.environ, "MULTIDEVICE_FOLDER": str(tmp_path), "MULTIDEVICE_TOKEN": "t"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        thread.join(60)
    assert done.returncode == code, done.stderr
    assert (done.stdout + done.stderr).strip().endswith(printed)
    assert heard[0] == {"id": 0, "op": "hello", "token": "t"}
    assert [question.get("name", question.get("key")) for question in heard[1:]] == ([asked] if asked else [])


def test_a_usual_call_loads_nothing_that_takes_long() -> None:
    text = """
import sys
names = {"__name__": "command"}
exec(open(sys.argv[1]).read(), names)
arguments = ["half", "--timeout", "30", "--role", "client"]
names["_encode"](names["_question"]("multidevice-barrier", arguments))
names["_decode"]('{"ok": true, "value": "x"}')
print(*sorted(set(sys.modules) & {"json", "argparse", "re", "socket", "typing", "enum"}))
"""
    done = subprocess.run(
        [sys.executable, "-IS", "-c", text, _commands.__file__],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr + done.stdout
