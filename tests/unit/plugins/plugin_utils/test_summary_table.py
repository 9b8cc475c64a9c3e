# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import script_record
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import table as _summary_table

Record = dict[str, t.Any]


def script(name: str = "work", kind: str = "test", seconds: float | None = 1.0, **values: t.Any) -> Record:
    """A script that took so many seconds; None for one that had no turn."""
    started, finished = (None, None) if seconds is None else (10.0, 10.0 + seconds)
    base = {"id": f"{kind}-{name}", "name": name, "kind": kind, "started": started, "finished": finished}
    return {**base, "exit_code": None if seconds is None else 0, "timed_out": False, "stopped": False, **values}


def measured(*values: float, unit: str = "MB/s", name: str = "speed") -> Record:
    (value,) = values
    return {"metrics": {name: {"value": value, "unit": unit}}}


def node(*scripts: Record, roles: t.Sequence[str] = ("client",), ips: t.Sequence[str] = ()) -> Record:
    return {"roles": list(roles), "direct_ips": list(ips), "scripts": list(scripts)}


def run(nodes: t.Mapping[str, Record], number: int = 1, result: str = "finish", **values: t.Any) -> Record:
    base = {"number": number, "result": result, "reason": None, "params": {}, "started": 1.0, "finished": 3.5}
    return {**base, "nodes": dict(nodes), **values}


def summary(*runs: Record) -> Record:
    aborted = [one for one in runs if one["result"] != "finish"]
    reason = aborted[0]["reason"] if aborted else None
    return {"submission_id": "s", "result": "abort" if aborted else "finish", "reason": reason, "runs": list(runs)}


def table(*runs: Record) -> list[str]:
    return _summary_table.text_table(summary(*runs)).splitlines()


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "0"),
        ({"exit_code": 3}, "3"),
        ({"exit_code": -9}, "-9"),
        ({"exit_code": -15, "stopped": True}, "stopped"),
        ({"exit_code": -15, "stopped": True, "timed_out": True}, "timed out"),
        ({"exit_code": None, "timed_out": True, "started": None}, "timed out"),
        ({"exit_code": None}, "-"),
        ({"exit_code": None, "started": None}, "not run"),
        ({"exit_code": 127, "started": None}, "not started"),
        ({"exit_code": None, "started": None, "stopped": True}, "not run"),
    ],
)
def test_how_a_script_ended(values: Record, word: str) -> None:
    assert script_record.exit_word(script(**values)) == word


@pytest.mark.parametrize(
    ("started", "finished", "seconds"), [(1.0, 3.5, 2.5), (0.0, 0.0, 0.0), (None, 3.0, None), (1.0, None, None)]
)
def test_how_long_something_took(started: float | None, finished: float | None, seconds: float | None) -> None:
    assert script_record.seconds({"started": started, "finished": finished}) == seconds


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ({"node": "n1", "text": "it failed"}, "n1: it failed"),
        ({"node": "n1", "text": "node n1 not heard from"}, "node n1 not heard from"),
        ({"node": None, "text": "it failed"}, "it failed"),
        ({"text": "it failed"}, "it failed"),
    ],
)
def test_a_reason_names_the_node_once(why: Record, text: str) -> None:
    assert _summary_table.reason(why) == text


def failed(number: int = 1, of: str = "work", on: str | None = "n1", tail: str | None = "one\ntwo") -> Record:
    nodes = {
        name: node(script("first"), script("work", exit_code=3, tail=None if tail is None else f"{name} {tail}"))
        for name in ("n1", "n2")
    }
    why = {"node": on, "script": f"test-{of}", "exit_code": 3, "text": "it failed"}
    return run(nodes, number, "abort", reason=why)


