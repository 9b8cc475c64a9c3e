# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to runs when the server or a waiter is stopped, restarted or killed. Nothing here is simulated."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError

from coordination.conftest import Run
from coordination.plans import make_plan, one_server_and
from coordination.redis_server import RedisServer

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
WAIT_IN_A_PROCESS = """
import sys
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
url, job = sys.argv[1:]
print("waiting", flush=True)
print(Coordinator.connect(RedisSettings(url=url)).wait(job, "start", slice_seconds=60), flush=True)
"""


class Background(threading.Thread):
    """A call in a thread, and when it ended."""

    def __init__(self, call: t.Callable[[], t.Any]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.result: t.Any = None
        self.ended = 0.0
        self.start()

    def run(self) -> None:
        try:
            self.result = self.call()
        except Exception as error:
            self.result = error
        self.ended = time.monotonic()

    def end(self, seconds: float) -> t.Any:
        self.join(seconds)
        assert not self.is_alive(), "it still waits"
        return self.result


def begin_run(server: RedisServer, *, timeout: float = 30.0, lease: float = 30.0, clients: int = 1) -> Run:
    coordinator = Coordinator.connect(RedisSettings(url=server.url, timeout=timeout))
    plan = make_plan(one_server_and(clients))
    coordinator.register(plan, lease=lease)
    return Run(coordinator, plan)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_wait_survives_a_restart(start_server: t.Callable[..., RedisServer], how: signal.Signals) -> None:
    server = start_server(*DURABLE)
    run = begin_run(server)
    run.coordinator.renew(run.id, ["node-1", "node-2"], 30)
    run.coordinator.send(run.id, "node-1", "port", "5201")
    waiter = Background(lambda: run.coordinator.wait(run.job(1), "start", slice_seconds=30))
    receiver = Background(lambda: run.coordinator.receive(run.id, "later", slice_seconds=30))
    time.sleep(0.5)
    server.end(how)
    time.sleep(1)
    reporter = Background(lambda: run.coordinator.report(run.job(2), "started"))
    time.sleep(0.5)
    server.start()
    assert reporter.end(10).changed
    assert run.coordinator.arrive(run.job(2), "start").verdict == "start"
    assert waiter.end(5).answer == "start"
    run.coordinator.send(run.id, "node-2", "later", "value")
    assert [message["value"] for message in receiver.end(5).messages] == ["value"]
    info = run.coordinator.info(run.id)
    assert info["phase"] == "start"
    assert (
        set(info["nodes"]["node-2"]["times"]) == {"start", "started"} or info["nodes"]["node-2"]["state"] == "started"
    )
    assert [message["value"] for message in run.coordinator.receive(run.id, "port").messages] == ["5201"]


def test_a_restart_without_data_is_said(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server()
    run = begin_run(server)
    waiter = Background(lambda: run.coordinator.wait(run.job(1), "start", slice_seconds=3))
    time.sleep(0.3)
    server.end(signal.SIGKILL)
    server.start()
    error = waiter.end(15)
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
            keeper.renew(run.id, ["node-1", "node-2"], 6)
            assert keeper.sweep(run.id) is None
            over.wait(1)

    keeper = Background(keep)
    waiter = Background(lambda: run.coordinator.wait(run.job(1), "start", slice_seconds=60))
    time.sleep(0.5)
    server.send(signal.SIGSTOP)
    sender = Background(lambda: run.coordinator.send(run.id, "node-2", "port", "5201"))
    last = Background(lambda: run.coordinator.arrive(run.job(2), "start"))
    time.sleep(10)
    assert waiter.is_alive() and last.is_alive()
    server.send(signal.SIGCONT)
    continued = time.monotonic()
    assert last.end(15).verdict == "start"
    assert waiter.end(15).answer == "start"
    assert waiter.ended - continued < 12
    sender.end(15)
    assert len(run.coordinator.receive(run.id, "port").messages) == 1, "sent again, received once"
    over.set()
    keeper.end(15)
    assert keeper.result is None
    assert run.coordinator.info(run.id)["result"] is None


def test_a_server_that_is_killed_for_good(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server("--requirepass", "gehe1m")
    coordinator = Coordinator.connect(RedisSettings(url=server.url, password="gehe1m", timeout=2))
    plan = make_plan(one_server_and(1))
    coordinator.register(plan)
    job = f"{plan['runs'][0]['cluster_id']}.1"
    waiter = Background(lambda: coordinator.wait(job, "start", slice_seconds=60))
    time.sleep(0.3)
    server.end(signal.SIGKILL)
    killed = time.monotonic()
    error = waiter.end(10)
    assert isinstance(error, CoordinationError)
    assert str(error).startswith(f"Redis at {server.socket} does not answer (tried for 2 s): ")
    assert "gehe1m" not in str(error) + repr(error)
    assert 1.5 < waiter.ended - killed < 6
    begin = time.monotonic()
    with pytest.raises(CoordinationError, match="does not answer"):
        coordinator.report(job, "started")
    assert time.monotonic() - begin < 6


def test_a_connection_that_is_cut(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server()
    run = begin_run(server)
    waiter = Background(lambda: run.coordinator.wait(run.job(1), "start", slice_seconds=30))
    for _ in range(5):
        time.sleep(0.2)
        server.client().client_kill_filter(_type="normal", skipme=True)
    assert run.coordinator.arrive(run.job(2), "start").verdict == "start"
    assert waiter.end(5).answer == "start"


def test_scripts_that_the_server_has_forgotten(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server()
    run = begin_run(server)
    server.client().script_flush()
    assert run.coordinator.arrive(run.job(1), "start").missing == 1
    server.client().script_flush()
    assert run.coordinator.arrive(run.job(2), "start").verdict == "start"


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
        waiter = Background(lambda: run.coordinator.wait(run.job(1), "start", slice_seconds=60))
        deadline = time.monotonic() + 10
        while "node-2" not in run.coordinator.info(run.id)["barriers"]["start"]["arrived"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Longer than a lease: as long as it lives, it renews.
        time.sleep(4)
        assert waiter.is_alive()
    finally:
        process.kill()
        process.communicate(timeout=10)
    killed = time.monotonic()
    answer = waiter.end(10)
    assert answer.answer == "abort"
    assert (answer.reason["kind"], answer.reason["node"]) == ("lost", "node-2")
    assert answer.reason["text"].startswith("node node-2 not heard from for ")
    # The lease, and the third of one that the other waiter looks after.
    assert waiter.ended - killed < 3 + 1 + 0.5
