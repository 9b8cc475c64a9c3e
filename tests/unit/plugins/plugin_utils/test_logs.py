# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _logs
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._store import StoredRun, Submission

Record = dict[str, t.Any]


def script(name: str, *, failed: bool = False) -> Record:
    return {"id": name, "kind": "test", "exit_code": int(failed), "timed_out": False, "stopped": False}


def submission(folder: Path, *scripts: Record, runs: int = 1) -> Submission:
    stored = []
    for number in range(1, runs + 1):
        summary = {"number": number, "nodes": {"n1": {"scripts": list(scripts)}}}
        stored.append(StoredRun(folder / "runs" / str(number), summary, []))
    return Submission(folder, {}, stored)


def place(folder: Path, name: str, run: int = 1) -> Path:
    found = folder / "runs" / str(run) / "nodes" / "n1" / name
    found.mkdir(parents=True, exist_ok=True)
    return found


def log(folder: Path, content: bytes, *, failed: bool = False) -> _logs.Log:
    (place(folder, "x") / "stdout").write_bytes(content)
    (one,) = _logs.read_all(submission(folder, script("x", failed=failed)))[1, "n1", "x"].logs
    return one


def test_every_script_has_its_own_output(tmp_path: Path) -> None:
    for run in (1, 2):
        (place(tmp_path, "a", run) / "stdout").write_text(f"out {run}\n")
        (place(tmp_path, "a", run) / "stderr").write_text(f"err {run}\n")
    (place(tmp_path, "b") / "stdout").write_text("")
    outputs = _logs.read_all(submission(tmp_path, script("a"), script("b"), runs=2))
    assert list(outputs) == [(run, "n1", name) for run in (1, 2) for name in ("a", "b")]
    assert outputs[2, "n1", "a"].logs == [
        _logs.Log("stdout", "runs/2/nodes/n1/a/stdout", 6, "out 2", False),
        _logs.Log("stderr", "runs/2/nodes/n1/a/stderr", 6, "err 2", False),
    ]
    assert outputs[1, "n1", "a"].logs[0].text == "out 1"
    assert outputs[1, "n1", "b"] == outputs[2, "n1", "b"] == _logs.Output([], [], 0)


@pytest.mark.parametrize(("failed", "limit"), [(False, _logs.ONE_LOG), (True, _logs.FAILED_LOG)])
def test_how_much_is_shown(failed: bool, limit: int, tmp_path: Path) -> None:
    whole = log(tmp_path, b"x" * limit, failed=failed)
    assert (whole.text, whole.is_cut, whole.size) == ("x" * limit, False, limit)
    cut = log(tmp_path, b"a\n" + b"x" * (limit - 1), failed=failed)
    assert (cut.text, cut.is_cut, cut.size) == ("x" * (limit - 1), True, limit + 1)
    one_line = log(tmp_path, b"x" * (limit + 1), failed=failed)
    assert (one_line.text, one_line.is_cut) == ("x" * limit, True)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"one\ntwo\n\n", "one\ntwo"),
        (b"\x1b[1mred\x1b[0m\xff\x07", "red\ufffd\ufffd"),
        (b"<&>", "<&>"),
    ],
)
def test_what_is_shown(content: bytes, text: str, tmp_path: Path) -> None:
    found = log(tmp_path, content)
    assert (found.text, found.is_cut) == (text, False)


def test_what_grows_when_it_is_escaped_is_cut(tmp_path: Path) -> None:
    """As a page's markup, each of these is four and more letters."""
    found = log(tmp_path, b"<\n" * (_logs.ONE_LOG // 2))
    assert found.is_cut
    assert len(found.text.replace("<", "&lt;")) <= _logs.ONE_LOG
    assert 2 * len(found.text.replace("<", "&lt;")) > _logs.ONE_LOG
    assert set(found.text.split("\n")) == {"<"}, "no half of a line, and no empty one"


@pytest.mark.parametrize(
    ("others", "failed", "limits"),
    [
        (0, 0, (64_000, 16_000)),
        (1, 1, (64_000, 16_000)),
        (64, 0, (64_000, 16_000)),
        (100, 0, (64_000, 11_000)),
        (733, 0, (64_000, 1_500)),
        (734, 0, (64_000, 0)),
        (0, 8, (64_000, 16_000)),
        (100, 10, (55_000, 5_500)),
        (0, 367, (0, 16_000)),
        (100, 366, (1_502, 5_502)),
    ],
)
def test_a_page_has_room_for_so_much(others: int, failed: int, limits: tuple[int, int], tmp_path: Path) -> None:
    folders = []
    for number in range(others + failed):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "stdout").write_text("x")
        (folder / "stderr").touch()
        folders.append((folder, number < failed))
    found = _logs._limits(folders)
    assert (found[True], found[False]) == limits


def test_of_very_many_logs_there_are_only_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logs, "WORTHWHILE", _logs.ONE_LOG + 1)
    assert log(tmp_path, b"hello") == _logs.Log("stdout", "runs/1/nodes/n1/x/stdout", 5, "", True)


def test_what_else_a_script_has_left(tmp_path: Path) -> None:
    folder = place(tmp_path, "x")
    for name in ("stdout", "stderr", "result.json", "b", "a b\x07", "deep/c%"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    output = _logs.read_all(submission(tmp_path, script("x")))[1, "n1", "x"]
    address = "runs/1/nodes/n1/x"
    assert output.files == [
        ("a b\ufffd", f"{address}/a%20b%07"),
        ("b", f"{address}/b"),
        ("deep/c%", f"{address}/deep/c%25"),
    ]
    assert output.more_files == 0


@pytest.mark.parametrize(("files", "more"), [(20, 0), (21, 1), (25, 5)])
def test_of_many_files_some_are_named(files: int, more: int, tmp_path: Path) -> None:
    folder = place(tmp_path, "x")
    for number in range(files):
        (folder / f"{number:02}").touch()
    output = _logs.read_all(submission(tmp_path, script("x")))[1, "n1", "x"]
    assert [name for name, _address in output.files] == [f"{number:02}" for number in range(20)]
    assert output.more_files == more


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (place(tmp_path, "x") / "stdout").symlink_to(tmp_path / "secret")
    assert _logs.read_all(submission(tmp_path, script("x")))[1, "n1", "x"].logs == []
