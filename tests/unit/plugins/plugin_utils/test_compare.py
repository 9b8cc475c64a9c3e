# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._compare import Comparison, difference
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._store import Submission
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.matrix import Cell, mean

Record = dict[str, t.Any]


def metric(*values: float, better: str | None = None, name: str = "speed", unit: str = "MB/s") -> Record:
    """What the nodes of a run have measured, one after another."""
    return {
        f"n{number}": {
            "scripts": [{"name": "work", "metrics": {name: {"value": value, "unit": unit, "better": better}}}]
        }
        for number, value in enumerate(values)
    }


def run(nodes: Record, started: float | None = 100.0, **params: t.Any) -> Record:
    return {"params": params, "nodes": nodes, "started": started}


def submission(name: str, *runs: Record, folder: str = "/nowhere", result: str = "finish") -> Submission:
    summary = {"submission_id": name, "job": f"{name}.yaml", "result": result, "runs": list(runs)}
    return Submission(Path(folder, name), summary, [])


def compare(*submissions: t.Sequence[Record]) -> Comparison:
    return Comparison([submission(f"s{number}", *runs) for number, runs in enumerate(submissions, 1)])


def groups(*submissions: t.Sequence[Record]) -> dict[str, list[list[float | None]]]:
    """What stands side by side: title → of each metric the means."""
    found = compare(*submissions).groups
    assert len({title for title, _rows in found}) == len(found), "each title once"
    return {title: [[mean(cell) for cell in cells] for _column, cells in rows] for title, rows in found}


ONE, TWO, THREE = (run(metric(value), size=value) for value in (1, 2, 3))


@pytest.mark.parametrize(
    ("submissions", "expected"),
    [
        pytest.param([[ONE, TWO], [ONE, TWO]], {"size 1": [[1, 1]], "size 2": [[2, 2]]}, id="the same shape"),
        pytest.param([[ONE, TWO], [TWO, ONE]], {"size 1": [[1, 1]], "size 2": [[2, 2]]}, id="another order"),
        pytest.param([[TWO], [ONE, TWO]], {"size 2": [[2, 2]], "size 1": [[None, 1]]}, id="more in the second"),
        pytest.param([[ONE, TWO], [TWO]], {"size 1": [[1, None]], "size 2": [[2, 2]]}, id="less in the second"),
        pytest.param([[ONE], [TWO]], {"All numbers": [[1, 2]]}, id="one run each, whatever it was run with"),
        pytest.param(
            [[ONE], [TWO], [ONE, THREE]],
            {"size 1": [[1, None, 1]], "size 2": [[None, 2, None]], "size 3": [[None, None, 3]]},
            id="one run each but for the last",
        ),
        pytest.param(
            [[run(metric(1), b=2, a=1), run(metric(2), a=1)], [run(metric(3), a=1, b=2)]],
            {"a 1, b 2": [[1, 3]], "a 1": [[2, None]]},
            id="the order of parameters means nothing, their number does",
        ),
        pytest.param(
            [[run(metric(1)), run(metric(2), a=1)], [run(metric(3), a=1), run(metric(4))]],
            {"All numbers": [[1, 4]], "a 1": [[2, 3]]},
            id="without parameters",
        ),
        pytest.param(
            [[ONE, run(metric(5), size=1), TWO], [run(metric(7), size=1), TWO]],
            {"size 1": [[1, 7]], "size 1, repetition 2": [[5, None]], "size 2": [[2, 2]]},
            id="the same parameters again",
        ),
        pytest.param(
            [[run(metric(1)), run(metric(2))], [run(metric(3)), run(metric(4)), run(metric(5))]],
            {"All numbers": [[1, 3]], "All numbers, repetition 2": [[2, 4]], "All numbers, repetition 3": [[None, 5]]},
            id="again and again without parameters",
        ),
        pytest.param([[ONE, run({}, size=9)], [run({}, size=9), ONE]], {"size 1": [[1, 1]]}, id="nothing measured"),
        pytest.param(
            [[run(metric(1)), run(metric(2, name="latency", unit="ms"))], [run(metric(3, unit="GB/s"))]],
            {"All numbers": [[1, None], [None, 3]], "All numbers, repetition 2": [[2, None]]},
            id="numbers of another name or unit",
        ),
    ],
)
def test_which_runs_stand_side_by_side(
    submissions: list[list[Record]], expected: dict[str, list[list[float | None]]]
) -> None:
    assert groups(*submissions) == expected
    assert list(groups(*submissions)) == list(expected), "in the order in which they come"


