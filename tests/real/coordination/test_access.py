# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways in: users with few rights, TLS, Sentinel, settings from files and the environment; and that no secret gets out."""

from __future__ import annotations

import concurrent.futures
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import typing as t
from contextlib import suppress

import pytest
import redis
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import Worker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import RedisExchange, result_name

from coordination.conftest import BINARIES
from support.certificates import built_with_tls, make_certificates, server_options
from support.plans import make_plan, one_server_and
from support.ports import reserved_port
from support.redis_server import RedisServer
from support.waiting import wait_until

PASSWORD = "b0sch-ähm:@/"


def go_through_a_run(coordinator: Coordinator) -> None:
    """Everything that a run, its operators and its end need of Redis."""
    plan = make_plan(one_server_and(1))
    cluster_id = plan["runs"][0]["cluster_id"]
    one, two = f"{cluster_id}.1", f"{cluster_id}.2"
    coordinator.registration.register(plan, run_timeout=60)
    for job in (one, two):
        coordinator.nodes.write_state(job, ip="172.18.0.2")
    coordinator.runs.renew_leases(cluster_id, ["node-1"], 30)
    assert coordinator.barriers.wait(one, "start", slice_seconds=0.1, timeout=60).answer == "retry"
    assert coordinator.barriers.wait(two, "start").answer == "start"
    coordinator.barriers.arrive(one, "named", roles=["server"])
    coordinator.nodes.report(one, "started")
    coordinator.runs.record_event(cluster_id, "node-1", "script", {"id": "test-job"})
    coordinator.messages.send(cluster_id, "node-1", "port", "5201")
    coordinator.messages.time_waited(cluster_id, "node-1:port:0")
    coordinator.messages.end_wait(cluster_id, "node-1:port:0")
    assert coordinator.messages.receive(cluster_id, "port").messages
    assert coordinator.barriers.watch(cluster_id, "0", 10)[1]
    assert coordinator.runs.sweep(cluster_id) is None
    coordinator.runs.drop_lease(cluster_id, "node-1")
    coordinator.history.info(cluster_id)
    coordinator.history.events(cluster_id)
    coordinator.history.runs()
    coordinator.runs.abort(cluster_id, make_reason("over"))
    coordinator.runs.close(cluster_id)
    coordinator.runs.remove(cluster_id)


def go_through_a_queue(
    submitter: Coordinator, at_work: Coordinator, settings: RedisSettings, folder: pathlib.Path
) -> None:
    """Everything that a worker and its run need of Redis; the submitter only submits and collects."""
    plan = make_plan([["server"], ["client"]])
    for node, queue in zip(plan["runs"][0]["nodes"], ("a", "b"), strict=True):
        node["queue"] = queue
    cluster_id = plan["runs"][0]["cluster_id"]
    one, two = f"{cluster_id}.1", f"{cluster_id}.2"
    submitter.registration.submit(plan, {one: {}, two: {}}, run_timeout=60)
    workers = [Worker(machine, machine, "1", "here", 30.0) for machine in ("a", "b")]
    for worker in workers:
        at_work.queues.register(worker)
        at_work.queues.renew(worker)
    assert at_work.queues.wait(workers[1], "0-0", 1) == two
    at_work.queues.work_of(two)
    at_work.queues.register(Worker("b", "b", "2", "here", 30.0))
    for number, job in enumerate((one, two), 1):
        at_work.nodes.record(job)
        at_work.nodes.write_state(job, ip="172.18.0.2")
        at_work.runs.renew_leases(cluster_id, [f"node-{number}"], 30)
        at_work.barriers.arrive(job, "start")
    at_work.history.info(cluster_id)
    at_work.runs.record_event(cluster_id, "node-1", "script", {"id": "test-job"})
    at_work.messages.send(cluster_id, "node-1", "port", "5201")
    assert at_work.messages.receive(cluster_id, "port").messages
    at_work.messages.time_waited(cluster_id, "node-1:port:0")
    at_work.barriers.arrive(one, "named", roles=["server"])
    at_work.nodes.report(one, "started")
    at_work.runs.drop_lease(cluster_id, "node-1")
    assert at_work.barriers.watch(cluster_id, "0", 10)[1]
    at_work.runs.sweep(cluster_id)
    archive = folder / "result"
    archive.write_bytes(b"x" * 10)
    exchange = RedisExchange(settings)
    exchange.put(result_name(one), archive, keep_seconds=60)
    exchange.put(result_name(one), archive, keep_seconds=90)
    assert exchange.get(result_name(one), folder / "fetched")
    assert at_work.history.knows(cluster_id)
    at_work.queues.finish_job("a", "1", one)
    at_work.queues.leave("b", "2")
    at_work.queues.go_along_line()
    submitter.registration.plan(plan["submission_id"])
    submitter.runs.remove(cluster_id)


