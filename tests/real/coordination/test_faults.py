# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to runs when the server or a waiter is stopped, restarted or killed. Nothing here is simulated."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t

import pytest
import redis
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection, Result
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from coordination.background import Background
from coordination.conftest import Run
from coordination.moments import wait_until_blocked
from support.plans import make_plan, one_server_and
from support.redis_server import RedisServer
from support.waiting import wait_until

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
WAIT_IN_A_PROCESS = """
import sys
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
url, job = sys.argv[1:]
print("waiting", flush=True)
print(Coordinator.connect(RedisSettings(url=url)).barriers.wait(job, "start", slice_seconds=60), flush=True)
"""


class FailingOnce(Connection):
    """Says when it has found the server away for the first time."""

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__(settings)
        self.has_failed = threading.Event()

    def call(self, operation: t.Callable[[redis.Redis], Result]) -> Result:
        def watched(connection: redis.Redis) -> Result:
            try:
                return operation(connection)
            except redis.exceptions.ConnectionError:
                self.has_failed.set()
                raise

        return super().call(watched)


def begin_run(server: RedisServer, *, timeout: float = 30.0, lease: float = 30.0, clients: int = 1) -> Run:
    coordinator = Coordinator.connect(RedisSettings(url=server.url, timeout=timeout))
    plan = make_plan(one_server_and(clients))
    coordinator.registration.register(plan, lease=lease)
    return Run(coordinator, plan)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_wait_survives_a_restart(start_server: t.Callable[..., RedisServer], how: signal.Signals) -> None:
    server = start_server(*DURABLE)
    run = begin_run(server)
    run.coordinator.runs.renew_leases(run.id, ["node-1", "node-2"], 30)
    run.coordinator.messages.send(run.id, "node-1", "port", "5201")
    waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=30))
    receiver = Background(lambda: run.coordinator.messages.receive(run.id, "later", slice_seconds=30))
    wait_until_blocked(server.client(), 2)
    server.end(how)
    reporter = FailingOnce(RedisSettings(url=server.url, timeout=60))
    report = Background(lambda: Coordinator(reporter).nodes.report(run.job(2), "started"))
    assert reporter.has_failed.wait(30)
    assert not report.is_over
    server.start()
    assert report.end(30).changed
    assert run.coordinator.barriers.arrive(run.job(2), "start").verdict == "start"
    assert waiter.end(30).answer == "start"
    run.coordinator.messages.send(run.id, "node-2", "later", "value")
    assert [message["value"] for message in receiver.end(30).messages] == ["value"]
    info = run.coordinator.history.info(run.id)
    assert info["phase"] == "start"
    # It reported before it arrived: a state is never taken back.
    assert info["nodes"]["node-2"]["state"] == "started"
    assert set(info["nodes"]["node-2"]["times"]) == {"started"}
    assert info["nodes"]["node-1"]["state"] == "start"
    assert [message["value"] for message in run.coordinator.messages.receive(run.id, "port").messages] == ["5201"]


def test_a_restart_without_data_is_said(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server()
    run = begin_run(server)
    waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=3))
    wait_until_blocked(server.client())
    server.end(signal.SIGKILL)
    server.start()
    error = waiter.end(60)
    assert isinstance(error, CoordinationError)
    assert str(error).startswith(f"job {run.job(1)} is not known to Redis at {server.socket}")


