# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two people who want the same machines at the same time, with one Redis between them."""

from __future__ import annotations

import json
import typing as t

from support.redis_server import RedisServer, binaries
from support.sites import Site

JOB = """
cluster: some-machines
seconds: 1
if role server:
  serve:
if role client:
  work:
"""


def times_of_tests(summary: dict[str, t.Any]) -> tuple[float, float]:
    scripts = [script for node in summary["runs"][0]["nodes"].values() for script in node["scripts"]]
    return min(script["started"] for script in scripts), max(script["finished"] for script in scripts)


def test_the_second_waits_until_the_first_has_left(site: Site) -> None:
    installed = binaries()
    server = RedisServer(installed[max(installed)])
    try:
        site.cluster({"server-1": ["server"], "client-1": ["client"]})
        job = site.job(JOB, daemon_serve="exec sleep 60", tests_work="echo on; sleep $seconds")
        variables = {"multidevice_redis_url": server.url, "multidevice_slice": 1}
        first = site.start(job, variables={**variables, "multidevice_params": "seconds=20"})
        site.wait_for_script(first, "client-1", "test-work")
        second = site.start(job, variables=variables)
        third = site.start(job, variables={**variables, "multidevice_reserve_timeout": 0.5})
        for play in (first, second, third):
            play.wait()
        assert first.process.returncode == 0, first.output
        assert second.process.returncode == 0, second.output
        assert "waiting for machines since" in second.output
        assert third.process.returncode != 0
        assert "the machines were not free within 0.5 s: server-1 is held by run" in third.output

        summaries = [json.loads(next(play.results.glob("*/summary.json")).read_text()) for play in (first, second)]
        (_begun, ended), (begun, _ended) = (times_of_tests(summary) for summary in summaries)
        assert begun > ended
        for play in (first, second, third):
            site.assert_clean(play)
        redis = server.client()
        assert redis.hgetall("sched/reservations") == {}
        assert redis.zrange("sched/waiting", 0, -1) == []
    finally:
        server.close()
