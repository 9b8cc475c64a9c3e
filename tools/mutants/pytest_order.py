# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plugin of pytest: what noticed a fault before is run first, what takes long last; and it tells what failed."""

from __future__ import annotations

import json
import os
import pathlib

import pytest
from hypothesis.internal.conjecture import engine

# {"first": [test, ...], "seconds": {test: ...}}; written at the end with what failed and how long each test took.
NOTES = pathlib.Path(os.environ["MUTANTS_NOTES"])
SLOW = 2.0

failed: list[str] = []
seconds: dict[str, float] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Whether an example fails is all that counts here, not how small it can be.
    engine.MAX_SHRINKING_SECONDS = 0
    notes = json.loads(NOTES.read_text()) if NOTES.exists() else {}
    first = {name: place for place, name in enumerate(notes.get("first", []))}
    took: dict[str, float] = notes.get("seconds", {})
    files: dict[str, float] = {}
    for item in items:
        files[file_of(item)] = files.get(file_of(item), 0) + took.get(item.nodeid, 0)
    # Tests of a file stay together, since they share what was set up for them.
    items.sort(
        key=lambda item: (
            first.get(item.nodeid, len(first)),
            took.get(item.nodeid, 0) > SLOW,
            files[file_of(item)],
        )
    )


def file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    seconds[report.nodeid] = seconds.get(report.nodeid, 0) + report.duration
    if report.failed:
        failed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    NOTES.write_text(json.dumps({"failed": failed, "seconds": seconds}))