GOOD = run({"n1": node(script())})
FROM_OUTSIDE = run({"n1": node(script())}, 2, "abort", reason={"node": None, "script": None, "text": "enough"})


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([GOOD], ""),
        ([failed()], "the last lines of test work (n1):\n  | n1 one\n  | two"),
        ([failed(on="n2")], "the last lines of test work (n2):\n  | n2 one\n  | two"),
        ([GOOD, failed(2)], "the last lines of test work (run 2, n1):\n  | n1 one\n  | two"),
        ([failed(1, on="n2"), failed(2)], "the last lines of test work (run 1, n2):\n  | n2 one\n  | two"),
        ([failed(of="first")], ""),
        ([failed(of="unknown"), failed(2)], ""),
        ([failed(on="n3"), failed(2)], ""),
        ([failed(on=None), failed(2)], ""),
        ([FROM_OUTSIDE, failed(2)], ""),
        ([failed(tail=None)], ""),
        (
            [failed(tail="\n".join(map(str, range(1, 13))))],
            "\n".join(["the last lines of test work (n1):", *(f"  | {number}" for number in range(3, 13))]),
        ),
        ([failed(tail="\t|\x07")], "the last lines of test work (n1):\n  | n1      |\ufffd"),
    ],
)
def test_the_last_words_are_those_of_the_first_abort(runs: list[Record], words: str) -> None:
    assert _summary_table.last_words(summary(*runs)) == words


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ([GOOD], "s: finish"),
        ([GOOD, GOOD], "s: finish, all of 2 runs"),
        ([failed()], "s: abort: n1: it failed"),
        ([GOOD, FROM_OUTSIDE], "s: abort, 1 of 2 runs: enough"),
        ([failed(), FROM_OUTSIDE, GOOD], "s: abort, 2 of 3 runs: n1: it failed"),
        ([run({}, result="abort", reason={"node": None, "text": "\x1b[2J\n"})], "s: abort: \ufffd[2J\ufffd"),
    ],
)
def test_the_verdict(runs: list[Record], says: str) -> None:
    assert _summary_table.verdict(summary(*runs)) == says


def test_the_runs_of_a_matrix() -> None:
    runs = [
        run(
            {"n1": node(script(**measured(10))), "n2": node(script(**measured(20)))}, 1, params={"size": 1, "mode": "a"}
        ),
        run({"n1": node(script(exit_code=3))}, 2, "abort", params={"size": 2, "mode": "a"}, reason={"text": "no"}),
        run({"n1": node(script(**measured(7, unit="")))}, 3, params={"mode": "a"}, finished=None),
    ]
    assert table(*runs) == [
        "run  node  roles   script     exit code  seconds  numbers        direct addresses",
        "---  ----  ------  ---------  ---------  -------  -------------  ----------------",
        "1    n1    client  test work  0          1.00     speed 10 MB/s",
        "1    n2    client  test work  0          1.00     speed 20 MB/s",
        "2    n1    client  test work  3          1.00",
        "3    n1    client  test work  0          1.00     speed 7",
        "",
        "run  size  result  seconds  work: speed (MB/s)  work: speed",
        "---  ----  ------  -------  ------------------  -----------",
        "1    1     finish  2.5      15                  -",
        "2    2     abort   2.5      -                   -",
        "3          finish  -        -                   7",
    ]


def test_two_runs_are_told_apart() -> None:
    head, _line, *rows = table(run({"n1": node(script())}, 1), run({"n1": node(script())}, 2))
    assert head.startswith("run  node  roles ")
    assert [row.split()[:2] for row in rows[:2]] == [["1", "n1"], ["2", "n1"]]


def test_nodes_without_scripts_and_with_addresses() -> None:
    nodes = {
        "n1": node(roles=("server", "client"), ips=("10.0.0.1", "10.0.0.2")),
        "n2": node(script("a", "setup"), script("b", seconds=None), ips=("10.0.0.3",)),
    }
    assert table(run(nodes)) == [
        "node  roles          script   exit code  seconds  numbers  direct addresses",
        "----  -------------  -------  ---------  -------  -------  ------------------",
        "n1    server client  -        -          -                 10.0.0.1, 10.0.0.2",
        "n2    client         setup a  0          1.00              10.0.0.3",
        "                     test b   not run    -",
    ]


