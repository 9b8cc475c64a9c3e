# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils import _matrix, _summary, _summary_table

Record = dict[str, t.Any]


def planned(name: str, kind: str = "test") -> Record:
    return {"id": f"{kind}-{name}", "name": name, "kind": kind}


def record(name: str, kind: str = "test", **values: t.Any) -> Record:
    base = {"exit_code": None, "started": 10.0, "finished": None, "timed_out": False, "stopped": False, "note": None}
    return {**planned(name, kind), **base, **values}


def script(node: str, tail: str = "", **values: t.Any) -> Record:
    return {"node": node, "what": "script", "data": {"script": record(**values), "tail": tail}}


def phase(node: str, of_script: str, text: str, tail: str = "") -> Record:
    return {"node": node, "what": "phase", "data": {"script": of_script, "text": text, "tail": tail}}


def plan(scripts: t.Mapping[str, t.Sequence[Record]], number: int = 1) -> Record:
    return {"number": number, "nodes": [{"node": node, "scripts": list(own)} for node, own in scripts.items()]}


def info(scripts: t.Mapping[str, t.Sequence[Record]], result: str | None = "finish", **values: t.Any) -> Record:
    nodes: dict[str, Record] = {
        name: {
            "job_id": f"s.1.{number}",
            "state": "finish",
            "roles": [name.rpartition("-")[0]],
            "ip": None,
            "direct_macs": [],
            "direct_ips": [f"192.168.222.{number}"],
            "times": {},
        }
        for number, name in enumerate(scripts, 1)
    }
    return {
        "submission_id": "s",
        "job": "job.yaml",
        "cluster_id": "s.1",
        "number": 1,
        "cluster": "lab",
        "params": {},
        "result": result,
        "reason": None,
        "started": 1.0,
        "finished": 5.0,
        "barriers": {},
        "nodes": nodes,
        **values,
    }


def summary(scripts: t.Mapping[str, t.Sequence[Record]], events: t.Sequence[Record], **values: t.Any) -> Record:
    return _summary.summarize([(plan(scripts), info(scripts, **values), events)])


TWO = {"server-1": [planned("serve", "daemon")], "client-1": [planned("work"), planned("more")]}


def test_a_run_in_which_all_went_well() -> None:
    events = [
        script("server-1", name="serve", kind="daemon"),
        script("client-1", name="work"),
        script("client-1", name="work", exit_code=0, finished=12.5),
        script("server-1", name="serve", kind="daemon", exit_code=-15, finished=14.0, stopped=True, tail="bye"),
        script("stranger", name="work"),
    ]
    result = summary(TWO, events)
    assert (result["result"], result["reason"]) == ("finish", None)
    nodes = result["runs"][0]["nodes"]
    assert nodes["client-1"]["scripts"][0] == record("work", exit_code=0, finished=12.5)
    assert [item["started"] for item in nodes["client-1"]["scripts"]] == [10.0, None], "what had no turn is told too"
    assert not any(_summary.has_failed(item) for node in nodes.values() for item in node["scripts"])
    assert _summary_table.verdict(result) == "s: finish"
    assert _summary_table.last_words(result) == ""


def test_a_failure_is_kept_when_the_script_is_stopped_later() -> None:
    reason = {"node": "server-1", "script": "daemon-serve", "exit_code": None, "text": "daemon serve is not ready"}
    events = [
        script("server-1", name="serve", kind="daemon"),
        phase("server-1", "daemon-serve", "daemon serve is not ready", tail="one\ntwo"),
        script("server-1", name="serve", kind="daemon", exit_code=-15, finished=14.0, stopped=True),
    ]
    result = summary(TWO, events, result="abort", reason=reason)
    failed = result["runs"][0]["nodes"]["server-1"]["scripts"][0]
    assert (failed["failure"], failed["tail"]) == ("daemon serve is not ready", "one\ntwo")
    assert _summary.has_failed(failed)
    assert _summary_table.verdict(result) == "s: abort: server-1: daemon serve is not ready"
    assert _summary_table.last_words(result) == "the last lines of daemon serve (server-1):\n  | one\n  | two"
    assert "stopped (failed)" in _summary_table.text_table(result)


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ({"exit_code": 0}, False),
        ({"exit_code": None}, False),
        ({"exit_code": 3}, True),
        ({"exit_code": -9}, True),
        ({"exit_code": -15, "stopped": True}, False),
        ({"exit_code": 0, "timed_out": True}, True),
        ({"exit_code": 3, "kind": "monitor"}, False),
        ({"exit_code": 0, "failure": "it died"}, True),
        ({"exit_code": 0, "note": "result.json could not be written"}, False),
    ],
)
def test_what_is_a_failure(values: Record, failed: bool) -> None:
    assert _summary.has_failed(record("x", **values)) == failed


