# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import iperf3
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import metrics as _metrics

# The parts of iperf3's output that are read, as iperf3 3.12 prints them.
TCP: dict[str, t.Any] = {
    "start": {"version": "iperf 3.12", "test_start": {"protocol": "TCP", "reverse": 0}},
    "intervals": [],
    "end": {
        "sum_sent": {"seconds": 3.0, "bytes": 100, "bits_per_second": 9.5e9, "retransmits": 7, "sender": True},
        "sum_received": {"seconds": 3.0, "bytes": 100, "bits_per_second": 9412345678.9, "sender": True},
    },
}
UDP: dict[str, t.Any] = {
    "start": {"version": "iperf 3.9", "test_start": {"protocol": "UDP"}},
    "end": {
        "sum": {"bits_per_second": 1.05e6, "jitter_ms": 0.0123, "lost_packets": 2, "packets": 80, "lost_percent": 2.5},
    },
}
BOTH_WAYS: dict[str, t.Any] = {
    "start": {"version": "iperf 3.16"},
    "end": {
        "sum_sent": {"bits_per_second": 2e9, "retransmits": 0},
        "sum_received": {"bits_per_second": 1.9e9},
        "sum_sent_bidir_reverse": {"bits_per_second": 1e9, "retransmits": 1},
        "sum_received_bidir_reverse": {"bits_per_second": 0.9e9},
    },
}
FAILED = {"start": {"version": "iperf 3.12"}, "intervals": [], "end": {}, "error": "unable to connect"}


def values(metrics: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    return {name: metric["value"] for name, metric in metrics.items()}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (TCP, {"throughput": 9.412346, "retransmits": 7}),
        (UDP, {"throughput": 0.00105, "jitter": 0.0123, "lost": 2.5}),
        (BOTH_WAYS, {"throughput": 1.9, "retransmits": 0, "throughput_reverse": 0.9, "retransmits_reverse": 1}),
        (FAILED, {}),
        ({"start": {"version": "nuttcp"}, "end": TCP["end"]}, {}),
        ({"start": [], "end": TCP["end"]}, {}),
        ({"start": TCP["start"], "end": {"sum_received": {"bits_per_second": "fast"}}}, {}),
        ([TCP], {}),
    ],
)
def test_what_iperf3_says(document: t.Any, expected: dict[str, float]) -> None:
    assert values(iperf3.numbers_in(json.dumps(document))) == expected


def test_iperf3_several_times_in_one_output() -> None:
    text = f"connecting\n{json.dumps(TCP, indent=2)}\n{{no json\n{json.dumps(UDP)}\ndone {{}}\n"
    assert list(iperf3.numbers_in(text)) == ["throughput", "retransmits", "throughput_2", "jitter_2", "lost_2"]


def test_units_and_what_is_better() -> None:
    assert iperf3.numbers_in(json.dumps(UDP)) == {
        "throughput": {"value": 0.00105, "unit": "Gbit/s", "better": "higher"},
        "jitter": {"value": 0.0123, "unit": "ms", "better": "lower"},
        "lost": {"value": 2.5, "unit": "%", "better": "lower"},
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"speed": 4}, {"speed": {"value": 4, "unit": ""}}),
        ({"speed": {"value": 0.5, "unit": "s"}}, {"speed": {"value": 0.5, "unit": "s"}}),
        ({"a": {"value": 1, "better": "lower"}}, {"a": {"value": 1, "unit": "", "better": "lower"}}),
        ({"a": {"value": 1, "better": "faster", "unit": None}}, {"a": {"value": 1, "unit": ""}}),
        ({"a": True, "b": "1", "c": None, "d": [1], "e": {}, "f": 2}, {"f": {"value": 2, "unit": ""}}),
        ([1, 2], {}),
        ("text", {}),
    ],
)
def test_what_a_script_declares(content: t.Any, expected: t.Any, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    assert _metrics.read_metrics(tmp_path).metrics == expected


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN, "b": 1e999}', "\x00"])
def test_what_is_no_number(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8")
    assert _metrics.read_metrics(tmp_path).metrics == {}


def test_where_numbers_are_found(tmp_path: Path) -> None:
    assert _metrics.read_metrics(tmp_path / "nowhere").metrics == {}
    (tmp_path / "stdout").write_text(f"hello\n{json.dumps(TCP)}\n", encoding="utf-8")
    (tmp_path / "result.json").write_text(json.dumps(TCP), encoding="utf-8")
    assert values(_metrics.read_metrics(tmp_path).metrics) == {"throughput": 9.412346, "retransmits": 7}
    (tmp_path / "up.json").write_text(json.dumps(UDP), encoding="utf-8")
    found = values(_metrics.read_metrics(tmp_path).metrics)
    assert found["throughput"] == 0.00105
    assert found["stdout_throughput"] == 9.412346
    (tmp_path / "metrics.json").write_text('{"throughput": 3}', encoding="utf-8")
    assert values(_metrics.read_metrics(tmp_path).metrics)["throughput"] == 3


def test_files_that_are_too_large_or_lead_away_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"a": 1}', encoding="utf-8")
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "metrics.json").symlink_to(elsewhere)
    assert _metrics.read_metrics(folder).metrics == {}
    (folder / "metrics.json").unlink()
    (folder / "metrics.json").write_text('{"a": 1}', encoding="utf-8")
    assert values(_metrics.read_metrics(folder).metrics) == {"a": 1}
    monkeypatch.setattr(_metrics, "SIZE_LIMIT", 4)
    assert _metrics.read_metrics(folder).metrics == {}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4, "", "4"),
        (4.0, "s", "4 s"),
        (0, "", "0"),
        (123456, "", "123,456"),
        (1234567, "", "1,234,567"),
        (20412.5, "req/s", "20,412 req/s"),
        (80000, "req/s", "80,000 req/s"),
        (999.96, "", "1,000"),
        (1000.4, "", "1,000"),
        (412.25, "", "412.2"),
        (0.001, "", "0.001"),
        (1e15, "", "1e+15"),
        (-1234567.8, "", "-1,234,568"),
        (3.14159, "ms", "3.142 ms"),
        (0.000123456, "", "0.0001235"),
        (-2.5, "%", "-2.5 %"),
    ],
)
def test_how_a_number_is_shown(value: float, unit: str, text: str) -> None:
    assert _metrics.shown({"value": value, "unit": unit}) == text


