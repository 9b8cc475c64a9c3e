# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import math
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.plugin_utils._results import iperf3

SIZE_LIMIT = 33554432
FILES_LIMIT = 50

Metrics = dict[str, dict[str, t.Any]]


def read_metrics(folder: Path) -> Metrics:
    """The numbers that a script left in its result folder, ``{name: {"value", "unit"}}``; what is no number is left out.

    ``metrics.json`` holds ``{name: number}`` or ``{name: {"value": number, "unit": text, "better": "higher"}}``.
    The JSON output of iperf3, in a file or printed, is read too; a name that ``metrics.json`` gives wins.
    """
    found: Metrics = {}
    for path in sorted(folder.glob("*.json"))[:FILES_LIMIT]:
        if path.name not in ("metrics.json", "result.json"):
            _add(found, iperf3.numbers_in(_text(path)), path.stem)
    _add(found, iperf3.numbers_in(_text(folder / "stdout")), "stdout")
    found.update(_declared(folder / "metrics.json"))
    return found


def shown(metric: t.Mapping[str, t.Any]) -> str:
    """A number with its unit, short enough for a table."""
    unit = f" {metric['unit']}" if metric.get("unit") else ""
    return f"{number(metric['value'])}{unit}"


def number(value: float) -> str:
    """A number with four digits that count."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def _add(found: Metrics, more: Metrics, source: str) -> None:
    for name, metric in more.items():
        found[name if name not in found else f"{source}_{name}"] = metric


def _declared(path: Path) -> Metrics:
    try:
        content = json.loads(_text(path))
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    found = {str(name): _metric(value) for name, value in content.items()}
    return {name: metric for name, metric in found.items() if metric is not None}


def _text(path: Path) -> str:
    try:
        if path.is_symlink() or path.stat().st_size > SIZE_LIMIT:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _metric(value: t.Any) -> dict[str, t.Any] | None:
    given = value if isinstance(value, dict) else {"value": value}
    measured = given.get("value")
    if isinstance(measured, bool) or not isinstance(measured, (int, float)) or not math.isfinite(measured):
        return None
    metric = {"value": measured, "unit": str(given.get("unit") or "")}
    if given.get("better") in ("higher", "lower"):
        metric["better"] = given["better"]
    return metric
