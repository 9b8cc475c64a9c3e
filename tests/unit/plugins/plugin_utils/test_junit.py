# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _junit
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._store import StoredRun, Submission

Record = dict[str, t.Any]


def script(name: str = "x", kind: str = "test", **values: t.Any) -> Record:
    base = {"id": f"{kind}-{name}", "name": name, "kind": kind, "exit_code": 0, "started": 10.0, "finished": 12.5}
    return {**base, "timed_out": False, "stopped": False, **values}


def run(*scripts: Record, result: str = "finish", **values: t.Any) -> Record:
    base = {"cluster_id": "s.1", "number": 1, "result": result, "reason": None, "params": {}}
    times = {"started": 86400.0, "finished": 86404.25}
    return {**base, **times, "nodes": {"n1": {"scripts": list(scripts)}}, **values}


def suites(folder: Path, *runs: Record) -> list[ElementTree.Element]:
    stored = [StoredRun(folder / str(number), one, []) for number, one in enumerate(runs, 1)]
    text = _junit.junit(Submission(folder, {"job": "a/job.yaml"}, stored))
    assert text.startswith("<?xml version='1.0' encoding=") and text.endswith("</testsuites>\n")
    assert text.count("\n  <testsuite ") == len(runs), "it can be read by people too"
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    return list(root)


def case(folder: Path, one: Record) -> ElementTree.Element:
    (suite,) = suites(folder, run(one))
    (found,) = suite.findall("testcase")
    return found


def outcome(element: ElementTree.Element) -> tuple[str, str | None, str | None] | None:
    """Of a case that is not simply good: what it is, its type and its message."""
    assert len(element) <= 1
    return next(((one.tag, one.get("type"), one.get("message")) for one in element), None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"exit_code": 3}, ("failure", "3", "exit code 3")),
        ({"exit_code": -9}, ("failure", "-9", "exit code -9")),
        ({"exit_code": -15, "timed_out": True}, ("failure", "timed out", "timed out")),
        ({"failure": "it \x1b[1mdied"}, ("failure", "0", "it died")),
        ({"exit_code": 3, "timed_out": True, "failure": "it died"}, ("failure", "timed out", "it died")),
        ({"exit_code": 127, "started": None, "failure": "no such file"}, ("failure", "not started", "no such file")),
        ({"exit_code": None, "started": None}, ("skipped", None, "it did not get its turn")),
        ({"exit_code": -15, "stopped": True}, ("skipped", None, "it was stopped because the run was over")),
        ({"kind": "setup", "stopped": True}, ("skipped", None, "it was stopped because the run was over")),
        ({"kind": "daemon", "exit_code": -15, "stopped": True}, None),
        ({"kind": "monitor", "exit_code": -15, "stopped": True}, None),
        ({"kind": "monitor", "exit_code": 3}, None),
        ({"exit_code": None}, None),
    ],
)
def test_what_becomes_of_a_script(
    values: Record, expected: tuple[str, str | None, str | None] | None, tmp_path: Path
) -> None:
    assert outcome(case(tmp_path, script(**values))) == expected


def test_the_names_and_times_of_cases(tmp_path: Path) -> None:
    nodes = {
        "n1": {"scripts": [script("a", "setup"), script("x\x07", started=None, exit_code=None)]},
        "n2": {"scripts": [script(id="test-x-2")]},
    }
    (suite,) = suites(tmp_path, run(nodes=nodes))
    assert [(one.get("classname"), one.get("name"), one.get("time")) for one in suite.iter("testcase")] == [
        ("a/job.yaml.n1", "setup a", "2.500"),
        ("a/job.yaml.n1", "test x\ufffd", "0.000"),
        ("a/job.yaml.n2", "test x-2", "2.500"),
    ]


