# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts on three machines that meet at barriers and exchange data while they run."""

from __future__ import annotations

import json
import time
import typing as t

from support.sites import Site

JOB = """
cluster: some-machines
if role server:
  talk:
if role client:
  talk:
"""

TALK = """
set -e
multidevice-barrier first --timeout 30
if [ "$node_roles" = server ]; then
    multidevice-send port 4711
    printf 'two\\nlines' | multidevice-send text
    multidevice-send text again
else
    test "$(multidevice-receive port --timeout 30)" = 4711
    test "$(multidevice-receive text)" = "$(printf 'two\\nlines')"
    test "$(multidevice-receive text)" = again
    multidevice-barrier among-clients --role client
    multidevice-barrier among-clients --role client
fi
multidevice-barrier last
date +%s.%N
if multidevice-receive never-sent --timeout 0.2; then exit 9; fi
if multidevice-barrier ready; then exit 8; fi
"""

ROLES: dict[str, list[str]] = {"server-1": ["server"], "client-1": ["client"], "client-2": ["client"]}

REFUSE = """
if [ "$(hostname)" = client-2 ]; then
    sleep 60
fi
multidevice-barrier together --timeout 4
"""


def read_summary(site: Site, results: t.Any) -> dict[str, t.Any]:
    summary: dict[str, t.Any] = json.loads(next(results.glob("*/summary.json")).read_text())
    return summary


def test_scripts_meet_and_talk(site: Site) -> None:
    site.cluster(ROLES)
    play = site.run(site.job(JOB, tests_talk=TALK))
    assert play.process.returncode == 0, play.output
    outputs = [path.read_text().splitlines() for path in play.results.glob("*/runs/1/nodes/*/test-talk/stdout")]
    moments = [float(lines[-1]) for lines in outputs]
    assert len(moments) == 3
    assert max(moments) - min(moments) < 5
    errors = [path.read_text() for path in play.results.glob("*/runs/1/nodes/*/test-talk/stderr")]
    assert all("nobody has sent 'never-sent' within 0.2 s" in text for text in errors), errors
    assert all("'ready' is a barrier of the run itself" in text for text in errors), errors
    site.assert_clean(play)


def test_one_who_does_not_come_is_named_and_all_are_stopped(site: Site) -> None:
    site.cluster(ROLES)
    begin = time.monotonic()
    play = site.run(site.job(JOB, tests_talk=REFUSE))
    assert play.process.returncode != 0
    assert time.monotonic() - begin < 55
    summary = read_summary(site, play.results)
    assert summary["result"] == "abort"
    reason = summary["reason"]["text"]
    assert "barrier together timed out after" in reason
    assert "client-2 (client) did not arrive" in reason
    assert "client-2" in play.output
    scripts = {name: node["scripts"] for name, node in summary["runs"][0]["nodes"].items()}
    assert all(script["finished"] is not None for of_node in scripts.values() for script in of_node)
    site.assert_clean(play)