@pytest.mark.parametrize(("length", "whole"), [(24, True), (25, False)])
def test_when_nodes_that_fared_alike_share_a_line(length: int, whole: bool) -> None:
    nodes = {f"n{number}": node(script(seconds=number)) for number in range(1, length + 1)}
    rows = table(run(nodes))[2:]
    assert len(rows) == (length if whole else 1)
    assert rows[0].split() == (
        ["n1", "client", "test", "work", "0", "1.00"]
        if whole
        else f"n[1-{length}] client test work 0 1.00 to {length}.00".split()
    )


def test_what_keeps_nodes_apart() -> None:
    ends = {
        "a": node(script()),
        "b": node(script(seconds=2.0, ips=())),
        "c": node(script(), roles=("server",)),
        "d": node(script(exit_code=3)),
        "e": node(script(failure="it died")),
        "f": node(script("other")),
        "g": node(script(stopped=True)),
        "h": node(script(stopped=True, failure="it died")),
        "i": node(),
        "j": node(script(seconds=1.004)),
    }
    many = {f"n{number}": node(script("more")) for number in range(30)}
    assert table(run({**ends, **many}))[2:] == [
        "a, b, j  client  test work   0                 1.00 to 2.00",
        "c        server  test work   0                 1.00",
        "d        client  test work   3                 1.00",
        "e        client  test work   0                 1.00",
        "f        client  test other  0                 1.00",
        "g        client  test work   stopped           1.00",
        "h        client  test work   stopped (failed)  1.00",
        "i        client  -           -                 -",
        "n[0-29]  client  test more   0                 1.00",
    ]


def test_the_numbers_of_several_nodes_are_one_span() -> None:
    def numbers(speed: float, lost: float) -> Record:
        return {"metrics": {"speed": {"value": speed, "unit": "MB/s"}, "lost": {"value": lost, "unit": ""}}}

    nodes = {f"n{number}": node(script(**numbers(30 - number, 0)), ips=(f"10.0.0.{number}",)) for number in range(25)}
    assert table(run(nodes))[2:] == [
        "n[0-24]  client  test work  0          1.00     speed 6 to 30 MB/s, lost 0  10.0.0.[0-24]",
    ]
    nodes["n3"]["scripts"][0]["metrics"]["speed"]["unit"] = "GB/s"
    del nodes["n4"]["scripts"][0]["metrics"]
    assert "speed 6 to 30 MB/s, lost 0, speed 27 GB/s" in table(run(nodes))[2]


def test_of_very_many_runs_only_those_that_failed_are_told() -> None:
    """25 runs of one line each do not fit a screen; of 30 that failed only as many as fit are told."""
    good = [run({"n1": node(script())}, number) for number in range(1, 26)]
    assert len(table(*good)) == 27, "nothing but the table of runs"
    assert table(*good)[0].startswith("run  result")
    one_failed = [*good, run({"n1": node(script(exit_code=3))}, 26, "abort", reason={"text": "no"})]
    assert table(*one_failed)[:4] == [
        "run  node  roles   script     exit code  seconds  numbers  direct addresses",
        "---  ----  ------  ---------  ---------  -------  -------  ----------------",
        "26   n1    client  test work  3          1.00",
        "",
    ]
    failures = [run({"n1": node(script())}, number, "abort", reason={"text": "no"}) for number in range(1, 31)]
    assert table(*failures).index("") == 2 + 24


@pytest.mark.parametrize(("letters", "with_addresses"), [(44, True), (45, False)])
def test_a_table_that_is_too_wide_goes_without_addresses(letters: int, with_addresses: bool) -> None:
    """110 columns fit: with a name of 44 letters the line has as many."""
    head, _line, row = table(run({"n" * letters: node(script(), ips=("192.168.222.1",))}))
    assert head.endswith("direct addresses") == with_addresses
    assert row.endswith("192.168.222.1") == with_addresses
    assert len(head) == (110 if with_addresses else 93)
