# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that is told of recorded runs, byte for byte as it was told before.

With UPDATE_SAMPLES=1 in its environment, it writes what is told now into samples/expected/. recorded.py records runs.
"""

from __future__ import annotations

import os
import time
import typing as t
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.results import read_runs
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress import _grouped_notes
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._follow import follow
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._grouped_notes import GroupedNotes
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import RunView
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._screen import picture
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._write import write_comparison, write_reports
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.write import write_results

from report.recorded import play_back
from support.newest_server import newest_server
from support.redis_server import RedisServer

EXPECTED = Path(__file__).parent / "samples" / "expected"
NAMES = ("good", "fails", "lost", "aborted", "matrix", "queue")
RUNS_OF_SCREENS = ("good", "aborted", "lost")

Plan = t.Mapping[str, t.Any]


@pytest.fixture(scope="module")
def server() -> t.Iterator[RedisServer]:
    with newest_server() as one:
        yield one


@pytest.fixture
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in {"TZ": "UTC", "COLUMNS": "100", "LINES": "30"}.items():
            patch.setenv(name, value)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("plain_terminal")
@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_run_is_told_as_before(
    name: str, sample: t.Callable[[str], Path], server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sample(f"recorded/{name}")
    plan = play_back(server.client(), folder)
    folder = folder.rename(folder.with_name(plan["submission_id"]))
    with closing(Coordinator.connect(RedisSettings(url=server.url))) as coordinator:
        told = _results(coordinator, plan, folder)
        told["followed.txt"] = "".join(_followed(coordinator, plan))
        told["progress.txt"] = "".join(_progress(coordinator, plan, monkeypatch, screens=name in RUNS_OF_SCREENS))
    _compare(EXPECTED / name, told)


@pytest.mark.usefixtures("plain_terminal")
def test_recorded_submissions_are_compared_as_before(sample: t.Callable[[str], Path], tmp_path: Path) -> None:
    folders = [sample(name) for name in ("six", "good", "recorded/matrix")]
    page, table, _changed = write_comparison(folders, tmp_path / "compared.html")
    _compare(EXPECTED / "compared", {"table.txt": f"{table}\n", "compared.html": page.read_text(encoding="utf-8")})


def _compare(expected: Path, told: t.Mapping[str, str]) -> None:
    if os.environ.get("UPDATE_SAMPLES"):
        expected.mkdir(parents=True, exist_ok=True)
        for name, text in told.items():
            (expected / name).write_bytes(text.encode())
    assert sorted(told) == sorted(path.name for path in expected.iterdir())
    for name, text in told.items():
        assert text == (expected / name).read_bytes().decode(), f"{expected / name}"


def _results(coordinator: Coordinator, plan: Plan, folder: Path) -> dict[str, str]:
    """What is written and shown when a submission is over."""
    for stale in ("summary.json", *(f"runs/{run['number']}/events.jsonl" for run in plan["runs"])):
        (folder / stale).unlink()
    told = write_results(plan, str(folder.parent), read_runs(coordinator.history, plan))
    write_reports(folder)
    files = {name: (folder / name).read_bytes().decode() for name in ("summary.json", "report.html", "junit.xml")}
    states = sorted(folder.glob("runs/*/nodes/*/last_state"))
    return {
        **files,
        "terminal.txt": "\n\n".join([*filter(None, (told["table"], told["last_words"])), f"{told['verdict']}\n"]),
        "last_state.txt": "".join(f"{path.relative_to(folder)}\n{path.read_text(encoding='utf-8')}" for path in states),
    }


def _followed(coordinator: Coordinator, plan: Plan) -> t.Iterator[str]:
    """What somebody reads who follows the runs when all is over."""
    for run in plan["runs"]:
        for text, outcome in follow(coordinator, run["cluster_id"], timeout=60):
            yield f"{text}{f'  [{outcome}]' if outcome else ''}\n"


def _progress(
    coordinator: Coordinator, plan: Plan, monkeypatch: pytest.MonkeyPatch, *, screens: bool
) -> t.Iterator[str]:
    """The lines of the callback, and what is at the end of the terminal in between, as if it were happening now."""
    names = {run["cluster_id"]: f"run {run['number']} of {len(plan['runs'])}" for run in plan["runs"]}
    views = {
        run["cluster_id"]: RunView(
            run["cluster_id"],
            {node["node"]: node["roles"] for node in run["nodes"]},
            name=names[run["cluster_id"]] if len(names) > 1 else "",
        )
        for run in plan["runs"]
    }
    notes, shown = GroupedNotes(), [""]
    positions = dict.fromkeys(views, "0")
    for cluster_id, event in coordinator.history.follow(positions, 1):
        # The clock of the run.
        monkeypatch.setattr(_grouped_notes.time, "monotonic", lambda now=event["time"]: now)
        yield from _lines(notes)
        for note in views[cluster_id].take(event):
            notes.add(views[cluster_id], note, at=event["time"])
        lines = picture(list(views.values()), event["time"], about="what Ansible does")
        if screens and lines != shown:
            shown = lines
            yield from (f"    |{line}\n" for line in lines)
            yield "\n"
    yield from _lines(notes, everything=True)


def _lines(notes: GroupedNotes, *, everything: bool = False) -> t.Iterator[str]:
    for text, outcome in notes.lines(everything=everything):
        yield f"{text}{f'  [{outcome}]' if outcome else ''}\n"
