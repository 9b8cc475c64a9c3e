# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils import _format


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b-1", "a"], "a, b-1"),
        (["client-1", "client-2", "client-3"], "client-1, client-2, client-3"),
        ([f"client-{number}" for number in range(1, 50)], "client-[1-49]"),
        (["n1", "n2", "n3", "n7", "n9", "n10"], "n[1-3,7,9-10]"),
        (["n10", "n9", "n2", "n1"], "n[1-2,9-10]"),
        (["server-1", "client-1", "client-2", "client-3"], "server-1, client-[1-3]"),
        (["n01", "n02", "n03", "n04"], "n0[1-4]"),
        (["rack1-n1", "rack1-n2", "rack2-n1", "rack2-n2"], "rack1-n[1-2], rack2-n[1-2]"),
        (["a1.lab", "a2.lab", "a3.lab", "a5.lab"], "a[1-3,5].lab"),
        (["red", "green", "blue", "black"], "red, green, blue, black"),
        ([f"192.168.222.{host}" for host in range(1, 6)], "192.168.222.[1-5]"),
    ],
)
def test_names(names: list[str], text: str) -> None:
    assert _format.names(names) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.00 s"),
        (0, "0.00 s"),
        (0.994, "0.99 s"),
        (0.999, "1.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7380, "2 h 03 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert _format.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ([1.0], "1.0 s"),
        ([0.51, 0.42, 0.45], "0.42–0.51 s"),
        ([1.04, 1.01], "1.0 s"),
        ([0.5, 70], "0.50 s – 1 min 10 s"),
        ([61, 70], "1 min 01 s – 1 min 10 s"),
    ],
)
def test_span(seconds: list[float], text: str) -> None:
    assert _format.span(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0:00"), (7.9, "0:07"), (754, "12:34"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert _format.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (200000, "2 d")],
)
def test_rough_duration(seconds: float, text: str) -> None:
    assert _format.rough_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (1, ("node",), "1 node"),
        (0, ("node",), "0 nodes"),
        (1, ("node job waits", "node jobs wait"), "1 node job waits"),
        (2, ("node job waits", "node jobs wait"), "2 node jobs wait"),
    ],
)
def test_count(number: int, words: tuple[str, ...], text: str) -> None:
    assert _format.count(number, *words) == text


@pytest.mark.parametrize(
    ("text", "keep", "shown"),
    [
        ("plain – text", "", "plain – text"),
        ("a\x1b[2Jb", "", "a\ufffd[2Jb"),
        ("a\tb", "", "a\ufffdb"),
        ("a\tb", "\t", "a\tb"),
        ("a\u202eb", "", "a\ufffdb"),
    ],
)
def test_printable(text: str, keep: str, shown: str) -> None:
    assert _format.printable(text, keep=keep) == shown