@pytest.mark.parametrize(
    ("base", "value", "text"),
    [
        (100.0, 150.0, "+50.0 %"),
        (100.0, 50.0, "-50.0 %"),
        (-100.0, -50.0, "+50.0 %"),
        (-100.0, -150.0, "-50.0 %"),
        (-100.0, 100.0, "+200.0 %"),
        (100.0, -100.0, "-200.0 %"),
        (100.0, 100.0, "+0.0 %"),
        (-100.0, -100.0, "+0.0 %"),
        (3.0, 3.1, "+3.3 %"),
        (0.2, (0.1 + 0.2 + 0.3) / 3, "+0.0 %"),
        ((0.1 + 0.2 + 0.3) / 3, 0.2, "+0.0 %"),
        (100.0, 0.0, "-100.0 %"),
        (0.0, 100.0, ""),
        (0.0, 0.0, ""),
        (None, 1.0, ""),
        (1.0, None, ""),
        (None, None, ""),
    ],
)
def test_a_difference_has_the_sign_of_the_change(base: float | None, value: float | None, text: str) -> None:
    assert difference(*(None if one is None else Cell((one,)) for one in (base, value))) == text


@pytest.mark.parametrize(
    ("better", "values", "judged"),
    [
        ("higher", [[10], [11], [9], [10]], ["better", "worse", ""]),
        ("lower", [[10], [11], [9], [10]], ["worse", "better", ""]),
        ("higher", [[-10], [-9], [-11]], ["better", "worse"]),
        ("higher", [[0], [1], [-1], [0]], ["better", "worse", ""]),
        (None, [[10], [11], [9]], ["", ""]),
        ("higher", [[0.1, 0.2, 0.3], [0.2, 0.2, 0.2], [0.3, 0.2, 0.1]], ["", ""]),
        ("lower", [[0.2], [0.1, 0.2, 0.3]], [""]),
        ("lower", [[10], [], [9]], ["", "better"]),
        ("lower", [[], [10], [9]], ["", ""]),
    ],
)
def test_what_is_better(better: str | None, values: list[list[float]], judged: list[str], tmp_path: Path) -> None:
    page = compare(*([run(metric(*own, better=better))] for own in values)).page(tmp_path)
    assert re.findall(r'<td class="number ((?!soft)[a-z]*)">', page) == judged


def test_the_page_compares_with_the_first(tmp_path: Path) -> None:
    page = compare([run(metric(10))], [run(metric(20))], [run(metric(5))]).page(tmp_path)
    assert re.findall(r'<td class="number ">([^<]*)</td>', page) == ["+100.0 %", "-50.0 %"]


def test_the_table_for_a_terminal() -> None:
    both = {**metric(10), "n1": metric(4, name="retransmits", unit="")["n0"]}
    first = [run(both, size=1), run(metric(5), size=2)]
    assert compare(first, [run(metric(20, 40), size=1)], first).table().splitlines() == [
        "A: s1  s1.yaml",
        "B: s2  s2.yaml",
        "C: s3  s3.yaml",
        "",
        "size 1",
        "  speed (MB/s): A 10, B 30 (+200.0 %), C 10 (+0.0 %)",
        "  retransmits: A 4, B -, C 4 (+0.0 %)",
        "",
        "size 2",
        "  speed (MB/s): A 5, B -, C 5 (+0.0 %)",
    ]


@pytest.mark.parametrize(("number", "fits"), [(0, False), (1, False), (2, True), (26, True), (27, False)])
def test_how_many_can_be_compared(number: int, fits: bool) -> None:
    submissions = [submission("s", ONE)] * number
    if fits:
        assert Comparison(submissions).letters == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:number]
        return
    with pytest.raises(
        InputError, match=f"^submissions: {number} were given; right would be 2 to 26 that are compared$"
    ):
        Comparison(submissions)


def test_what_the_page_says_of_a_submission(tmp_path: Path) -> None:
    with_page = submission("a b", run({}, 300.0), run({}, 200.0), run({}, None), folder=str(tmp_path))
    with_page.folder.mkdir()
    (with_page.folder / "report.html").touch()
    without_page = submission("second", run(metric(1), None), folder=str(tmp_path), result="abort")
    page = Comparison([with_page, without_page]).page(tmp_path / "elsewhere")
    assert "<title>2 submissions compared</title>" in page
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    plain = [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", row)).strip() for row in rows]
    assert plain[1] == "A a b a b.yaml ✔ finish 3 1970-01-01 00:03:20 UTC"
    assert plain[2] == "B second second.yaml ✘ abort 1 –"
    assert re.findall(r'<a href="(?!#)([^"]*)"', page) == ["../a%20b/report.html"]
