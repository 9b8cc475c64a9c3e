# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import matrix, script_record, table
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import summary as _summary
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.metrics import Measured

Record = dict[str, t.Any]


def planned(name: str, kind: str = "test") -> Record:
    return {"id": f"{kind}-{name}", "name": name, "kind": kind}


def record(name: str, kind: str = "test", **values: t.Any) -> Record:
    base = {"exit_code": None, "started": 10.0, "finished": None, "timed_out": False, "stopped": False, "note": None}
    return {**planned(name, kind), **base, **values}


def script(node: str, tail: str = "", **values: t.Any) -> Record:
    return {"time": 0.0, "node": node, "what": "script", "data": {"script": record(**values), "tail": tail}}


def phase(node: str, of_script: str, text: str, tail: str = "") -> Record:
    return {"time": 0.0, "node": node, "what": "phase", "data": {"script": of_script, "text": text, "tail": tail}}


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
    assert not any(script_record.has_failed(item) for node in nodes.values() for item in node["scripts"])
    assert table.verdict(result) == "s: finish"
    assert table.last_words(result) == ""


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
    assert script_record.has_failed(failed)
    assert table.verdict(result) == "s: abort: server-1: daemon serve is not ready"
    assert table.last_words(result) == "the last lines of daemon serve (server-1):\n  | one\n  | two"
    assert "daemon serve  stopped (failed)  4.00 " in table.text_table(result)


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
        ({"exit_code": 3, "kind": "monitor", "timed_out": True}, True),
        ({"exit_code": 3, "kind": "monitor", "failure": "it died"}, True),
        ({"exit_code": 3, "kind": "daemon"}, True),
        ({"exit_code": 3, "kind": "setup"}, True),
        ({"exit_code": -15, "stopped": True, "timed_out": True}, True),
        ({"exit_code": -15, "stopped": True, "failure": "it was not ready"}, True),
        ({"exit_code": 0, "failure": "it died"}, True),
        ({"exit_code": 0, "note": "result.json could not be written"}, False),
    ],
)
def test_what_is_a_failure(values: Record, failed: bool) -> None:
    assert script_record.has_failed(record("x", **values)) == failed


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
        result,
        lambda run, node, item: Measured({"speed": {"value": 4.0, "unit": "GB/s"}} if item["name"] == "work" else {}),
    )
    assert table.text_table(result).splitlines() == [
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
    lines = table.text_table(summary(scripts, events)).splitlines()
    assert len(lines) == 5
    assert lines[3].split()[:6] == ["client-[1-6,8-49]", "client", "test", "work", "0", "1.00"]
    assert lines[4].split()[:5] == ["client-7", "client", "test", "work", "1"]


def test_output_cannot_move_the_cursor() -> None:
    reason = {"node": "client-1", "script": "test-work", "exit_code": 1, "text": "it said \x1b[2J\r"}
    events = [phase("client-1", "test-work", "x", tail="\x1b[2Jgone\tx")]
    result = summary(TWO, events, result="abort", reason=reason)
    shown = table.verdict(result) + table.last_words(result)
    assert (
        shown
        == "s: abort: client-1: it said \ufffd[2J\ufffdthe last lines of test work (client-1):\n  | \ufffd[2Jgone        x"
    )


def run_of(size: int, *speeds: float) -> Record:
    nodes = {
        f"n{number}": {"scripts": [{**record("work"), "metrics": {"speed": {"value": speed, "unit": "MB/s"}}}]}
        for number, speed in enumerate(speeds)
    }
    return {"number": size, "params": {"size": size, "mode": "fast"}, "nodes": nodes}


def test_the_matrix_of_runs() -> None:
    runs = [run_of(1, 10, 20), run_of(2, 30), run_of(3)]
    assert matrix.varied(runs) == ["size"]
    assert matrix.constant(runs) == {"mode": "fast"}
    (column,) = matrix.columns(runs)
    assert (column.label, column.unit, column.better) == ("speed", "MB/s", None)
    cells = [matrix.cells(run, [column])[0] for run in runs]
    assert [matrix.mean(cell) for cell in cells] == [15, 30, None]
    assert cells[0] is not None and cells[0].about == "2 nodes, 10 to 20, sum 30"
    assert cells[1] is not None and cells[1].about == ""


def test_metrics_of_the_same_name_are_told_apart() -> None:
    run = run_of(1, 10)
    run["nodes"]["n0"]["scripts"].append({**record("other"), "metrics": {"speed": {"value": 1, "unit": "MB/s"}}})
    assert [column.label for column in matrix.columns([run])] == ["work: speed", "other: speed"]


LOST = {"time": 0.0, "node": "client-1", "what": "results_lost", "data": {"text": "No space left on device"}}


def test_a_run_whose_results_are_lost_does_not_count_as_good() -> None:
    events = [
        *({"time": 0.0, "node": node, "what": what, "data": None} for node in TWO for what in ("prepared", "left")),
        script("client-1", name="work", exit_code=0, finished=11.0),
        LOST,
    ]
    result = summary(TWO, events)
    text = "the results of client-1 could not be fetched: No space left on device"
    (run,) = result["runs"]
    assert (result["result"], run["result"]) == ("abort", "abort")
    assert run["reason"]["node"] == "client-1" and run["reason"]["text"] == text
    assert table.verdict(result) == f"s: abort: {text}"
    assert {name: node["text"] for name, node in run["nodes"].items()} == {
        "server-1": "took part without a script",
        "client-1": "test work ended with success; its results could not be fetched: No space left on device",
    }


def test_the_reason_of_an_abort_is_kept_when_results_are_lost_too() -> None:
    why = {"node": "server-1", "script": None, "exit_code": None, "text": "no memory", "kind": "failed"}
    (run,) = summary(TWO, [LOST], result="abort", reason=why)["runs"]
    assert run["reason"] == why


DAEMON_ENDED = script("server-1", name="serve", kind="daemon", exit_code=-15, finished=14.0, stopped=True)
WORK_FAILED = {"node": "client-1", "script": "test-work", "exit_code": 3, "text": "test work ended with exit code 3"}


def event(what: str, node: str | None = None, **data: t.Any) -> Record:
    return {"time": 0.0, "node": node, "what": what, "data": data}


def test_all_that_a_summary_holds() -> None:
    """Every field, so that none is lost, and none comes from another run or node."""
    barriers = {"start": {"arrived": ["server-1", "client-1"]}}
    events = [
        event("registered"),
        event("start_skew", seconds=0.5),
        script("client-1", name="work"),
        event("start_skew", seconds=0.7),
        script("client-1", name="work", exit_code=0, finished=12.5, note="cut", state="ended", more="not told"),
        event("collected", "client-1", notes=["stdout was cut", "data was left out"]),
        event("collected", "server-1", notes=[]),
        event("collected", "client-1", notes=["and again"]),
        event("warning", text="the clock stood still"),
        event("warning", text="the clock stood still"),
        event("warning", "client-1", text="a card is slow"),
        DAEMON_ENDED,
    ]
    values: Record = {"barriers": barriers, "params": {"size": 4}, "cluster": "rack", "number": 7, "cluster_id": "s.7"}
    result = _summary.summarize([(plan(TWO, 7), info(TWO, **values), events)])
    never_run = {
        "exit_code": None,
        "started": None,
        "finished": None,
        "timed_out": False,
        "stopped": False,
        "note": None,
    }
    assert result == {
        "submission_id": "s",
        "job": "job.yaml",
        "result": "finish",
        "reason": None,
        "runs": [
            {
                "cluster_id": "s.7",
                "number": 7,
                "result": "finish",
                "reason": None,
                "cluster": "rack",
                "params": {"size": 4},
                "started": 1.0,
                "finished": 5.0,
                "barriers": barriers,
                "start_skew": 0.5,
                "notes": ["the clock stood still"],
                "nodes": {
                    "server-1": {
                        "job_id": "s.1.1",
                        "roles": ["server"],
                        "state": "finish",
                        "ip": None,
                        "direct_ips": ["192.168.222.1"],
                        "direct_macs": [],
                        "scripts": [record("serve", "daemon", exit_code=-15, finished=14.0, stopped=True)],
                        "text": "daemon serve served until the end",
                        "notes": [],
                    },
                    "client-1": {
                        "job_id": "s.1.2",
                        "roles": ["client"],
                        "state": "finish",
                        "ip": None,
                        "direct_ips": ["192.168.222.2"],
                        "direct_macs": [],
                        "scripts": [
                            record("work", exit_code=0, finished=12.5, note="cut"),
                            {**planned("more"), **never_run},
                        ],
                        "text": "test work ended with success",
                        "notes": ["stdout was cut", "data was left out", "and again", "a card is slow"],
                    },
                },
            }
        ],
    }
    assert list(result["runs"][0]["nodes"]["client-1"]["scripts"][0]) == list(_summary.SCRIPT_KEYS)


def test_a_run_without_barriers_and_plan() -> None:
    nodes = info({"stranger-1": []})
    result = _summary.summarize([({"nodes": []}, nodes, [script("stranger-1", name="own", exit_code=0)])])
    (run,) = result["runs"]
    assert run["start_skew"] is None
    assert run["nodes"]["stranger-1"]["scripts"] == [record("own", exit_code=0)], "a script that nobody has planned"


def aborted(number: int, text: str) -> tuple[Record, Record, list[Record]]:
    reason = {"node": None, "script": None, "exit_code": None, "text": text}
    return plan(TWO, number), info(TWO, result="abort", number=number, reason=reason), []


def finished(number: int) -> tuple[Record, Record, list[Record]]:
    return plan(TWO, number), info(TWO, number=number), []


@pytest.mark.parametrize(
    ("runs", "reason", "says"),
    [
        ([finished(1), finished(2)], None, "s: finish, all of 2 runs"),
        ([aborted(1, "first"), aborted(2, "last")], "first", "s: abort, 2 of 2 runs: first"),
        ([aborted(1, "first"), finished(2), aborted(3, "last")], "first", "s: abort, 2 of 3 runs: first"),
        ([finished(1), aborted(2, "first"), aborted(3, "last"), finished(4)], "first", "s: abort, 2 of 4 runs: first"),
        ([finished(1), aborted(2, "only")], "only", "s: abort, 1 of 2 runs: only"),
        ([aborted(1, "only")], "only", "s: abort: only"),
    ],
)
def test_the_first_abort_is_the_reason(runs: list[t.Any], reason: str | None, says: str) -> None:
    result = _summary.summarize(runs)
    assert result["result"] == ("abort" if reason else "finish")
    assert (result["reason"] or {}).get("text") == reason
    assert [run["number"] for run in result["runs"]] == [number for number, _run in enumerate(runs, 1)]
    assert table.verdict(result) == says


@pytest.mark.parametrize(
    ("result", "reason", "ended", "text"),
    [
        ("finish", None, "finish", None),
        ("abort", WORK_FAILED, "abort", WORK_FAILED["text"]),
        ("abort", None, "abort", "the run did not come to its end"),
        (None, None, "abort", "the run did not come to its end"),
        ("finish", WORK_FAILED, "abort", WORK_FAILED["text"]),
    ],
)
def test_how_a_run_ended(result: str | None, reason: Record | None, ended: str, text: str | None) -> None:
    (run,) = summary(TWO, [], result=result, reason=reason)["runs"]
    assert run["result"] == ended
    assert (run["reason"] or {}).get("text") == text
    if text:
        assert {"node", "script", "exit_code", "text"} <= set(run["reason"])


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"exit_code": 3, "finished": 12.0}, True),
        ({"exit_code": -9, "finished": 12.0}, True),
        ({"exit_code": -15, "finished": 12.0, "timed_out": True}, True),
        ({"exit_code": 0, "finished": 12.0}, False),
        ({"exit_code": None}, False),
        ({"exit_code": -15, "finished": 12.0, "stopped": True}, False),
    ],
)
def test_only_a_failure_leaves_the_end_of_its_output(values: Record, kept: bool) -> None:
    (run,) = summary(TWO, [script("client-1", name="work", tail="said", **values)])["runs"]
    assert run["nodes"]["client-1"]["scripts"][0].get("tail") == ("said" if kept else None)


