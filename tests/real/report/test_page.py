# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of stored runs, in a browser: what it shows, to keys and fingers too, and what it does not let in."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._write import write_reports

from report.browser import Browser
from report.checks import PAGE_LIMIT, check_files, check_page, read_summary
from report.enlarge import enlarge

Sample = t.Callable[[str], Path]

SHAPES = "[...document.querySelectorAll('.lane[data-node=\"%s\"] title')].map(title => title.textContent.split(',')[0])"
OPEN = "[...document.querySelectorAll('details[open]')].map(box => box.id).filter(id => id)"
TOLD = "document.querySelector('#told').hidden ? null : document.querySelector('#told').textContent"


@pytest.mark.parametrize("name", ["good", "fails", "lost", "six"])
def test_the_page_of_a_run(name: str, sample: Sample, browser: Browser) -> None:
    submission = sample(name)
    assert write_reports(submission) == (submission / "report.html", True)
    check_files(submission)
    check_page(browser, submission)
    assert write_reports(submission) == (submission / "report.html", False), "the same files make the same page"


def test_the_timeline_tells_all_that_a_node_did(sample: Sample, browser: Browser) -> None:
    browser.open(write_reports(sample("good"))[0])
    assert browser.value(SHAPES % "client-1") == [
        "prepared the machine",
        "bound the direct links",
        "setup tune",
        "test measures",
        "stopped",
        "waited at start",
        "waited at ready",
        "waited at halfway",
        "waited at finish",
        "monitor counts",
    ]
    assert "started daemon answers" in browser.value(SHAPES % "server-1")
    marks = browser.value("[...document.querySelectorAll('.axis text')].map(text => text.textContent)")
    assert {"start", "ready", "finish", "0 s"} <= set(marks)
    headings = browser.value("[...document.querySelectorAll('h3')].map(heading => heading.textContent)")
    assert headings == ["Numbers", "Timeline", "Nodes and scripts", "Who waited for whom"]
    rows = browser.value("[...document.querySelectorAll('table')].at(-1).innerText").splitlines()
    assert [row.split("\t")[0] for row in rows if "\t" in row] == ["barrier", "start", "ready", "finish"], (
        "at halfway nobody waited for a tenth of a second"
    )


def test_the_timeline_shows_what_was_stopped(sample: Sample, browser: Browser) -> None:
    browser.open(write_reports(sample("fails"))[0])
    assert browser.value("document.querySelectorAll('.lane[data-node=\"client-2\"] .f').length") == 1
    assert "test fails was stopped" in browser.value(SHAPES % "client-1")
    assert browser.value("document.querySelector('text.aborted').textContent") == "abort"
    assert browser.value("document.querySelector('.lane[data-node=\"client-1\"] .x') !== null")
    assert browser.value(OPEN) == ["run-1-node-3"], "the node that failed is open"


def test_scripts_cannot_write_markup(sample: Sample, browser: Browser) -> None:
    submission = sample("good")
    tail = '</pre></script><script>document.title = "taken over"</script><img src=x onerror="document.title=1">'
    summary = read_summary(submission)
    summary["job"] = f"jobs/{tail}"
    run = summary["runs"][0]
    run["params"] = {tail: tail}
    node = run["nodes"]["client-1"]
    node["roles"] = [tail]
    node["scripts"][0].update(name=tail, failure=tail, tail=tail, metrics={tail: {"value": 1, "unit": tail}})
    run["reason"] = {"node": "client-1", "script": node["scripts"][0]["id"], "exit_code": 1, "text": tail}
    run["result"] = summary["result"] = "abort"
    (submission / "summary.json").write_text(json.dumps(summary))
    folder = submission / "runs/1/nodes/client-1" / node["scripts"][0]["id"]
    (folder / "stdout").write_bytes(tail.encode() + b"\x00\x1b[31mred\x1b[0m\xff\r\n")
    (folder / "<b>odd & 'named'.txt").write_text("left behind")
    page = write_reports(submission)[0]
    browser.open(page)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.value("document.title") == f"abort: {tail.rpartition('/')[2]}"
    assert browser.value("document.querySelectorAll('img, script').length") == 1
    assert "<script>document.title" in browser.value("document.querySelector('#run-1 pre').textContent")
    assert "red\ufffd" in browser.value("document.body.textContent")
    assert browser.value("[...document.querySelectorAll('a')].some(link => link.textContent.startsWith('<b>odd'))")


