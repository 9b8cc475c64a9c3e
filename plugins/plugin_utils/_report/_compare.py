# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import math
import os
import string
import typing as t
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _template
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._page import View, shares, value_cell
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._store import Submission
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import matrix, metrics

Record = t.Mapping[str, t.Any]
Key = tuple[tuple[str, str], ...]  # the names and values of a run's parameters


class Comparison:
    """Two or more submissions side by side; the first is what the others are compared with.

    Runs belong together when their parameters are the same, or when each submission has but one run. Of runs that a
    submission repeats, the first belongs to the first of the others, the second to their second.
    """

    def __init__(self, submissions: Sequence[Submission]) -> None:
        if not 2 <= len(submissions) <= len(string.ascii_uppercase):
            raise InputError(f"submissions: {len(submissions)} were given; right would be 2 to 26 that are compared")
        self.submissions = submissions
        self.letters = string.ascii_uppercase[: len(submissions)]
        self.groups = list(self._groups())

    def page(self, folder: Path) -> str:
        """The comparison as a page that lies in a folder."""
        return _template.render(
            "compare.html.j2",
            title=f"{len(self.submissions)} submissions compared",
            submissions=[self._about(number, folder) for number in range(len(self.submissions))],
            groups=[{"title": title, "rows": [_row(*row) for row in rows]} for title, rows in self.groups],
        )

    def table(self) -> str:
        """The comparison for a terminal."""
        lines = [
            f"{letter}: {one.summary['submission_id']}  {one.summary['job']}"
            for letter, one in zip(self.letters, self.submissions, strict=True)
        ]
        for title, rows in self.groups:
            lines += ["", title]
            for column, cells in rows:
                texts = []
                for letter, cell in zip(self.letters, cells, strict=True):
                    change = difference(cells[0], cell) if letter != "A" else ""
                    texts.append(
                        f"{letter} {metrics.number(cell.mean) if cell else '-'}{f' ({change})' if change else ''}"
                    )
                unit = f" ({column.unit})" if column.unit else ""
                lines.append(f"  {column.label}{unit}: {', '.join(texts)}")
        return "\n".join(lines)

    def _about(self, number: int, folder: Path) -> View:
        submission = self.submissions[number]
        summary = submission.summary
        report = submission.folder / "report.html"
        return {
            "letter": self.letters[number],
            "id": summary["submission_id"],
            "href": quote(os.path.relpath(report, folder)) if report.is_file() else "",
            "job": summary["job"],
            "result": summary["result"],
            "runs": len(summary["runs"]),
            "started": min((run["started"] for run in summary["runs"] if run["started"] is not None), default=None),
        }

    def _groups(self) -> t.Iterator[tuple[str, list[tuple[matrix.Column, list[matrix.Cell | None]]]]]:
        of_all = [one.summary["runs"] for one in self.submissions]
        single = all(len(runs) == 1 for runs in of_all)
        keys = [_repeated(() if single else _key(run) for run in runs) for runs in of_all]
        columns = matrix.columns([run for runs in of_all for run in runs])
        for key in dict.fromkeys(key for row in keys for key in row):
            chosen = [
                next((run for run, own in zip(runs, row, strict=True) if own == key), None)
                for runs, row in zip(of_all, keys, strict=False)
            ]
            nothing: list[matrix.Cell | None] = [None] * len(columns)
            of_runs = [matrix.cells(run, columns) if run else nothing for run in chosen]
            rows = [
                (column, list(row)) for column, row in zip(columns, zip(*of_runs, strict=True), strict=True) if any(row)
            ]
            if rows:
                yield _title(*key), rows


def difference(base: matrix.Cell | None, cell: matrix.Cell | None) -> str:
    """By how much a number differs from the first submission's, in percent."""
    if base is None or cell is None or not base.mean:
        return ""
    change = 0.0 if _is_same(base, cell) else (cell.mean - base.mean) / abs(base.mean)
    return f"{100 * change:+.1f} %"


def _row(column: matrix.Column, cells: Sequence[matrix.Cell | None]) -> View:
    bars = shares([matrix.mean(cell) for cell in cells])
    views = []
    for cell, share in zip(cells, bars, strict=True):
        view = value_cell(cell, share)
        if view is not None:
            view.update(difference=difference(cells[0], cell), judged=_judged(column, cells[0], cell))
        views.append(view)
    return {"label": column.label, "unit": column.unit, "cells": views}


def _judged(column: matrix.Column, base: matrix.Cell | None, cell: matrix.Cell | None) -> str:
    if not column.better or base is None or cell is None or _is_same(base, cell):
        return ""
    return "better" if (cell.mean > base.mean) == (column.better == "higher") else "worse"


def _is_same(base: matrix.Cell, cell: matrix.Cell) -> bool:
    # The same numbers in another order may add up to another last digit.
    return math.isclose(base.mean, cell.mean)


def _key(run: Record) -> Key:
    return tuple(sorted((name, matrix.word(value)) for name, value in run["params"].items()))


def _repeated(keys: t.Iterable[Key]) -> list[tuple[Key, int]]:
    """The keys, and which repetition of it each is."""
    counts: Counter[Key] = Counter()
    found = []
    for key in keys:
        counts[key] += 1
        found.append((key, counts[key]))
    return found


def _title(key: Key, repetition: int) -> str:
    title = ", ".join(f"{name} {value}" for name, value in key) or "All numbers"
    return title if repetition == 1 else f"{title}, repetition {repetition}"