def test_a_run_that_nobody_ended() -> None:
    result = summary(TWO, [], result=None)
    assert result["result"] == "abort"
    assert result["reason"]["text"] == "the run did not come to its end"


def test_the_table_has_a_line_for_each_script() -> None:
    events = [
        script("client-1", name="work", exit_code=3, finished=12.5),
        script("server-1", name="serve", kind="daemon", exit_code=-15, finished=14.0, stopped=True),
    ]
    result = summary(TWO, events)
    _summary.add_metrics(
        result, lambda run, node, item: {"speed": {"value": 4.0, "unit": "GB/s"}} if item["name"] == "work" else None
    )
    assert _summary_table.text_table(result).splitlines() == [
        "node      roles   script        exit code  seconds  numbers       direct addresses",
        "--------  ------  ------------  ---------  -------  ------------  ----------------",
        "server-1  server  daemon serve  stopped    4.00                   192.168.222.1",
        "client-1  client  test work     3          2.50     speed 4 GB/s  192.168.222.2",
        "                  test more     not run    -",
    ]


def test_machines_that_fared_alike_share_a_line() -> None:
    names = [f"client-{number}" for number in range(1, 50)]
    scripts = {"server-1": [planned("serve", "daemon")], **{name: [planned("work")] for name in names}}
    events = [
        script(name, name="work", exit_code=int(name == "client-7"), finished=11.0 + number / 100)
        for number, name in enumerate(names)
    ]
    lines = _summary_table.text_table(summary(scripts, events)).splitlines()
    assert len(lines) == 5
    assert lines[3].split()[:6] == ["client-[1-6,8-49]", "client", "test", "work", "0", "1.00"]
    assert lines[4].split()[:5] == ["client-7", "client", "test", "work", "1"]


def test_output_cannot_move_the_cursor() -> None:
    reason = {"node": "client-1", "script": "test-work", "exit_code": 1, "text": "it said \x1b[2J\r"}
    events = [phase("client-1", "test-work", "x", tail="\x1b[2Jgone\tx")]
    result = summary(TWO, events, result="abort", reason=reason)
    shown = _summary_table.verdict(result) + _summary_table.last_words(result)
    assert "\x1b" not in shown
    assert "\r" not in shown


def run_of(size: int, *speeds: float) -> Record:
    nodes = {
        f"n{number}": {"scripts": [{**record("work"), "metrics": {"speed": {"value": speed, "unit": "MB/s"}}}]}
        for number, speed in enumerate(speeds)
    }
    return {"number": size, "params": {"size": size, "mode": "fast"}, "nodes": nodes}


def test_the_matrix_of_runs() -> None:
    runs = [run_of(1, 10, 20), run_of(2, 30), run_of(3)]
    assert _matrix.varied(runs) == ["size"]
    assert _matrix.constant(runs) == {"mode": "fast"}
    (column,) = _matrix.columns(runs)
    assert (column.label, column.unit, column.better) == ("speed", "MB/s", None)
    cells = [_matrix.cell(run, column) for run in runs]
    assert [_matrix.mean(cell) for cell in cells] == [15, 30, None]
    assert cells[0] is not None and cells[0].about == "2 nodes, 10 to 20, sum 30"
    assert cells[1] is not None and cells[1].about == ""


def test_metrics_of_the_same_name_are_told_apart() -> None:
    run = run_of(1, 10)
    run["nodes"]["n0"]["scripts"].append({**record("other"), "metrics": {"speed": {"value": 1, "unit": "MB/s"}}})
    assert [column.label for column in _matrix.columns([run])] == ["work: speed", "other: speed"]


LOST = {"node": "client-1", "what": "results_lost", "data": {"text": "No space left on device"}}


def test_a_run_whose_results_are_lost_does_not_count_as_good() -> None:
    events = [
        *({"node": node, "what": what, "data": None} for node in TWO for what in ("prepared", "left")),
        script("client-1", name="work", exit_code=0, finished=11.0),
        LOST,
    ]
    result = summary(TWO, events)
    text = "the results of client-1 could not be fetched: No space left on device"
    (run,) = result["runs"]
    assert (result["result"], run["result"]) == ("abort", "abort")
    assert run["reason"]["node"] == "client-1" and run["reason"]["text"] == text
    assert _summary_table.verdict(result) == f"s: abort: {text}"
    assert {name: node["text"] for name, node in run["nodes"].items()} == {
        "server-1": "took part without a script",
        "client-1": "test work ended with success; its results could not be fetched: No space left on device",
    }


def test_the_reason_of_an_abort_is_kept_when_results_are_lost_too() -> None:
    why = {"node": "server-1", "script": None, "exit_code": None, "text": "no memory", "kind": "failed"}
    (run,) = summary(TWO, [LOST], result="abort", reason=why)["runs"]
    assert run["reason"] == why
