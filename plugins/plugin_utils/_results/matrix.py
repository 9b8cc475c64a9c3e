# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import collections
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.plugin_utils._results import metrics

Run = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Column:
    """A metric of all runs: what a script of this name measured."""

    script: str
    metric: str
    unit: str
    better: str | None = None
    label: str = ""


@dataclass(frozen=True)
class Cell:
    """What a metric was in one run, on all of the nodes that measured it."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    @property
    def about(self) -> str:
        """What the mean hides; empty when one node measured."""
        if len(self.values) == 1:
            return ""
        low, high = metrics.number(min(self.values)), metrics.number(max(self.values))
        spread = low if low == high else f"{low} to {high}"
        return f"{len(self.values)} nodes, {spread}, sum {metrics.number(sum(self.values))}"


def columns(runs: t.Iterable[Run]) -> list[Column]:
    """All metrics of these runs, in the order in which they first come, named as shortly as they can be."""
    found: dict[tuple[str, str, str], str | None] = {}
    for run in runs:
        for _node, script, name, metric in measurements(run):
            key = (script["name"], name, metric["unit"])
            found[key] = metric.get("better") or found.get(key)
    named = collections.Counter(metric for _script, metric, _unit in found)
    return [
        Column(script, metric, unit, better, metric if named[metric] == 1 else f"{script}: {metric}")
        for (script, metric, unit), better in found.items()
    ]


def measurements(run: Run) -> t.Iterator[tuple[str, Run, str, Run]]:
    """Every number of a run: node, script, metric's name, metric."""
    for node, record in run["nodes"].items():
        for script in record["scripts"]:
            for name, metric in script.get("metrics", {}).items():
                yield node, script, name, metric


def cells(run: Run, wanted: t.Sequence[Column]) -> list[Cell | None]:
    """What each metric was in a run, None where nobody measured it."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for _node, script, name, metric in measurements(run):
        values.setdefault((script["name"], name, metric["unit"]), []).append(metric["value"])
    found = [values.get((column.script, column.metric, column.unit)) for column in wanted]
    return [Cell(tuple(each)) if each else None for each in found]


def mean(found: Cell | None) -> float | None:
    """The mean of what was measured, None when nothing was."""
    return None if found is None else found.mean


def varied(runs: t.Sequence[Run]) -> list[str]:
    """The parameters in which runs differ."""
    names = dict.fromkeys(name for run in runs for name in run["params"])
    return [name for name in names if len({word(run["params"].get(name)) for run in runs}) > 1]


def constant(runs: t.Sequence[Run]) -> dict[str, str]:
    """The parameters that all runs share."""
    differing = varied(runs)
    return {name: word(value) for name, value in runs[0]["params"].items() if name not in differing}


def word(value: t.Any) -> str:
    """A parameter's value as a person would write it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