@pytest.mark.parametrize(
    ("events", "failure", "tail"),
    [
        ([phase("client-1", "test-work", "it died", tail="end")], "it died", "end"),
        ([phase("client-1", "test-work", "it died")], "it died", None),
        ([event("died", "client-1", script="test-work", text="it died", tail="end")], "it died", "end"),
        ([event("other", "client-1", script="test-work", text="it died", tail="end")], None, None),
        ([event("phase", "client-1", script=None, text="all are done")], None, None),
        ([event("phase", "client-1", text="all are done")], None, None),
        ([event("phase", "client-1", script="test-unknown", text="it died", tail="end")], None, None),
        ([event("phase", "client-1", script="test-work", text=None, tail="end")], None, None),
        ([phase("server-1", "test-work", "it died", tail="end")], None, None),
        (
            [script("client-1", "shorter", name="work", exit_code=3), phase("client-1", "test-work", "it died")],
            "it died",
            "shorter",
        ),
        (
            [
                script("client-1", "shorter", name="work", exit_code=3),
                phase("client-1", "test-work", "it died", tail="longer"),
            ],
            "it died",
            "longer",
        ),
        (
            [phase("client-1", "test-work", "it died", tail="end"), script("client-1", name="work", exit_code=3)],
            "it died",
            "end",
        ),
        (
            [
                phase("client-1", "test-work", "it died", tail="end"),
                script("client-1", "later", name="work", exit_code=3),
            ],
            "it died",
            "later",
        ),
    ],
)
def test_what_is_kept_of_a_failure(events: list[Record], failure: str | None, tail: str | None) -> None:
    (run,) = summary(TWO, events)["runs"]
    first, second = run["nodes"]["client-1"]["scripts"]
    assert (first.get("failure"), first.get("tail")) == (failure, tail)
    assert not {"failure", "tail"} & set(second)