def test_ten_seconds_of_a_stopped_server(start_server: t.Callable[..., RedisServer]) -> None:
    """Longer than the leases: nobody is lost, since nobody could be heard."""
    server = start_server()
    run = begin_run(server, lease=6)
    over = threading.Event()

    def keep() -> None:
        keeper = Coordinator.connect(RedisSettings(url=server.url))
        while not over.is_set():
            keeper.runs.renew_leases(run.id, ["node-1", "node-2"], 6)
            assert keeper.runs.sweep(run.id) is None
            over.wait(1)

    keeper = Background(keep)
    waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=600))
    wait_until_blocked(server.client())
    server.send(signal.SIGSTOP)
    sender = Background(lambda: run.coordinator.messages.send(run.id, "node-2", "port", "5201"))
    last = Background(lambda: run.coordinator.barriers.arrive(run.job(2), "start"))
    time.sleep(10)
    assert not waiter.is_over and not last.is_over
    server.send(signal.SIGCONT)
    continued = time.monotonic()
    assert last.end(60).verdict == "start"
    assert waiter.end(60).answer == "start"
    assert waiter.ended - continued < 30, "long before its slice is over"
    sender.end(60)
    assert len(run.coordinator.messages.receive(run.id, "port").messages) == 1, "sent again, received once"
    over.set()
    keeper.end(60)
    assert keeper.result is None
    assert run.coordinator.history.info(run.id)["result"] is None


def test_a_server_that_is_killed_for_good(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server("--requirepass", "gehe1m")
    settings = RedisSettings(url=server.url, password="gehe1m", timeout=2)
    coordinator = Coordinator.connect(settings)
    plan = make_plan(one_server_and(1))
    coordinator.registration.register(plan)
    job = f"{plan['runs'][0]['cluster_id']}.1"
    waiter = Background(lambda: coordinator.barriers.wait(job, "start", slice_seconds=600))
    wait_until_blocked(Connection(settings).redis)
    server.end(signal.SIGKILL)
    killed = time.monotonic()
    error = waiter.end(60)
    assert isinstance(error, CoordinationError)
    assert str(error).startswith(f"Redis at {server.socket} does not answer (tried for 2 s): ")
    assert "gehe1m" not in str(error) + repr(error)
    # The patience begins anew with each step: at the latest with the one that finds the server gone.
    assert waiter.ended - killed > 1.5
    again = Background(lambda: coordinator.nodes.report(job, "started"))
    assert isinstance(again.end(60), CoordinationError)


def test_a_connection_that_is_cut(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server()
    run = begin_run(server)
    waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=600))
    client = server.client()
    for _ in range(5):
        wait_until_blocked(client)
        assert client.client_kill_filter(_type="normal", skipme=True)
    wait_until_blocked(client)
    assert run.coordinator.barriers.arrive(run.job(2), "start").verdict == "start"
    assert waiter.end(30).answer == "start"


def test_scripts_that_the_server_has_forgotten(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server()
    run = begin_run(server)
    server.client().script_flush()
    assert run.coordinator.barriers.arrive(run.job(1), "start").missing == 1
    server.client().script_flush()
    assert run.coordinator.barriers.arrive(run.job(2), "start").verdict == "start"


def test_a_waiter_that_is_killed(start_server: t.Callable[..., RedisServer], repository: pathlib.Path) -> None:
    server = start_server()
    run = begin_run(server, lease=3, clients=2)
    environment = {**os.environ, "PYTHONPATH": str(repository / "playbooks" / "collections")}
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT_IN_A_PROCESS, server.url, run.job(2)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=600))
        client, leases = server.client(), f"sched/cluster/{run.id}/leases"
        wait_until("node-2 has a lease", lambda: client.zscore(leases, "node-2"))
        # Longer than a lease: as long as it lives, it renews.
        for _ in range(4):
            before = client.zscore(leases, "node-2")
            wait_until("node-2 renews its lease", lambda: client.zscore(leases, "node-2") != before)  # noqa: B023
        assert not waiter.is_over
    finally:
        process.kill()
        process.communicate(timeout=10)
    answer = waiter.end(60)
    assert answer.answer == "abort"
    assert (answer.reason["kind"], answer.reason["node"]) == ("lost", "node-2")
    silence = re.fullmatch(r"node node-2 not heard from for (\d+) s", answer.reason["text"])
    # By the clock of Redis, from its last sign: the other waiter looks three times in a lease.
    assert silence is not None and 3 <= int(silence[1]) < 2 * 3
