# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError

Event = dict[str, t.Any]


@dataclass(frozen=True)
class StoredRun:
    """One run as its files tell it."""

    folder: Path
    summary: dict[str, t.Any]
    events: list[Event]

    def script_folder(self, node: str, script: t.Mapping[str, t.Any]) -> Path:
        """Where a script's output and results are."""
        return self.folder / "nodes" / node / str(script["id"])


@dataclass(frozen=True)
class Submission:
    """One submission as its files tell it."""

    folder: Path
    summary: dict[str, t.Any]
    runs: list[StoredRun]


def load(folder: Path) -> Submission:
    """Read the results of a submission.

    :raises InputError: there are none, or they cannot be read.
    """
    path = folder / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: there are no results to read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: this is no summary of a submission: {error}") from error
    if not isinstance(summary, dict) or "submission_id" not in summary or not summary.get("runs"):
        raise InputError(f"{path}: this is no summary of a submission: it has no submission_id or no runs")
    runs = []
    for run in summary["runs"]:
        of_run = folder / "runs" / str(run["number"])
        runs.append(StoredRun(of_run, run, _events(of_run / "events.jsonl")))
    return Submission(folder, summary, runs)


def find(name: str, results: Path) -> Path:
    """The folder of a submission that is named by its id or by a path."""
    for folder in (results / name, Path(name).expanduser()):
        if (folder / "summary.json").is_file():
            return folder
    raise InputError(f"no submission {name}: neither {results / name} nor {name} holds a summary.json")


def _events(path: Path) -> list[Event]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line that was cut off when a disk was full costs this event only
        if isinstance(event, dict) and "time" in event and "what" in event:
            events.append(event)
    return events
