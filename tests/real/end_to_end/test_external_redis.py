# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run against a Redis of the user's own, as an operator sees it there."""

from __future__ import annotations

import json
import signal
import time
import typing as t

import redis

from support.contract import check_shape
from support.plays import Play, marked_processes
from support.redis_server import RedisServer, binaries
from support.sites import Site
from support.waiting import wait_until

JOB = """\
cluster: some-machines
if role server:
  serve:
if role client:
  work: 2
ready:
  serve: {file: up}
"""
STATES = ("start", "started", "ready", "finish")


class Watcher:
    """Somebody who types HGETALL sched/cluster_state again and again."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.seen: dict[str, list[str]] = {}
        self.records: dict[str, dict[str, t.Any]] = {}

    def look(self) -> None:
        for text in t.cast(dict[str, str], self.client.hgetall("sched/cluster_state")).values():
            record = json.loads(text)
            states = self.seen.setdefault(record["node"], [])
            if record["state"] not in states:
                states.append(record["state"])
            if record["state"] == "ready":
                self.records[record["node"]] = record

    def watch(self, play: Play) -> None:
        def has_ended() -> bool:
            self.look()
            return play.process.poll() is not None

        wait_until("ansible-playbook has ended", has_ended, 180)


def test_state_can_be_watched(site: Site, server: RedisServer) -> None:
    nodes = {"server-1": ["server"], "client-1": ["client"], "client-2": ["client"]}
    site.cluster(nodes)
    job = site.job(JOB, daemon_serve="touch up; exec sleep 600", tests_work='sleep "$1"')
    play = site.start(job, variables={"multidevice_redis_url": server.url})
    watcher = Watcher(server.client())
    watcher.watch(play)
    assert play.process.returncode == 0, play.output

    assert {node: [state for state in seen if state in STATES] for node, seen in watcher.seen.items()} == {
        node: list(STATES) for node in nodes
    }
    for number, (node, roles) in enumerate(nodes.items(), 1):
        record = watcher.records[node]
        assert record["roles"] == roles
        assert record["ip"] == site.lab.address(node)
        assert record["direct_macs"] == site.lab.macs(node)
        assert record["direct_ips"] == [f"192.168.222.{number}"]
    check_shape(play.summary)
    check_expiry(server.client())
    site.assert_clean(play)


def check_expiry(client: redis.Redis) -> None:
    """What is left in Redis goes away by itself, a week after the end of the run."""
    keys = list(client.scan_iter("*"))
    assert "sched/cluster_state" in keys and all(key.startswith("sched/") for key in keys)
    assert all(0 < client.ttl(key) <= 7 * 86400 for key in keys)
    assert client.ttl("sched/cluster_state") > 6 * 86400


def test_no_other_redis_is_started(site: Site, server: RedisServer) -> None:
    site.cluster({"client-1": ["client"]})
    job = site.job("cluster: some-machines\nif role client:\n  work:\n", tests_work="echo here; exec sleep 600")
    play = site.start(job, MULTIDEVICE_REDIS_URL=server.url)
    site.wait_for_script(play, "client-1", "test-work")
    started = marked_processes(play.mark).values()
    assert any("_server.py" in command for command in started)
    assert not any("redis-server" in command for command in started)
    play.kill()
    site.assert_clean(play)
    record = json.loads(next(iter(t.cast(dict[str, str], server.client().hgetall("sched/cluster_state")).values())))
    assert record["state"] == "abort"


SURVIVES = """\
cluster: some-machines
if role server:
  serve:
if role client:
  work:
"""


def test_a_run_goes_on_when_redis_is_started_anew(site: Site) -> None:
    server = RedisServer(binaries()[max(binaries())], "--appendonly", "yes")
    try:
        site.cluster({"server-1": ["server"], "client-1": ["client"]})
        work = "echo here; until [ -e /tmp/go ]; do sleep 0.2; done; rm /tmp/go"
        job = site.job(SURVIVES, daemon_serve="exec sleep 600", tests_work=work)
        play = site.start(job, variables={"multidevice_redis_url": server.url, "multidevice_lease": 6})
        site.wait_for_script(play, "client-1", "test-work")
        server.end(signal.SIGKILL)
        time.sleep(2)
        server.start()
        site.lab.exec("client-1", ["touch", "/tmp/go"])
        assert play.wait() == 0, play.output
        check_shape(play.summary)
        site.assert_clean(play)
    finally:
        server.close()


def test_machines_are_cleaned_when_redis_stays_away(site: Site, server: RedisServer) -> None:
    site.cluster({"server-1": ["server"], "client-1": ["client"]})
    job = site.job(SURVIVES, daemon_serve="exec sleep 600", tests_work="echo here; trap '' TERM; sleep 600; sleep 600")
    variables = {"multidevice_redis_url": server.url, "multidevice_lease": 4, "multidevice_slice": 2}
    play = site.start(job, variables=variables, MULTIDEVICE_REDIS_TIMEOUT="3")
    site.wait_for_script(play, "client-1", "test-work")
    server.end(signal.SIGKILL)
    assert play.wait(90) != 0
    said = f"Redis at {server.socket} does not answer (tried for 3 s)"
    assert said in play.output, play.output
    assert "Traceback" not in play.output
    site.assert_clean(play)
