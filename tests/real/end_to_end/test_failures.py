# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong in a run: each ends the whole run at once, says what it was, and leaves nothing behind."""

from __future__ import annotations

import re
import time
import typing as t

from support.contract import check_shape, check_times, scripts_of
from support.plays import Play
from support.redis_server import RedisServer
from support.sites import Site

NODES = {"server-1": ["server"], "client-1": ["client"], "client-2": ["other"]}
# The last machine's test ends only when it is ended, and so does what it has sent into the background.
JOB = """\
cluster: some-machines
if role server:
  serve:
if role client:
  work:
if role other:
  linger:
ready:
  serve: {file: up}
"""
SERVE = "touch up; exec sleep 600"
LINGER = "echo here; trap '' TERM; setsid --fork sleep 600; sleep 600 & wait; wait; sleep 600"


def check_abort(
    site: Site,
    play: Play,
    text: str,
    *,
    node: str | None = None,
    script: str | None = None,
    exit_code: int | None = None,
    lost: t.Container[str] = (),
) -> dict[str, t.Any]:
    """The exit code, the one sentence on the terminal, the summary, and clean machines. Returns the run's summary."""
    assert play.process.returncode not in (0, None), play.output
    summary = play.summary
    check_shape(summary)
    check_times(summary, play.started, time.time())
    run: dict[str, t.Any] = summary["runs"][0]
    assert (summary["result"], run["result"]) == ("abort", "abort"), play.output
    reason = {key: run["reason"][key] for key in ("node", "script", "exit_code", "text")}
    assert reason == {"node": node, "script": script, "exit_code": exit_code, "text": text}, play.output
    where = f"{node}: " if node and node not in text else ""
    assert f"{summary['submission_id']}: abort: {where}{text}" in play.output.splitlines(), play.output
    site.assert_clean(play, lost=lost)
    return run


def test_a_daemon_that_does_not_start(site: Site) -> None:
    site.cluster(NODES)
    broken = 'echo "listening"; echo "no such disk" >&2; exit 7'
    play = site.run(site.job(JOB, daemon_serve=broken, tests_work="exit 0", tests_linger="exit 0"))
    text = "daemon script serve ended with exit code 7: no such disk"
    run = check_abort(site, play, text, node="server-1", script="daemon-serve", exit_code=7)
    assert [script["name"] for _node, script in sorted(scripts_of(run).items())] == ["serve"]
    assert {node["state"] for node in run["nodes"].values()} == {"abort"}
    folder = play.submission / "runs" / "1" / "nodes" / "server-1" / "daemon-serve"
    assert (folder / "stdout").read_text() == "listening\n"
    assert (folder / "stderr").read_text() == "no such disk\n"


def test_a_daemon_that_dies_during_the_tests(site: Site) -> None:
    site.cluster(NODES)
    mortal = "touch up; until [ -e /tmp/end ]; do sleep 0.1; done; rm /tmp/end; exit 9"
    play = site.start(site.job(JOB, daemon_serve=mortal, tests_work="echo here; exec sleep 600", tests_linger=LINGER))
    for node, script in (("client-1", "test-work"), ("client-2", "test-linger")):
        site.wait_for_script(play, node, script)
    site.lab.exec("server-1", ["touch", "/tmp/end"])
    play.wait()
    text = "daemon serve ended during the run with exit code 9"
    run = check_abort(site, play, text, node="server-1", script="daemon-serve", exit_code=9)
    assert len(check_stopped(run, since=scripts_of(run)["server-1", "serve"])) == 2


def test_a_test_that_fails(site: Site) -> None:
    site.cluster(NODES)
    failing = 'sleep 1; echo "2 of 5 checks failed" >&2; exit 3'
    play = site.run(site.job(JOB, daemon_serve=SERVE, tests_work=failing, tests_linger=LINGER))
    text = "test script work ended with exit code 3: 2 of 5 checks failed"
    run = check_abort(site, play, text, node="client-1", script="test-work", exit_code=3)
    assert len(check_stopped(run, since=scripts_of(run)["client-1", "work"])) == 2