@pytest.mark.parametrize(
    ("events", "node", "text"),
    [
        ([LOST], "client-1", "the results of client-1 could not be fetched: No space left on device"),
        (
            [LOST, event("results_lost", "server-1", text="it is gone")],
            "server-1",
            "the results of server-1 could not be fetched: it is gone",
        ),
        ([event("results_lost", "stranger", text="it is gone")], None, None),
    ],
)
def test_whose_lost_results_are_the_reason(events: list[Record], node: str | None, text: str | None) -> None:
    (run,) = summary(TWO, events)["runs"]
    expected = {"node": node, "script": None, "exit_code": None, "text": text, "kind": "results_lost"}
    assert run["reason"] == (expected if node else None)


def test_numbers_are_asked_for_once_for_each_script() -> None:
    result = summary(TWO, [])
    numbers = {"speed": {"value": 1, "unit": ""}}
    asked = []

    def measured_by(run: _summary.Info, node: str, item: _summary.Info) -> Measured:
        asked.append((run["number"], node, item["id"]))
        if item["id"] == "test-work":
            return Measured(numbers, ["metrics.json: a: no number"])
        return Measured()

    _summary.add_metrics(result, measured_by)
    assert asked == [(1, "server-1", "daemon-serve"), (1, "client-1", "test-work"), (1, "client-1", "test-more")]
    scripts = [item for node in result["runs"][0]["nodes"].values() for item in node["scripts"]]
    assert [item.get("metrics") for item in scripts] == [None, numbers, None]
    assert "metrics" not in scripts[2], "none is not an empty one"
    notes = {name: node["notes"] for name, node in result["runs"][0]["nodes"].items()}
    assert notes == {"server-1": [], "client-1": ["test work: metrics.json: a: no number"]}