def test_a_suite_says_what_the_run_was(tmp_path: Path) -> None:
    params = {"size": 4, "list": [1, "ä"], "none": None, "\x07": "\x1b[1mred"}
    scripts = [
        script("good"),
        script("bad", exit_code=1),
        script("worse", exit_code=2),
        *[script(f"late{number}", started=None, exit_code=None) for number in range(3)],
    ]
    first = run(*scripts, params=params, result="abort", reason={"node": "n1", "text": "bad failed"})
    second = run(
        cluster_id="s.2", nodes={"n1": {"scripts": []}, "n2": {"scripts": [script()]}}, started=None, finished=None
    )
    suite, other = suites(tmp_path, first, second)
    assert suite.attrib == {
        "id": "0",
        "package": "a/job.yaml",
        "name": "s.1",
        "hostname": "n1",
        "timestamp": "1970-01-02T00:00:00",
        "tests": "6",
        "failures": "2",
        "errors": "0",
        "skipped": "3",
        "time": "4.250",
    }
    assert [element.tag for element in suite] == ["properties", *["testcase"] * 6, "system-out", "system-err"]
    properties = [(one.get("name"), one.get("value")) for one in suite.iter("property")]
    assert properties == [("size", "4"), ("list", '[1, "ä"]'), ("none", ""), ("\ufffd", "red")]
    assert (other.get("id"), other.get("name"), other.get("hostname"), other.get("tests")) == ("1", "s.2", "n1 n2", "1")
    assert (other.get("timestamp"), other.get("time")) == ("1970-01-01T00:00:00", "0.000")
    assert [other.get(kind) for kind in ("failures", "errors", "skipped")] == ["0", "0", "0"]


@pytest.mark.parametrize(
    ("scripts", "result", "reason", "errors"),
    [
        (
            [script()],
            "abort",
            {"node": "n1", "text": "not heard from", "kind": "lost"},
            [("lost", "n1: not heard from")],
        ),
        ([script()], "abort", {"node": None, "text": "enough \x1b[1mnow"}, [("abort", "enough now")]),
        ([script(stopped=True)], "abort", {"node": None, "text": "enough", "kind": "abort"}, [("abort", "enough")]),
        ([script(exit_code=3)], "abort", {"node": "n1", "text": "it failed", "kind": "failed"}, []),
        ([script()], "finish", None, []),
    ],
)
def test_an_abort_without_a_failure_is_an_error(
    scripts: list[Record], result: str, reason: Record | None, errors: list[tuple[str, str]], tmp_path: Path
) -> None:
    (suite,) = suites(tmp_path, run(*scripts, result=result, reason=reason))
    assert [(one.get("type"), one.get("message")) for one in suite.iter("error")] == errors
    assert (suite.get("errors"), suite.get("tests")) == (str(len(errors)), str(len(scripts) + len(errors)))
    assert [(one.get("classname"), one.get("name"), one.get("time")) for one in suite.iter("testcase")][
        len(scripts) :
    ] == [("a/job.yaml", "the run", "0.000")] * len(errors)


@pytest.mark.parametrize(
    ("stdout", "stderr", "tail", "text"),
    [
        (b"out\n", b"err\n", "tail", "stdout:\nout\n\nstderr:\nerr"),
        (b"", b"\nerr\n\n", "tail", "stderr:\nerr"),
        (b"out", None, "tail", "stdout:\nout"),
        (None, None, "the \x1b[1mtail", "the tail"),
        (b"\n\n", b"", "tail", "tail"),
        (None, None, None, None),
        (b"\x1b[1mred\xff\x07", None, None, "stdout:\nred\ufffd\ufffd"),
        (b"x" + b"y" * _junit.OUTPUT, None, None, "stdout:\n" + "y" * _junit.OUTPUT),
        (b"y" * _junit.OUTPUT, None, None, "stdout:\n" + "y" * _junit.OUTPUT),
    ],
)
def test_a_failure_comes_with_its_output(
    stdout: bytes | None, stderr: bytes | None, tail: str | None, text: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / "1" / "nodes" / "n1" / "test-x"
    folder.mkdir(parents=True)
    for name, content in (("stdout", stdout), ("stderr", stderr)):
        if content is not None:
            (folder / name).write_bytes(content)
    found = case(tmp_path, script(exit_code=3, **({} if tail is None else {"tail": tail})))
    assert found.findtext("failure") == (text or "")


def test_warnings_stand_beside_the_cases(tmp_path: Path) -> None:
    warnings = [{"run": None, "node": None, "text": "a"}, {"run": 1, "node": "n1", "text": "b\x1b"}]
    stored = [StoredRun(tmp_path / str(number), run(script(), number=number), []) for number in (1, 2)]
    text = _junit.junit(Submission(tmp_path, {"job": "job.yaml", "warnings": warnings}, stored))
    first, second = ElementTree.fromstring(text)
    counted = [suite.findall("properties/property[@name='multidevice_warnings']") for suite in (first, second)]
    assert [[one.get("value") for one in found] for found in counted] == [["2"], ["1"]]
    assert [suite.findtext("system-err") for suite in (first, second)] == ["a\nn1: b\ufffd", "a"]
