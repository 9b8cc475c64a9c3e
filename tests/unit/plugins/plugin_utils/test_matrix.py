# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import matrix

Record = dict[str, t.Any]


def measured(value: float, unit: str = "MB/s", **more: t.Any) -> Record:
    return {"value": value, "unit": unit, **more}


def node(**scripts: Record) -> Record:
    """The numbers of each script of a node; one without any has left none."""
    return {"scripts": [{"name": name, **({"metrics": own} if own else {})} for name, own in scripts.items()]}


def run(*nodes: Record, **params: t.Any) -> Record:
    return {"params": params, "nodes": {f"n{number}": one for number, one in enumerate(nodes, 1)}}


def columns(*runs: Record) -> list[tuple[str, str, str | None]]:
    return [(column.label, column.unit, column.better) for column in matrix.columns(runs)]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param([run(node(work={}))], [], id="nothing measured"),
        pytest.param(
            [run(node(work={"b": measured(1), "a": measured(2)}))],
            [("b", "MB/s", None), ("a", "MB/s", None)],
            id="in the order of their coming",
        ),
        pytest.param(
            [run(node(work={})), run(node(work={}), node(work={"a": measured(1)}))],
            [("a", "MB/s", None)],
            id="in a later run",
        ),
        pytest.param(
            [run(node(work={"a": measured(1)}, more={"a": measured(2)}))],
            [("work: a", "MB/s", None), ("more: a", "MB/s", None)],
            id="of two scripts",
        ),
        pytest.param(
            [run(node(work={"a": measured(1), "b": measured(1)}, more={"a": measured(2)}))],
            [("work: a", "MB/s", None), ("b", "MB/s", None), ("more: a", "MB/s", None)],
            id="only what is told apart is named in full",
        ),
        pytest.param(
            [run(node(work={"a": measured(1)})), run(node(work={"a": measured(2, "GB/s")}))],
            [("work: a", "MB/s", None), ("work: a", "GB/s", None)],
            id="in two units",
        ),
        pytest.param(
            [run(node(work={"a": measured(1, better="lower")})), run(node(work={"a": measured(2)}))],
            [("a", "MB/s", "lower")],
            id="what is better is said at first",
        ),
        pytest.param(
            [run(node(work={"a": measured(1)})), run(node(work={"a": measured(2, better="higher")}))],
            [("a", "MB/s", "higher")],
            id="what is better is said later",
        ),
        pytest.param(
            [run(node(work={"a": measured(1, better="lower")})), run(node(work={"a": measured(2, better="higher")}))],
            [("a", "MB/s", "higher")],
            id="what is better is said anew",
        ),
    ],
)
def test_columns(runs: list[Record], expected: list[tuple[str, str, str | None]]) -> None:
    assert columns(*runs) == expected


def test_a_cell_holds_what_its_column_names() -> None:
    one = run(
        node(work={"a": measured(1), "b": measured(2)}, more={"a": measured(3)}),
        node(work={"a": measured(4, "GB/s")}),
        node(work={"a": measured(5)}),
    )
    columns = matrix.columns([one])
    cells = matrix.cells(one, columns)
    found = {(column.script, column.metric, column.unit): cell for column, cell in zip(columns, cells, strict=True)}
    assert {key: cell and cell.values for key, cell in found.items()} == {
        ("work", "a", "MB/s"): (1, 5),
        ("work", "b", "MB/s"): (2,),
        ("more", "a", "MB/s"): (3,),
        ("work", "a", "GB/s"): (4,),
    }
    assert matrix.cells(run(node(work={})), [matrix.Column("work", "a", "MB/s")]) == [None]
    assert [(name, script["name"], metric) for name, script, metric, _value in matrix.measurements(one)] == [
        ("n1", "work", "a"),
        ("n1", "work", "b"),
        ("n1", "more", "a"),
        ("n2", "work", "a"),
        ("n3", "work", "a"),
    ]


@pytest.mark.parametrize(
    ("values", "mean", "about"),
    [
        ((7,), 7, ""),
        ((10, 20), 15, "2 nodes, 10 to 20, sum 30"),
        ((20, 10, 3), 11, "3 nodes, 3 to 20, sum 33"),
        ((2, 2), 2, "2 nodes, 2, sum 4"),
        ((-1.5, 0.5), -0.5, "2 nodes, -1.5 to 0.5, sum -1"),
    ],
)
def test_what_a_mean_hides(values: tuple[float, ...], mean: float, about: str) -> None:
    cell = matrix.Cell(values)
    assert (cell.mean, matrix.mean(cell), cell.about) == (mean, mean, about)


def test_the_mean_of_nothing() -> None:
    assert matrix.mean(None) is None


@pytest.mark.parametrize(
    ("params", "varied", "constant"),
    [
        ([{}], [], {}),
        ([{"a": 1, "b": None}], [], {"a": "1", "b": ""}),
        ([{"a": 1, "b": 2}, {"a": 1, "b": 3}], ["b"], {"a": "1"}),
        ([{"b": 1, "a": 1}, {"b": 2, "a": 2}], ["b", "a"], {}),
        ([{"a": 1}, {"a": 1, "b": 2}], ["b"], {"a": "1"}),
        ([{"a": 1, "b": 2}, {"a": 1}], ["b"], {"a": "1"}),
        ([{"a": 1}, {"a": "1"}], [], {"a": "1"}),
        ([{"a": [1, 2]}, {"a": [1, 2]}], [], {"a": "[1, 2]"}),
    ],
)
def test_which_parameters_differ(params: list[Record], varied: list[str], constant: dict[str, str]) -> None:
    runs = [run(**own) for own in params]
    assert matrix.varied(runs) == varied
    assert matrix.constant(runs) == constant


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, ""),
        ("a b", "a b"),
        ("", ""),
        (1, "1"),
        (0, "0"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (["ä", 1], '["ä", 1]'),
        ({"k": None}, '{"k": null}'),
    ],
)
def test_how_a_value_is_written(value: t.Any, word: str) -> None:
    assert matrix.word(value) == word
