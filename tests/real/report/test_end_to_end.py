# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs from the command line to the page: a good run, a failed one, one whose machine is lost, a submission of six."""

from __future__ import annotations

import json
import re
from pathlib import Path

from report.browser import Browser
from report.checks import check_files, check_page
from support.plays import Play
from support.sites import Site, new_site

JOBS = Path(__file__).parent / "site"
PROGRESS = "lab.multidevice.progress"


def run(site: Site, name: str, seconds: float = 120, **variables: object) -> Play:
    assert site.lab is not None
    play = site.start(
        JOBS / f"{name}.yaml",
        variables={"multidevice_cluster": str(site.lab.cluster_file), **variables},
        ANSIBLE_STDOUT_CALLBACK=PROGRESS,
    )
    play.wait(seconds)
    return play


def steps(play: Play) -> list[str]:
    """What the terminal said of the run, without the time of day and without how long it took."""
    lines = re.findall(r"^\d\d:\d\d:\d\d (.*)$", play.output, re.MULTILINE)
    return [re.sub(r" \([^()]* (s|min)\)$", "", line) for line in lines]


def test_a_good_run(site: Site, browser: Browser) -> None:
    play = run(site, "good")
    assert play.process.returncode == 0, play.output
    check_files(play.submission)
    check_page(browser, play.submission)
    submission = play.submission.name
    assert steps(play)[0] == f"{submission}: {JOBS}/good.yaml, 3 nodes (1 server, 2 client)"
    said = steps(play)[1:]
    assert said[0] == "start: 3 nodes together"
    assert "server-1: daemon answers is ready" in said
    assert "client-1, client-2: test measures runs" in said
    assert "halfway: 2 nodes together" in said
    assert "client-1, client-2: test measures has ended" in said
    assert said[-1].startswith("finish after ")
    output = play.output
    assert "\x1b" not in output, "a log file is no terminal"
    assert not re.search(r"TASK \[|PLAY \[|skipping|included|RECAP", output), output
    assert output.rstrip().endswith(f"report: {play.submission}/report.html\n{submission}: finish")


def test_a_failed_run(site: Site, browser: Browser) -> None:
    play = run(site, "fails")
    assert play.process.returncode != 0
    check_files(play.submission)
    check_page(browser, play.submission)
    assert "client-2: test fails ended with exit code 3" in steps(play)
    assert play.output.count("the disk is gone") == 3, "in the abort's line, as the script's last words, in the verdict"
    assert "the last lines of test fails (client-2):" in play.output
    assert browser.value("document.querySelector('.reason').innerText").startswith("client-2: test script fails ended")


def test_a_run_whose_machine_is_lost(tmp_path: Path, browser: Browser) -> None:
    with new_site(tmp_path) as site:
        assert site.lab is not None
        variables = {"multidevice_cluster": str(site.lab.cluster_file), "multidevice_lease": 6}
        play = site.start(JOBS / "lost.yaml", variables=variables, ANSIBLE_STDOUT_CALLBACK=PROGRESS)
        site.wait_for_script(play, "client-2", "test-says")
        site.lab.power_off("client-2")
        assert play.wait() != 0
    check_files(play.submission)
    check_page(browser, play.submission)
    assert "abort: node client-2 not heard from" in play.output
    assert play.summary["reason"]["kind"] == "lost"


def test_six_runs(site: Site, browser: Browser) -> None:
    play = run(site, "six", 280)
    assert play.process.returncode == 0, play.output
    check_files(play.submission)
    check_page(browser, play.submission)
    assert [run["params"] for run in play.summary["runs"]] == [
        {"size": size, "disk": disk} for size in (1, 2, 3) for disk in ("ssd", "hdd")
    ]
    assert "run 6 of 6: finish after" in play.output
    assert f"{play.submission.name}: finish, all of 6 runs" in play.output


def test_a_good_run_with_warnings(site: Site, browser: Browser) -> None:
    play = run(site, "warns")
    assert play.process.returncode == 0, play.output
    check_files(play.submission)
    check_page(browser, play.submission)
    assert play.output.rstrip().endswith(f"{play.submission.name}: finish, 2 warnings")
    told = "test measures_badly: metrics.json is no JSON that can be read"
    assert f"2 warnings:\n  client-1, client-2: {told}" in play.output
    summary = json.loads((play.submission / "summary.json").read_text())
    assert [(each["run"], each["node"]) for each in summary["warnings"]] == [(1, "client-1"), (1, "client-2")]
    junit = (play.submission / "junit.xml").read_text()
    assert 'name="multidevice_warnings" value="2"' in junit and f"client-1, client-2: {told}" in junit
    assert "2 warnings</a>" in (play.submission / "report.html").read_text()


def test_warnings_can_count_as_failures(site: Site) -> None:
    play = run(site, "warns", multidevice_strict=True)
    assert play.process.returncode != 0, play.output
    summary = json.loads((play.submission / "summary.json").read_text())
    assert summary["result"] == "abort" and summary["reason"]["kind"] == "warnings"
    assert f"{play.submission.name}: abort, 2 warnings: client-1: warnings count as failures here" in play.output
    assert 'type="warnings"' in (play.submission / "junit.xml").read_text()