# Users


# With other settings of the client, or after a silence of many seconds.
SELDOM = {"hello", "auth", "select", "ping", "zincrby"}


def server_with_shipped_users(version: str, repository: pathlib.Path, tmp_path: pathlib.Path) -> RedisServer:
    shipped = (repository / "docs" / "redis-users.acl").read_text(encoding="utf-8")
    users = "\n".join(line for line in shipped.splitlines() if line and not line.startswith("#"))
    assert ">change-me " in users and ">change-me-too " in users
    acl = tmp_path / "users.acl"
    with_passwords = users.replace(">change-me-too", f">{PASSWORD}").replace(">change-me", f">{PASSWORD}")
    acl.write_text(with_passwords + "\nuser default off\nuser admin on nopass ~* +@all\n", encoding="utf-8")
    return RedisServer(BINARIES[version], "--aclfile", str(acl))


@pytest.mark.parametrize("version", sorted(BINARIES))
def test_a_worker_may_do_what_it_needs_and_no_more(
    version: str, repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    server = server_with_shipped_users(version, repository, tmp_path)
    try:
        admin: t.Any = redis.Redis(unix_socket_path=str(server.socket), username="admin", password="")
        submitter, worker = (
            RedisSettings(url=server.url, username=name, password=PASSWORD, timeout=2)
            for name in ("multidevice", "multidevice-worker")
        )
        at_work = Coordinator.connect(worker)
        go_through_a_queue(Coordinator.connect(submitter), at_work, worker, tmp_path)
        plan = make_plan([["server"]])
        plan["runs"][0]["nodes"][0]["queue"] = "a"
        with pytest.raises(CoordinationError, match="refuses a command: .*(NOPERM|permission|ACL)"):
            at_work.registration.submit(plan, {plan["runs"][0]["nodes"][0]["job_id"]: {}})
        with pytest.raises(CoordinationError, match="refuses a command"):
            at_work.registration.plan(plan["submission_id"])
        assert not at_work.history.runs()
        # Each command that it has been given is needed.
        rules = next(line for line in admin.acl_list() if line.startswith("user multidevice-worker"))
        for command in sorted({word[1:] for word in rules.split() if word.startswith("+")} - SELDOM):
            admin.execute_command("ACL SETUSER", "multidevice-worker", f"-{command}")
            with pytest.raises(CoordinationError, match="refuses"):
                admin.script_flush()
                go_through_a_queue(Coordinator.connect(submitter), Coordinator.connect(worker), worker, tmp_path)
                pytest.fail(f"a worker has no need of {command}")
            admin.execute_command("ACL SETUSER", "multidevice-worker", f"+{command}")
            # A script that is refused in the middle leaves half of its work.
            admin.flushall()
    finally:
        server.close()


@pytest.mark.parametrize("version", sorted(BINARIES))
def test_the_shipped_users_may_do_what_a_run_needs_and_no_more(
    version: str, repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    server = server_with_shipped_users(version, repository, tmp_path)
    try:
        settings = RedisSettings(url=server.url, username="multidevice", password=PASSWORD, timeout=2)
        go_through_a_run(Coordinator.connect(settings))
        in_url = server.url.replace("unix://", "unix://multidevice@") + f"?password={PASSWORD}"
        Coordinator.connect(RedisSettings(url=in_url, timeout=2)).history.runs()
        client = redis.Redis(unix_socket_path=str(server.socket), username="multidevice", password=PASSWORD)
        for refused in (
            lambda: client.get("other"),
            lambda: client.set("other", "x"),
            lambda: client.keys("*"),
            lambda: client.flushall(),
            lambda: client.config_get("*"),
            lambda: client.eval("return redis.call('GET', 'other')", 0),
            lambda: client.eval("return redis.call('FLUSHALL')", 0),
            lambda: client.publish("channel", "message"),
        ):
            with pytest.raises(
                redis.exceptions.ResponseError, match="(?i)noperm|permission|can't run|can't access|acl"
            ):
                refused()
        elsewhere = Coordinator.connect(
            RedisSettings(url=server.url, username="multidevice", password=PASSWORD, prefix="other/", timeout=2)
        )
        with pytest.raises(CoordinationError, match="refuses a command: .*(NOPERM|permission|ACL)"):
            elsewhere.registration.register(make_plan(one_server_and(1)))
    finally:
        server.close()


def test_a_wrong_password_is_said_at_once_and_not_shown(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server("--requirepass", "right")
    for settings in (
        RedisSettings(url=server.url, password=PASSWORD),
        RedisSettings(url=server.url),
        RedisSettings(url=server.url, username="nobody", password=PASSWORD),
    ):
        begin = time.monotonic()
        with pytest.raises(CoordinationError, match="refuses us") as caught:
            Coordinator.connect(settings).history.runs()
        assert time.monotonic() - begin < 2
        assert PASSWORD not in str(caught.value) and PASSWORD not in repr(settings)


def test_settings_from_everywhere(
    start_server: t.Callable[..., RedisServer], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server("--requirepass", "right")
    file = tmp_path / "redis.yml"
    file.write_text(f"url: {server.url}\npassword: wrong\nprefix: from-file/\n", encoding="utf-8")
    monkeypatch.setenv("MULTIDEVICE_REDIS_CONFIG_FILE", str(file))
    monkeypatch.setenv("MULTIDEVICE_REDIS_PASSWORD", "also wrong")
    settings = RedisSettings.from_options({"redis_password": "right"})
    assert (settings.url, settings.prefix) == (server.url, "from-file/")
    Coordinator.connect(settings).history.runs()
    monkeypatch.setenv("MULTIDEVICE_REDIS_PASSWORD", "right")
    Coordinator.connect(RedisSettings.from_options({})).history.runs()


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A CA, a server and a client that it signed, and a CA that signed nobody."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    return make_certificates(tmp_path_factory.mktemp("certificates"), "127.0.0.1")


@pytest.fixture(scope="module")
def tls_url(certificates: pathlib.Path) -> t.Iterator[str]:
    binary = built_with_tls(BINARIES.values())
    if binary is None:
        pytest.skip("no redis-server at hand was built with TLS")
    with reserved_port() as port:
        server = RedisServer(binary, "--tls-port", str(port), "--bind", "127.0.0.1", *server_options(certificates))
        yield f"rediss://127.0.0.1:{port}"
        server.close()


@pytest.fixture
def port() -> t.Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


def test_tls_rides_out_a_server_that_ends_in_the_middle_of_a_handshake(certificates: pathlib.Path, port: int) -> None:
    binary = built_with_tls(BINARIES.values())
    if binary is None:
        pytest.skip("no redis-server at hand was built with TLS")
    ending = socket.create_server(("127.0.0.1", port))
    ended = threading.Event()

    def end_at_once() -> None:
        for _ in range(2):
            ending.accept()[0].close()
        ending.close()
        ended.set()

    threading.Thread(target=end_at_once, daemon=True).start()
    settings = RedisSettings(url=f"rediss://127.0.0.1:{port}", ca_cert=str(certificates / "ca.crt"), timeout=10)
    asking = concurrent.futures.ThreadPoolExecutor(1).submit(Coordinator.connect(settings).history.runs)
    assert ended.wait(10)
    options = ["--tls-port", str(port), "--bind", "127.0.0.1", "--tls-auth-clients", "no"]
    server = RedisServer(binary, *options, *server_options(certificates))
    try:
        assert asking.result(15) == []
    finally:
        server.close()


def test_tls_with_a_client_certificate(tls_url: str, certificates: pathlib.Path) -> None:
    client: dict[str, t.Any] = {
        "client_cert": str(certificates / "client.crt"),
        "client_key": str(certificates / "client.key"),
    }
    ca = str(certificates / "ca.crt")
    go_through_a_run(Coordinator.connect(RedisSettings(url=tls_url, ca_cert=ca, timeout=2, **client)))
    for settings, words in (
        (RedisSettings(url=tls_url, ca_cert=str(certificates / "other-ca.crt"), **client), "certificate"),
        (RedisSettings(url=tls_url, **client), "certificate"),
        (RedisSettings(url=tls_url, ca_cert=ca), "certificate"),
        (RedisSettings(url=tls_url, ca_cert=str(certificates / "absent.crt"), **client), "absent.crt cannot be read"),
    ):
        begin = time.monotonic()
        with pytest.raises(CoordinationError, match=words):
            Coordinator.connect(settings).history.runs()
        assert time.monotonic() - begin < 5, "what will never be right is said at once"


def test_tls_trusts_the_ca_that_was_set_and_not_the_systems_too(
    tls_url: str, certificates: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: dict[str, t.Any] = {
        "client_cert": str(certificates / "client.crt"),
        "client_key": str(certificates / "client.key"),
    }
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.crt"))
    go_through_a_run(Coordinator.connect(RedisSettings(url=tls_url, timeout=2, **client)))
    other = RedisSettings(url=tls_url, ca_cert=str(certificates / "other-ca.crt"), **client)
    with pytest.raises(CoordinationError, match="certificate"):
        Coordinator.connect(other).history.runs()


# Sentinel


@pytest.fixture
def ports() -> t.Iterator[list[int]]:
    with reserved_port() as first, reserved_port() as second, reserved_port() as third:
        yield [first, second, third]


def test_sentinel_leads_to_the_server_that_has_taken_over(tmp_path: pathlib.Path, ports: list[int]) -> None:
    if not BINARIES:
        pytest.skip("there is no redis-server")
    binary = BINARIES[max(BINARIES)]
    first, second, watcher = ports
    servers: list[RedisServer] = []
    sentinel: subprocess.Popen[bytes] | None = None
    try:
        common = ["--bind", "127.0.0.1", "--port"]
        servers.append(RedisServer(binary, *common, str(first)))
        servers.append(RedisServer(binary, *common, str(second), "--replicaof", f"127.0.0.1 {first}"))
        configuration = tmp_path / "sentinel.conf"
        configuration.write_text(
            f"port {watcher}\nbind 127.0.0.1\ndir {tmp_path}\nlogfile {tmp_path}/sentinel.log\n"
            f"sentinel monitor lab 127.0.0.1 {first} 1\n"
            "sentinel down-after-milliseconds lab 1000\nsentinel failover-timeout lab 5000\n",
            encoding="utf-8",
        )
        sentinel = subprocess.Popen([binary, str(configuration), "--sentinel"], stdin=subprocess.DEVNULL)
        asking = redis.Redis(port=watcher, decode_responses=True)
        ask_until(
            "the sentinel knows the replica",
            lambda: int(t.cast(dict, asking.sentinel_master("lab"))["num-slaves"]) == 1,
        )
        ask_until(
            "the replica is connected", lambda: servers[1].client().info("replication")["master_link_status"] == "up"
        )

        settings = RedisSettings.from_options(
            {"redis_sentinels": [f"127.0.0.1:{watcher}"], "redis_sentinel_service": "lab", "redis_timeout": 30}
        )
        coordinator = Coordinator.connect(settings)
        go_through_a_run(coordinator)
        plan = make_plan(one_server_and(1))
        cluster_id = plan["runs"][0]["cluster_id"]
        coordinator.registration.register(plan)
        coordinator.barriers.arrive(f"{cluster_id}.1", "start")
        ask_until(
            "the replica knows the run", lambda: servers[1].client().hexists("sched/id2cluster", f"{cluster_id}.2")
        )
        servers[0].end(signal.SIGKILL)
        arrival = coordinator.barriers.arrive(f"{cluster_id}.2", "start")
        assert arrival.verdict == "start"
        assert servers[1].client().info("replication")["role"] == "master"
        with pytest.raises(CoordinationError, match="does not answer"):
            wrong = {"redis_sentinels": [f"127.0.0.1:{watcher}"], "redis_sentinel_service": "no", "redis_timeout": 1}
            Coordinator.connect(RedisSettings.from_options(wrong)).history.runs()
    finally:
        if sentinel is not None:
            sentinel.kill()
            sentinel.wait(timeout=10)
        for server in servers:
            server.close()


def ask_until(what: str, condition: t.Callable[[], object]) -> None:
    """Until something holds of servers that may not answer yet."""

    def holds() -> object:
        with suppress(redis.exceptions.RedisError, KeyError):
            return condition()
        return False

    wait_until(what, holds)
