# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import math
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import iperf3

SIZE_LIMIT = 33554432
FILES_LIMIT = 50
NAMES_LIMIT = 1000
NAME_LIMIT = 200
UNIT_LIMIT = 40
# The sum of all machines' numbers is one too.
LARGEST = 1e300

Metrics = dict[str, dict[str, t.Any]]


@dataclass
class Measured:
    """The numbers that a script left, and in sentences what of them could not be used."""

    metrics: Metrics = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, source: str, found: t.Mapping[str, t.Mapping[str, t.Any]], *, prefer: bool = False) -> None:
        """Take numbers in, under a name of their source where theirs is taken; ``prefer``: under their own all the same."""
        for name, metric in found.items():
            named = name if prefer or name not in self.metrics else f"{source}_{name}"
            if len(self.metrics) >= NAMES_LIMIT and named not in self.metrics:
                self.notes.append(f"{source}: only the first {NAMES_LIMIT} numbers are kept")
                return
            self.metrics[named] = dict(metric)


def read_metrics(folder: Path) -> Measured:
    """The numbers that a script left in its result folder, ``{name: {"value", "unit"}}``; what is no number is left out.

    ``metrics.json`` holds ``{name: number}`` or ``{name: {"value": number, "unit": text, "better": "higher"}}``.
    The JSON output of iperf3, in a file or printed, is read too; a name that ``metrics.json`` gives wins. The files are a
    stranger's: nothing in them can raise an error.
    """
    measured = Measured()
    for path in sorted(folder.glob("*.json"))[:FILES_LIMIT]:
        if path.name not in ("metrics.json", "result.json"):
            _add_iperf3(measured, path)
    _add_iperf3(measured, folder / "stdout")
    measured.add("metrics.json", _declared(folder / "metrics.json", measured.notes), prefer=True)
    return measured


def shown(metric: t.Mapping[str, t.Any]) -> str:
    """A number with its unit, short enough for a table."""
    unit = f" {metric['unit']}" if metric.get("unit") else ""
    return f"{number(metric['value'])}{unit}"


def number(value: float) -> str:
    """A number with at least four digits that count, those before the point in groups of three."""
    if not 1e-3 <= abs(value) < 1e15:
        return f"{value:.4g}" if value else "0"
    if value == int(value):
        return f"{int(value):,}"
    places = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _add_iperf3(measured: Measured, path: Path) -> None:
    text = _text(path) or ""
    measured.add(path.stem, _checked(iperf3.numbers_in(text), []))
    measured.notes += [f"{path.name}: iperf3 says: {_format.printable(said)}" for said in iperf3.errors_in(text)]


def _declared(path: Path, notes: list[str]) -> Metrics:
    if not path.is_symlink() and not path.exists():
        return {}
    text = _text(path)
    if text is None:
        notes.append(f"{path.name} is not read: it is a link, larger than {SIZE_LIMIT} bytes, or cannot be opened")
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        notes.append(f"{path.name} is no JSON that can be read: {why}")
        return {}
    if not isinstance(content, dict):
        notes.append(f"{path.name} holds no mapping of names to numbers")
        return {}
    return _checked(content, notes)


def _checked(content: t.Mapping[str, t.Any], notes: list[str]) -> Metrics:
    found: Metrics = {}
    refused = []
    for name, value in content.items():
        metric = _metric(value)
        if metric is None:
            refused.append(name)
        else:
            found[_format.printable(name[:NAME_LIMIT])] = metric
        if len(found) > NAMES_LIMIT:
            break
    if refused:
        shown_names = ", ".join(_format.printable(name[:NAME_LIMIT]) for name in refused[:3])
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        notes.append(f"metrics.json: {shown_names}{more}: no number")
    return found


def _text(path: Path) -> str | None:
    try:
        if path.is_symlink() or path.stat().st_size > SIZE_LIMIT:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _metric(value: t.Any) -> dict[str, t.Any] | None:
    given = value if isinstance(value, dict) else {"value": value}
    measured = given.get("value")
    if isinstance(measured, bool) or not isinstance(measured, (int, float)) or not abs(measured) <= LARGEST:
        return None
    metric = {"value": measured, "unit": _format.printable(str(given.get("unit") or "")[:UNIT_LIMIT])}
    if given.get("better") in ("higher", "lower"):
        metric["better"] = given["better"]
    return metric