DEEP = '{"a": ' + "[" * 100_000


@pytest.mark.parametrize(
    ("files", "found", "notes"),
    [
        ({"metrics.json": "{"}, {}, ["metrics.json is no JSON that can be read: "]),
        ({"metrics.json": DEEP}, {}, ["metrics.json is no JSON that can be read: it is nested too deep"]),
        ({"metrics.json": "[1]"}, {}, ["metrics.json holds no mapping of names to numbers"]),
        ({"metrics.json": '{"a": 1' + "0" * 400 + ', "b": 2}'}, {"b": 2}, ["metrics.json: a: no number"]),
        (
            {"metrics.json": '{"a": 1.7e308, "b": -1.7e308, "c": 1e300}'},
            {"c": 1e300},
            ["metrics.json: a, b: no number"],
        ),
        ({"metrics.json": '{"a\\ud800\\u001b[2J": 1}'}, {"a\ufffd\ufffd[2J": 1}, []),
        ({"metrics.json": '{"' + "x" * 500 + '": 1}'}, {"x" * 200: 1}, []),
        (
            {"metrics.json": '{"a": "x", "b": [], "c": {}, "d": null}'},
            {},
            ["metrics.json: a, b, c and 1 more: no number"],
        ),
        ({"stdout": DEEP, "metrics.json": '{"a": 1}'}, {"a": 1}, []),
        ({"other.json": DEEP, "stdout": "{\n" * 5000 + json.dumps(TCP)}, {}, []),
    ],
)
def test_what_a_stranger_writes_costs_its_own_numbers_only(
    files: dict[str, str], found: dict[str, float], notes: list[str], tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    measured = _metrics.read_metrics(tmp_path)
    assert values(measured.metrics) == found
    assert len(measured.notes) == len(notes)
    assert all(note.startswith(begin) for note, begin in zip(measured.notes, notes, strict=True))
    json.dumps(measured.metrics, ensure_ascii=False).encode()


def test_of_very_many_numbers_some_are_kept(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({f"n{number}": number for number in range(300_000)}))
    measured = _metrics.read_metrics(tmp_path)
    assert list(measured.metrics) == [f"n{number}" for number in range(1000)]
    assert measured.notes == ["metrics.json: only the first 1000 numbers are kept"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("stdout", json.dumps(FAILED), "stdout: iperf3 says: unable to connect"),
        ("client.json", json.dumps(FAILED), "client.json: iperf3 says: unable to connect"),
        ("stdout", json.dumps({**FAILED, "error": [[[1]]]}), "stdout: iperf3 says: an error without a text"),
        (
            "stdout",
            json.dumps({**FAILED, "error": "a\x1b[2Jb" + "x" * 400}),
            "stdout: iperf3 says: a\ufffd[2Jb" + "x" * 294,
        ),
        ("metrics.json", "", "metrics.json is no JSON that can be read: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_measurement_that_failed_is_warned_of(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / name).write_text(text)
    assert _metrics.read_metrics(tmp_path).notes == [expected]


def test_numbers_that_may_not_be_read_are_warned_of(tmp_path: Path) -> None:
    assert _metrics.read_metrics(tmp_path).notes == [], "a script need not leave numbers"
    (tmp_path / "metrics.json").symlink_to("/etc/passwd")
    (note,) = _metrics.read_metrics(tmp_path).notes
    assert note.startswith("metrics.json is not read: it is a link")