def check_stopped(run: t.Mapping[str, t.Any], since: t.Mapping[str, t.Any]) -> list[t.Mapping[str, t.Any]]:
    """Every other script was ended within two seconds, also one that does not listen to TERM. Returns them."""
    others = [script for script in scripts_of(run).values() if script is not since]
    for script in others:
        assert script["stopped"] and script["exit_code"] != 0
        assert script["finished"] - since["finished"] < 2, script
    return others


def test_a_machine_that_cannot_be_reached(site: Site) -> None:
    site.cluster(NODES)
    site.lab.power_off("client-2")
    play = site.run(site.job(JOB, daemon_serve=SERVE, tests_work="exit 0", tests_linger="exit 0"))
    assert play.process.returncode not in (0, None)
    run = play.summary["runs"][0]
    assert run["reason"]["node"] == "client-2"
    check_abort(site, play, run["reason"]["text"], node="client-2", lost=["client-2"])
    assert "client-2 cannot be reached" in run["reason"]["text"]
    assert "nothing is prepared" not in play.output
    assert not scripts_of(run)


def test_a_machine_that_is_lost_during_its_test(site: Site) -> None:
    site.cluster(NODES)
    job = site.job(
        JOB, daemon_serve=SERVE, tests_work="echo here; exec sleep 600", tests_linger="echo here; exec sleep 600"
    )
    play = site.start(job, variables={"multidevice_lease": 4})
    site.wait_for_script(play, "client-2", "test-linger")
    site.lab.power_off("client-2")
    play.wait(60)
    run = play.summary["runs"][0]
    check_abort(site, play, run["reason"]["text"], node="client-2", lost=["client-2"])
    assert re.fullmatch(r"node client-2 not heard from for [2-9] s", run["reason"]["text"])


def test_a_machine_that_is_cut_off_during_its_test(ssh_site: Site) -> None:
    """It looks after itself, and the others do not wait for it longer than its lease."""
    site = ssh_site
    site.cluster(NODES)
    job = site.job(JOB, daemon_serve=SERVE, tests_work="echo here; exec sleep 600", tests_linger=LINGER)
    play = site.start(job, variables={"multidevice_lease": 4})
    site.wait_for_script(play, "client-2", "test-linger")
    site.lab.cut_management("client-2")
    try:
        site.wait_until_clean("client-2")
        play.wait(60)
    finally:
        site.lab.restore_management("client-2")
    run = play.summary["runs"][0]
    check_abort(site, play, run["reason"]["text"], node="client-2")
    assert re.fullmatch(r"node client-2 not heard from for [2-9] s", run["reason"]["text"])


def test_a_mac_that_no_device_has(site: Site) -> None:
    site.cluster(NODES, macs={"client-1": ["02:00:00:00:99:99"]})
    play = site.run(site.job(JOB, daemon_serve=SERVE, tests_work="exit 0", tests_linger="exit 0"))
    run = play.summary["runs"][0]
    text = run["reason"]["text"]
    check_abort(site, play, text, node="client-1")
    assert "02:00:00:00:99:99" in text
    assert not scripts_of(run)


def test_a_role_without_a_machine(site: Site, server: RedisServer) -> None:
    site.cluster({"server-1": ["server"], "client-1": ["client"]})
    job = site.job(JOB, daemon_serve=SERVE, tests_work="exit 0", tests_linger="exit 0")
    play = site.run(job, variables={"multidevice_redis_url": server.url})
    assert play.process.returncode not in (0, None)
    number = JOB.splitlines().index("if role other:") + 1
    sentence = f'{job}, line {number}, key "if role other": no node of cluster "some-machines"'
    assert f'{sentence} ({job.parent}/cluster/some-machines) has the role "other".' in play.output, play.output
    assert not server.client().keys("*")
    assert not play.results.exists()
    assert "changed=0" in play.output and "changed: [" not in play.output
    site.assert_clean(play, seconds=5)
