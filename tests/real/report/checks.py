# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for the files and for the page of every submission."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import junitparser
import xmlschema

from report.browser import Browser

HERE = Path(__file__).parent
SCHEMA = HERE.parents[2] / "docs" / "summary.schema.json"
PAGE_LIMIT = 5_000_000

# What is wrong with a page that a look at its parts finds; an empty list when nothing is.
FAULTS = """(() => {
  const faults = [];
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  for (const id of ids.filter((id, place) => ids.indexOf(id) !== place)) faults.push('id twice: ' + id);
  for (const link of document.querySelectorAll('a[href^="#"]'))
    if (!document.getElementById(link.getAttribute('href').slice(1))) faults.push('leads nowhere: ' + link.outerHTML);
  for (const table of document.querySelectorAll('table'))
    if (!table.caption || !table.querySelector('th[scope=col]')) faults.push('not described: ' + table.outerHTML.slice(0, 200));
  for (const picture of document.querySelectorAll('svg'))
    if (!picture.hasAttribute('aria-hidden') && !(picture.getAttribute('role') === 'img' && picture.getAttribute('aria-label')))
      faults.push('not described: ' + picture.outerHTML.slice(0, 200));
  for (const field of document.querySelectorAll('input'))
    if (!field.labels.length) faults.push('no label: ' + field.outerHTML);
  if (document.querySelectorAll('script').length !== 1) faults.push('scripts: ' + document.querySelectorAll('script').length);
  if (document.querySelector('img, iframe, object, embed, form, base')) faults.push('markup that the page does not use');
  if (document.querySelector('[style*=":"]:not(#told)')) faults.push('styles that the page does not use');
  if (document.querySelectorAll('h1').length !== 1) faults.push('headings');
  if (!document.documentElement.lang) faults.push('no language');
  return faults;
})()"""

LANES = """[...document.querySelectorAll('[id^=run-].run')].map(run =>
  [...run.querySelectorAll('.lane')].map(lane => lane.dataset.node))"""


def read_summary(submission: Path) -> dict[str, t.Any]:
    summary: dict[str, t.Any] = json.loads((submission / "summary.json").read_text())
    return summary


def failed_scripts(summary: dict[str, t.Any]) -> list[tuple[int, str, dict[str, t.Any]]]:
    """Run, node and script of all failures."""
    return [
        (run["number"], name, script)
        for run in summary["runs"]
        for name, node in run["nodes"].items()
        for script in node["scripts"]
        if script.get("failure")
    ]


def check_files(submission: Path) -> None:
    """The summary fits its schema, the events can be read, the XML fits the common schema and counts right."""
    summary = read_summary(submission)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(summary, schema)
    for run in summary["runs"]:
        folder = submission / "runs" / str(run["number"])
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        assert {"registered", "write_state", "left"} <= {event["what"] for event in events}
        assert (folder / "job.yaml").is_file()
    check_junit(submission / "junit.xml", summary)


def check_junit(path: Path, summary: dict[str, t.Any]) -> None:
    xmlschema.XMLSchema(str(HERE / "junit.xsd")).validate(str(path))
    suites = list(junitparser.JUnitXml.fromfile(str(path)))
    assert [suite.name for suite in suites] == [run["cluster_id"] for run in summary["runs"]]
    for suite, run in zip(suites, summary["runs"], strict=True):
        cases = {(case.classname.rpartition(".")[2], case.name): case for case in suite}
        own = set(run["nodes"])
        scripts = [(name, script) for name in own for script in run["nodes"][name]["scripts"]]
        for name, script in scripts:
            case = cases[name, f"{script['kind']} {script['id'].partition('-')[2]}"]
            has_failed = any(isinstance(result, junitparser.Failure) for result in case.result)
            assert has_failed == bool(script.get("failure")), case
        assert suite.tests == len(cases)
        assert suite.failures == sum(bool(script.get("failure")) for _name, script in scripts)
        assert (suite.failures + suite.errors == 0) == (run["result"] == "finish")


def check_page(browser: Browser, submission: Path) -> None:
    """The page is whole by itself, shows all nodes, names what failed, and takes no script's output for its own."""
    summary = read_summary(submission)
    page = submission / "report.html"
    assert page.stat().st_size < PAGE_LIMIT
    browser.open(page)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.value(FAULTS) == []
    assert browser.value(LANES) == [list(run["nodes"]) for run in summary["runs"]]
    assert browser.value("[...document.querySelectorAll('.lane')].every(lane => lane.querySelector('rect'))")
    name = summary["job"].rpartition("/")[2]
    assert browser.value("document.title") == f"{summary['result']}: {name}"
    assert summary["result"] in browser.value("document.querySelector('.title .verdict').innerText")
    text = browser.value("document.body.textContent")
    for _run, node, script in failed_scripts(summary):
        assert f"{script['kind']} {script['name']}" in text
        assert script["failure"] in text
        assert node in browser.value("[...document.querySelectorAll('.name.failed')].map(name => name.textContent)")
    if summary["reason"]:
        assert summary["reason"]["text"] in browser.value("document.querySelector('.reason').textContent")
    check_links(browser, submission)
    for dark in (False, True):
        browser.open(page, width=360, dark=dark)
        assert browser.complaints() == []
        assert browser.value("document.documentElement.scrollWidth") == 360, "it fits a phone"
    check_theme(browser)


def check_links(browser: Browser, submission: Path) -> None:
    """Every link leads to a file that is there."""
    links = browser.value("[...document.querySelectorAll('a')].map(link => link.getAttribute('href'))")
    files = {unquote(link) for link in links if not link.startswith("#")}
    assert {"summary.json", "junit.xml"} <= files
    assert [name for name in files if not (submission / name).is_file()] == []


def check_theme(browser: Browser) -> None:
    """The page is dark now; what is written on it is light."""
    back, text = (
        sum(browser.value(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)"))
        for name in ("backgroundColor", "color")
    )
    assert back < 150 < 600 < text
