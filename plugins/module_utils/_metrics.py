# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import math
import typing as t
from pathlib import Path

METRICS_LIMIT = 1048576

Metrics = dict[str, dict[str, t.Any]]


def read_metrics(folder: Path) -> Metrics:
    """The numbers that a script left in its result folder, ``{name: {"value", "unit"}}``; what is no number is left out.

    ``metrics.json`` holds ``{name: number}`` or ``{name: {"value": number, "unit": text}}``.
    """
    path = folder / "metrics.json"
    try:
        if path.stat().st_size > METRICS_LIMIT:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    found = {str(name): _metric(value) for name, value in content.items()}
    return {name: metric for name, metric in found.items() if metric is not None}


def _metric(value: t.Any) -> dict[str, t.Any] | None:
    given = value if isinstance(value, dict) else {"value": value}
    number = given.get("value")
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        return None
    return {"value": number, "unit": str(given.get("unit") or "")}
