# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command is ended in the middle of a test: the machines are clean within seconds, and nobody has to ask for it."""

from __future__ import annotations

import time
import typing as t

import pytest

from support.contract import check_shape
from support.plays import Play
from support.sites import Site, new_site

JOB = """\
cluster: some-machines
if role server:
  serve:
if role client:
  work:
ready:
  serve: {file: up}
"""
SERVE = "touch up; setsid --fork sleep 600; exec sleep 600"
WORK = "head -c 300000 /dev/zero >$RESULT_ROOT/large; echo here; trap '' TERM; sleep 600; sleep 600"
LIMIT = 100000
WAYS: dict[str, t.Callable[[Play], t.Any]] = {"Ctrl-C": Play.interrupt, "kill -9": Play.kill}


@pytest.mark.parametrize(("connection", "way"), [("netns", "Ctrl-C"), ("ssh", "kill -9")])
def test_ended_in_the_middle_of_a_test(only_root: None, tmp_path: t.Any, connection: str, way: str) -> None:
    with new_site(tmp_path, ssh=connection == "ssh") as site:
        play = start_and_wait_for_tests(site)
        WAYS[way](play)
        ended = time.monotonic()
        site.assert_clean(play, seconds=10)
        assert time.monotonic() - ended < 15
        assert play.wait(5) != 0
        check_results(play)


def start_and_wait_for_tests(site: Site) -> Play:
    site.cluster({"server-1": ["server"], "client-1": ["client"], "client-2": ["client"]})
    job = site.job(JOB, daemon_serve=SERVE, tests_work=WORK)
    play = site.start(job, variables={"multidevice_results_limit": LIMIT})
    for node in ("client-1", "client-2"):
        site.wait_for_script(play, node, "test-work", 90)
    busy = site.look("server-1")
    assert busy["cards"] != site.untouched["server-1"]["cards"]
    assert busy["hosts"] != site.untouched["server-1"]["hosts"]
    assert len(busy["processes"]) > len(site.untouched["server-1"]["processes"])
    return play


def check_results(play: Play) -> None:
    """What is known of the run is kept, with the reason of its end."""
    summary = play.summary
    check_shape(summary)
    assert summary["result"] == "abort"
    assert "ended before the run did" in summary["runs"][0]["reason"]["text"]
    for node in ("client-1", "client-2"):
        results = play.submission / "runs" / "1" / "nodes" / node
        assert 0 < (results / "test-work" / "large").stat().st_size < LIMIT
        (note,) = summary["runs"][0]["nodes"][node]["notes"]
        assert note.endswith(f"of 300000 bytes, the limit for a node is {LIMIT} bytes")
