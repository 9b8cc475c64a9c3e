# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""playbooks/report.yml: a page made again, and submissions compared."""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path

import pytest

from report.browser import Browser
from report.checks import FAULTS, check_page, read_summary
from support.plays import Play
from support.repository import REPOSITORY

Sample = t.Callable[[str], Path]
CELLS = """[...document.querySelectorAll('h2')].map(head => [head.textContent,
  [...head.nextElementSibling.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))])"""


@pytest.fixture
def report(tmp_path: Path) -> t.Iterator[t.Callable[..., Play]]:
    """Types `ansible-playbook report.yml` and waits for it."""
    plays = []

    def run(**variables: t.Any) -> Play:
        play = Play(tmp_path, "report.yml", cwd=REPOSITORY / "playbooks", variables=variables)
        plays.append(play)
        play.wait()
        return play

    yield run
    for play in plays:
        play.end()


def faster(submission: Path, name: str, factor: float) -> Path:
    """The same submission again, with other numbers."""
    again = Path(shutil.copytree(submission, submission.with_name(name)))
    summary = read_summary(again)
    summary["submission_id"] = name
    for run in summary["runs"]:
        for node in run["nodes"].values():
            for script in node["scripts"]:
                for metric in script.get("metrics", {}).values():
                    metric["value"] *= factor
    (again / "summary.json").write_text(json.dumps(summary))
    return again


def test_a_page_is_made_again(report: t.Callable[..., Play], sample: Sample, browser: Browser) -> None:
    submission = sample("fails")
    play = report(submission=submission.name, multidevice_results_dir=str(submission.parent))
    assert play.process.returncode == 0, play.output
    assert f"report: {submission}/report.html" in play.output
    assert "changed=1" in play.output
    check_page(browser, submission)
    again = report(submission=str(submission))
    assert "changed=0" in again.output, "a path names a submission too"


def test_submissions_are_compared(report: t.Callable[..., Play], sample: Sample, browser: Browser) -> None:
    first = sample("six")
    faster(first, "second", 1.5)
    report(submission=str(first))
    play = report(submissions=[first.name, "second"], multidevice_results_dir=str(first.parent))
    assert play.process.returncode == 0, play.output
    assert "throughput (MB/s): A 27.5, B 41.25 (+50.0 %)" in play.output
    page = next(first.parent.glob("compare-*-second.html"))
    assert f"report: {page}" in play.output
    browser.open(page)
    assert browser.complaints() == []
    assert browser.value(FAULTS) == []
    groups = browser.value(CELLS)
    assert [title for title, _rows in groups] == [
        f"disk {disk}, size {size}" for size in (1, 2, 3) for disk in ("ssd", "hdd")
    ]
    assert groups[0][1] == [
        ["throughput, MB/s", "27.5", "41.25", "+50.0 %"],
        ["latency, ms", "0.15", "0.225", "+50.0 %"],
    ]
    judged = browser.value("[...document.querySelectorAll('.better, .worse')].map(cell => cell.className)")
    assert judged == ["number better", "number worse"] * 6
    links = browser.value("[...document.querySelectorAll('a[href]')].map(link => link.getAttribute('href'))")
    assert links == ["#main", "six/report.html"], "only what there is"


def test_single_runs_are_compared_whatever_their_parameters(
    report: t.Callable[..., Play], sample: Sample, tmp_path: Path
) -> None:
    first = sample("good")
    second, third = faster(first, "second", 0.5), faster(first, "third", 1.0)
    dest = tmp_path / "page.html"
    # As -e 'submissions=[…]' gives it.
    play = report(submissions=f"[{first},{second},{third}]", multidevice_report=str(dest))
    assert "throughput (MB/s): A 102.5, B 51.25 (-50.0 %), C 102.5 (+0.0 %)" in play.output
    assert dest.is_file()


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"submission": "nothing-here"}, "no submission nothing-here"),
        ({"submissions": ["good"]}, "right would be 2 to 26"),
        ({}, "one of the following is required"),
    ],
)
def test_what_cannot_be_reported(
    report: t.Callable[..., Play], sample: Sample, variables: dict[str, t.Any], says: str
) -> None:
    play = report(multidevice_results_dir=str(sample("good").parent), **variables)
    assert play.process.returncode != 0
    assert says in play.output