def test_what_a_test_prints_stays_text(sample: Sample, browser: Browser) -> None:
    browser.open(write_reports(sample("good"))[0], fragment="run-1-node-2")
    printed = "[...document.querySelectorAll('#run-1-node-2 pre')].map(log => log.textContent)"
    assert '<script>document.title = "taken over"</script>' in browser.value(printed)
    assert "red 5%\r100% done".rpartition("\r")[2] in browser.value(printed), "as a terminal shows it"
    assert browser.value(OPEN) == ["run-1-node-2"], "the address leads into the fold"


def test_keys_lead_through_the_timeline(sample: Sample, browser: Browser) -> None:
    browser.open(write_reports(sample("good"))[0])
    assert browser.value(TOLD) is None
    browser.value("document.querySelector('.timeline').focus()")
    browser.press("ArrowRight")
    assert browser.value(TOLD).startswith("server-1: prepared the machine, ")
    browser.press("ArrowRight")
    assert browser.value(TOLD).startswith("server-1: bound the direct links, ")
    browser.press("ArrowDown", "ArrowDown")
    assert browser.value(TOLD).startswith("client-2: bound the direct links, ")
    browser.press("ArrowLeft")
    assert browser.value(TOLD).startswith("client-2: prepared the machine, ")
    browser.press("Escape")
    assert browser.value(TOLD) is None


def test_long_logs_are_cut_with_a_link_to_the_file(sample: Sample, browser: Browser) -> None:
    submission = sample("good")
    log = submission / "runs/1/nodes/client-2/test-measures/stdout"
    log.write_text("".join(f"line {number} of <many>\n" for number in range(500_000)))
    page = write_reports(submission)[0]
    assert page.stat().st_size < 200_000
    browser.open(page)
    link = "document.querySelector('#run-1-node-3 a[href$=\"test-measures/stdout\"]')"
    assert browser.value(f"{link}.textContent") == "the whole file"
    text = browser.value(f"{link}.closest('details').querySelector('pre').textContent")
    assert text.startswith("line ")
    assert text.endswith("line 499999 of <many>")


@pytest.fixture
def large(sample: Sample, tmp_path: Path) -> Path:
    return enlarge(sample("good"), tmp_path / "large", nodes=50, runs=20, log="a <line> of the log & more\n" * 200)


@pytest.mark.timeout(300)
def test_fifty_nodes_in_twenty_runs(large: Path, browser: Browser) -> None:
    page = write_reports(large)[0]
    assert page.stat().st_size < PAGE_LIMIT
    check_files(large)
    check_page(browser, large)
    browser.open(page)
    assert browser.value("document.querySelectorAll('.lane').length") == 1000
    assert browser.value("document.querySelectorAll('table')[0].rows.length") == 21
    assert browser.value(OPEN) == ["run-1"], "of many runs one is open"
    browser.value(
        "(() => { const find = document.querySelector('input'); find.value = 'client-17';"
        " find.dispatchEvent(new Event('input')); })()"
    )
    assert browser.value("[...document.querySelectorAll('.lane')].filter(lane => !lane.hidden).length") == 20


def test_a_page_of_little(sample: Sample, browser: Browser) -> None:
    """Of a run that ended before it began there is a page too."""
    submission = sample("lost")
    summary = read_summary(submission)
    run = summary["runs"][0]
    run.update(started=None, finished=None, barriers={})
    run["reason"] = summary["reason"] = {"node": None, "script": None, "exit_code": None, "text": "nobody came"}
    for node in run["nodes"].values():
        node.update(state="registered", ip=None)
        for script in node["scripts"]:
            script.update(started=None, finished=None, exit_code=None, stopped=False)
    (submission / "summary.json").write_text(json.dumps(summary))
    for path in (submission / "runs").rglob("*"):
        if path.is_file():
            path.unlink()
    browser.open(write_reports(submission)[0])
    assert browser.complaints() == []
    assert "nobody came" in browser.value("document.querySelector('.reason').textContent")
    assert browser.value("document.querySelectorAll('.lane').length") == len(run["nodes"])


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"submission_id": "x", "runs": []}'])
def test_what_is_no_submission(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(InputError, match="summary.json"):
        write_reports(tmp_path)
