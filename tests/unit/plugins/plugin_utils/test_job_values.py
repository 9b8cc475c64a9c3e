# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("yaml")
pytest.importorskip("netaddr")

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.values import (
    arguments,
    cpu_share,
    environment_text,
    parse_params,
    seconds_of,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import Place, parse_documents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-5", -5),
        ("1_000", 1000),
        ("0", 0),
        ("1.5", 1.5),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!int '7'", 7),
        ("0755", "0755"),
        ("0x1f", "0x1f"),
        ("1.10", "1.10"),
        ("12:30", "12:30"),
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),
        ("2026-11-23", "2026-11-23"),
        (".inf", ".inf"),
        ("1.0e999", "1.0e999"),
        ("9" * 400, "9" * 400),
        ("{{ runtime }}", "{{ runtime }}"),
        ("{{runtime}}", "{{runtime}}"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars(text: str, expected: t.Any) -> None:
    (document,) = parse_documents(f"key: {text}", "job.yaml")
    assert document["key"] == expected
    assert type(document["key"]) is type(expected)


def test_lines_and_merges() -> None:
    text = "base: &base {a: 1, b: 2}\nother: &other\n  c: 3\nall:\n  <<: [*base, *other]\n  b: 5\n  d: *other\n"
    (document,) = parse_documents(text, "job.yaml")
    assert document["all"] == {"a": 1, "b": 5, "c": 3, "d": {"c": 3}}
    assert document["all"].place_of("a") == Place("job.yaml", 1)
    assert document["all"].place_of("b") == Place("job.yaml", 6)
    assert str(document["all"].place_of("c")) == "job.yaml, line 3"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("any", None, ""),
        ("any", True, "true"),
        ("any", False, "false"),
        ("any", 5, "5"),
        ("any", 0.5, "0.5"),
        ("any", "a b", "a b"),
        ("any", ["a", 1, None, True], "a\n1\n\ntrue"),
        ("any", {"a": 1, "b": "x"}, "a=1\nb=x"),
        ("any", "5m", "5m"),
        ("runtime", "5m", "300"),
        ("runtime", "300s", "300"),
        ("runtime", "1.5h", "5400"),
        ("runtime", "2d", "172800"),
        ("runtime", "0.5s", "0.5"),
        ("runtime", 300, "300"),
        ("runtime", "until 5m", "until 5m"),
        ("warmup_duration", "1m", "60"),
        ("testtime", "10s", "10"),
        ("test_time", "10s", "10"),
        ("run_time", "1m", "60"),
        ("duration", "1sec", "1"),
        ("max_run_time", " 1 min ", "60"),
        ("time", "10s", "10s"),
        ("runtimes", "10s", "10s"),
        ("my_testtime", "10s", "10s"),
        ("runtime", ["5m", "1"], "5m\n1"),
        ("runtime", None, ""),
        ("runtime", "", ""),
        ("runtime", "5x", "5x"),
        ("runtime", "0", "0"),
        ("any", [["a", "\u00e9"], {"b": 1}], '["a", "\u00e9"]\nb=1'),
        ("any", {"a": {"b": 1}}, "a=b=1"),
        ("nr_threads", "2dd", "2"),
        ("nr_task", "16t", "16"),
        ("worker_threads", "4x", "4"),
        ("threads", "4x", "4"),
        ("tasks", "4x", "4"),
        ("nr_threads", "2 dd", "2 dd"),
        ("nr_threads", "2", "2"),
        ("nr_threads", 2, "2"),
        ("nr_threads", "many", "many"),
        ("iterations", "5dd", "5dd"),
        ("iterations", "x5", "x5"),
        ("bs", "4k", "4k"),
        ("iterations", "100x", "100"),
        ("iterations", "100", "100"),
        ("send_size", "10K", "10K"),
    ],
)
def test_environment_text(name: str, value: t.Any, expected: str) -> None:
    assert environment_text(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("nr_threads", "50%", 50.0),
        ("nr_task", "12.5%", 12.5),
        ("nr_clients", "200%", 200.0),
        ("agent_threads", "100%", 100.0),
        ("tasks", " 5 % ", 5.0),
        ("nr_threads", "0%", 0.0),
        ("nr_threads", "-5%", None),
        ("memory", "50%", None),
        ("nr_", "50%", None),
        ("nr_threads", 50, None),
        ("nr_threads", "50", None),
        ("nr_threads", "x%", None),
    ],
)
def test_shares_of_the_cpus(name: str, value: t.Any, expected: float | None) -> None:
    assert cpu_share(name, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        ("5", 5),
        ("5s", 5),
        ("2 min", 120),
        ("1w", 604800),
        ("2d", 172800),
        ("1.5h", 5400),
        ("3m", 180),
        ("1sec", 1),
        ("0.5s", 0.5),
        (" 7 ", 7),
        ("2.50", 2.5),
        ("0", 0),
        (0, 0),
        ("-1", None),
        ("1.", None),
        ("1e3", None),
        ("9" * 13, None),
        (0.5, 0.5),
        ("x", None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_seconds(value: t.Any, expected: t.Any) -> None:
    assert seconds_of(value) == expected
    assert type(seconds_of(value)) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        (60, ["60"]),
        (0.5, ["0.5"]),
        (True, ["true"]),
        ("a 'b c' d\\ e", ["a", "b c", "d e"]),
        ("$(reboot) `x`", ["$(reboot)", "`x`"]),
        ("", []),
    ],
)
def test_arguments(value: t.Any, expected: list[str]) -> None:
    assert arguments(value, Place("job.yaml", 3), "sleep") == expected


def test_arguments_with_an_open_quote() -> None:
    with pytest.raises(
        InputError, match='job.yaml, line 3, key "sleep": "it\'s" cannot be split .*: a quote is not closed'
    ):
        arguments("it's", Place("job.yaml", 3), "sleep")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        ("", {}),
        ("test=TCP_STREAM nr_threads=1", {"test": "TCP_STREAM", "nr_threads": "1"}),
        ("a='x y' b=c=d e=", {"a": "x y", "b": "c=d", "e": ""}),
        (["a=1", "b=x y"], {"a": "1", "b": "x y"}),
        (("a=1",), {"a": "1"}),
        ({"a": 1}, {"a": 1}),
        ({1: [2]}, {"1": [2]}),
        ("a=1 a=2", {"a": "2"}),
    ],
)
def test_params(value: t.Any, expected: dict[str, t.Any]) -> None:
    assert parse_params(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("test", 'params "test": expects name=value, such as "test=TCP_STREAM".'),
        ("a=1 =1", 'params "=1": expects name=value, such as "test=TCP_STREAM".'),
        ("a='", 'params "a=\'": a quote is not closed.'),
        (5, 'params expects a mapping or a text such as "test=TCP_STREAM", not "5".'),
        (["a=1", "x"], 'params "x": expects name=value, such as "test=TCP_STREAM".'),
    ],
)
def test_bad_params(value: t.Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_params(value)
    assert str(caught.value) == expected
