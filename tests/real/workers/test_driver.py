# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps a worker and the results on its machine's disk, beside a real Redis: late, damaged, refused, out of reach."""

from __future__ import annotations

import asyncio
import functools
import http.server
import os
import signal
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import Worker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders, _undo
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import open_exchange, result_name
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import archive as _results_archive
from ansible_collections.lab.multidevice.plugins.plugin_utils._worker.driver import WorkerDriver
from ansible_collections.lab.multidevice.plugins.plugin_utils._worker.spool import JobSpool, Spool

from support.newest_server import newest_server
from support.plans import make_plan
from support.redis_server import RedisServer
from support.waiting import wait_until

SMALL = "64k"


class SlowFolder(http.server.SimpleHTTPRequestHandler):
    """A web server that takes as long for a file as it is let."""

    begun: t.ClassVar[threading.Event]
    may_end: t.ClassVar[threading.Event]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.begun.set()
        self.may_end.wait(60)
        Path(self.translate_path(self.path)).write_bytes(content)
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: t.Any) -> None:
        """Say nothing."""


@pytest.fixture
def redis_server() -> t.Iterator[RedisServer]:
    with newest_server() as server:
        yield server


@pytest.fixture
def coordinator(redis_server: RedisServer) -> t.Iterator[Coordinator]:
    coordinator = Coordinator.connect(RedisSettings(url=redis_server.url))
    yield coordinator
    coordinator.close()


@pytest.fixture
def playbook() -> t.Iterator[subprocess.Popen[bytes]]:
    """Stands for the ansible-playbook that a worker is."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait(10)


@pytest.fixture
def slow_web(tmp_path: Path) -> t.Iterator[str]:
    folder = tmp_path / "web"
    folder.mkdir()
    SlowFolder.begun, SlowFolder.may_end = threading.Event(), threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SlowFolder, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def full_disk(tmp_path: Path) -> t.Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=700", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a disk that is full takes the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def submit(coordinator: Coordinator, queue: str, exchange: str = "redis", results_limit: int = 10000000) -> str:
    """Submit a run of one node; returns the id of its node job."""
    plan = make_plan([["client"]])
    node = plan["runs"][0]["nodes"][0]
    node["queue"] = queue
    settings = {"results_limit": results_limit, "retention": 60}
    work = {"node": node["node"], "exchange": exchange, "settings": settings, "trees": {}}
    coordinator.registration.submit(plan, {node["job_id"]: work})
    return str(node["job_id"])


def new_driver(
    server: RedisServer, spool: Path, playbook: subprocess.Popen[bytes], *, machine: str = "a", lease: float = 30.0
) -> WorkerDriver:
    worker = Worker(machine, "vm", os.urandom(4).hex(), f"here:{spool}", lease)
    return WorkerDriver(worker, Spool(spool), {"redis_url": server.url, "redis_timeout": 5}, playbook.pid)


def take(driver: WorkerDriver, coordinator: Coordinator) -> t.Coroutine[t.Any, t.Any, JobSpool]:
    async def taking() -> JobSpool:
        await driver.begin()
        job_id = await driver.take(30)
        assert job_id is not None
        job = driver.spool.job(job_id)
        job.begin(coordinator.queues.work_of(job_id))
        return job

    return taking()


async def until(what: str, holds: t.Callable[[], bool]) -> None:
    """Wait until something holds, while the driver goes on with its work."""
    await asyncio.to_thread(wait_until, what, holds)


def write_results(job: JobSpool, text: str) -> None:
    folder = job.results / "test-work"
    folder.mkdir(parents=True)
    (folder / "stdout").write_text(text)


def text_handed_in(server: RedisServer, job_id: str, folder: Path, exchange: str = "redis") -> str | None:
    """What a test has said, as whoever collects would find it."""
    archive = folder / "fetched.tar.gz"
    if not open_exchange(exchange, RedisSettings(url=server.url)).get(result_name(job_id), archive):
        return None
    _results_archive.unpack(archive, folder / "fetched")
    return (folder / "fetched" / "test-work" / "stdout").read_text()


def test_a_long_upload_after_the_playbook_has_ended_is_waited_for(
    redis_server: RedisServer,
    coordinator: Coordinator,
    playbook: subprocess.Popen[bytes],
    slow_web: str,
    tmp_path: Path,
) -> None:
    job_id = submit(coordinator, "vm", slow_web)
    run = job_id.rpartition(".")[0]

    async def work() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook, lease=6.0)
        write_results(await take(driver, coordinator), "worked")
        coordinator.barriers.arrive(job_id, "start")
        coordinator.runs.abort(run, make_reason("enough"))
        ending = asyncio.create_task(driver.end())
        await until("the upload has begun", SlowFolder.begun.is_set)
        # Its lease would end meanwhile if nobody renewed it.
        begun = coordinator.history.now()
        await until("the worker was seen again", lambda: coordinator.queues.workers()[0]["seen"] > begun)
        assert not ending.done()
        SlowFolder.may_end.set()
        await ending

    asyncio.run(work())
    whats = [event["what"] for event in coordinator.history.events(run)]
    assert "worker_lost" not in whats and whats[-1] == "handed_in"
    assert text_handed_in(redis_server, job_id, tmp_path, slow_web) == "worked"
    assert coordinator.queues.workers() == []
    assert list((tmp_path / "spool" / "jobs").iterdir()) == []


def test_who_comes_back_late_does_not_hand_in_for_who_has_taken_over(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    job_id = submit(coordinator, "vm")

    async def work() -> None:
        late = new_driver(redis_server, tmp_path / "late", playbook, machine="late")
        await take(late, coordinator)
        # As everybody sees it whose lease has run out.
        coordinator.queues.leave("late", late.worker.token)
        other = new_driver(redis_server, tmp_path / "other", playbook, machine="other")
        job = await take(other, coordinator)
        coordinator.barriers.arrive(job_id, "start")
        write_results(late.spool.job(job_id), "nothing")
        await late.end()
        assert coordinator.queues.open_jobs([job_id.rpartition(".")[0]]) == {job_id: "other"}
        write_results(job, "worked")
        coordinator.barriers.arrive(job_id, "ready")
        coordinator.barriers.arrive(job_id, "finish")
        assert await other.hand_in(job) == []
        await other.end()

    asyncio.run(work())
    # It comes back for the next one, and is a worker of its queue meanwhile.
    assert [worker["machine"] for worker in coordinator.queues.workers()] == ["other"]
    assert text_handed_in(redis_server, job_id, tmp_path) == "worked"
    assert list((tmp_path / "late" / "jobs").iterdir()) == []


def test_a_damaged_node_job_in_the_spool_stops_nobody(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    job_id = submit(coordinator, "vm")

    async def work() -> list[str]:
        driver = new_driver(redis_server, tmp_path / "spool", playbook)
        job = await take(driver, coordinator)
        coordinator.barriers.arrive(job_id, "start")
        coordinator.runs.abort(job_id.rpartition(".")[0], make_reason("enough"))
        write_results(job, "worked")
        (job.folder / "work.json").write_text('{"node": "a", "settings": null}')
        notes = await driver.hand_in(job)
        await driver.end()
        return notes

    notes = asyncio.run(work())
    damaged = tmp_path / "spool" / "damaged" / job_id
    assert len(notes) == 1 and "holds no node job: " in notes[0] and f"what there is lies in {damaged}" in notes[0]
    assert (damaged / "results" / "test-work" / "stdout").read_text() == "worked"
    assert Spool(tmp_path / "spool").left() == []
    assert coordinator.queues.open_jobs([job_id.rpartition(".")[0]]) == {}


def test_results_that_cannot_be_handed_in_stay_and_it_is_said_where(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    job_id = submit(coordinator, "vm", str(tmp_path / "away"))

    async def work() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook)
        job = await take(driver, coordinator)
        coordinator.barriers.arrive(job_id, "start")
        coordinator.runs.abort(job_id.rpartition(".")[0], make_reason("enough"))
        write_results(job, "worked")
        with pytest.raises(NodeError, match=f"the results of {job_id} cannot be handed in now, they stay in .*away"):
            await driver.hand_in(job)
        await driver.end()

    asyncio.run(work())
    notices = Spool(tmp_path / "spool").take_notices()
    assert len(notices) == 1 and f"the results of {job_id} cannot be handed in now, they stay in " in notices[0]
    (tmp_path / "away").mkdir()

    async def go_on() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook)
        await driver.begin()
        for job in driver.spool.left():
            await driver.hand_in(job)
        await driver.end()

    asyncio.run(go_on())
    assert text_handed_in(redis_server, job_id, tmp_path, str(tmp_path / "away")) == "worked"


def test_a_redis_that_is_full_for_a_moment_ends_no_worker(
    redis_server: RedisServer,
    coordinator: Coordinator,
    playbook: subprocess.Popen[bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client: t.Any = redis_server.client()

    async def work() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook, lease=15.0)
        await driver.begin()
        client.config_set("maxmemory", "1")
        await until("the log says why", lambda: "a: Redis at" in caplog.text and "is full" in caplog.text)
        client.config_set("maxmemory", "0")
        full = coordinator.history.now()
        await until("the worker was seen again", lambda: coordinator.queues.workers()[0]["seen"] > full)
        assert coordinator.history.now() - full < 4.5, "it tries again sooner than it would renew its lease"
        assert playbook.poll() is None
        await driver.end()

    asyncio.run(work())
    assert Spool(tmp_path / "spool").take_notices() == []


def test_a_worker_that_cannot_renew_its_lease_ends_itself_before_it_is_given_up(
    redis_server: RedisServer, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    async def work() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook, lease=2.0)
        await driver.begin()
        redis_server.send(signal.SIGSTOP)
        try:
            await asyncio.to_thread(playbook.wait, 60)
        finally:
            redis_server.send(signal.SIGCONT)
        await driver.end()
        # A tenth of its lease is left by then, for ending.
        patient = new_driver(redis_server, tmp_path / "spool", playbook, lease=1000.0)
        now = asyncio.get_running_loop().time()
        assert [patient._is_late(now - heard) for heard in (850, 950)] == [False, True]

    asyncio.run(work())
    (notice,) = Spool(tmp_path / "spool").take_notices()
    assert "it has ended itself: Redis could not be reached for " in notice


def test_a_worker_that_ends_itself_has_the_next_one_say_why(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    async def work() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook, lease=6.0)
        await driver.begin()
        coordinator.queues.leave("a", driver.worker.token)
        await asyncio.to_thread(playbook.wait, 30)
        assert playbook.returncode == -signal.SIGTERM
        with pytest.raises(NodeError, match="the worker on a has been given up: it was not heard from in time"):
            await driver.take(30)
        await driver.end()

    asyncio.run(work())
    spool = Spool(tmp_path / "spool")
    assert spool.take_notices() == [
        "of the worker before this one: it has ended itself: the worker on a has been given up: it was not heard from in time"
    ]
    assert spool.take_notices() == []


@pytest.mark.parametrize(
    ("end", "what", "is_handed_in"),
    [
        ("its ansible-playbook", "given_back", False),
        ("an abort", "handed_in", True),
        ("removing it", "", False),
    ],
)
def test_what_becomes_of_a_run_that_ends_before_it_has_begun(
    redis_server: RedisServer,
    coordinator: Coordinator,
    playbook: subprocess.Popen[bytes],
    tmp_path: Path,
    end: str,
    what: str,
    is_handed_in: bool,
) -> None:
    job_id = submit(coordinator, "vm")
    run = job_id.rpartition(".")[0]

    async def work() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook)
        assert driver.node is None
        write_results(await take(driver, coordinator), "begun")
        assert driver.node == "node-1"
        assert driver.why_gone == "node-1: the worker on a is gone: its ansible-playbook ended before the run did"
        if end == "an abort":
            coordinator.runs.abort(run, make_reason("enough"))
        elif end == "removing it":
            coordinator.runs.remove(run)
        await driver.end()

    asyncio.run(work())
    assert (text_handed_in(redis_server, job_id, tmp_path) == "begun") is is_handed_in
    assert Spool(tmp_path / "spool").left() == [] and Spool(tmp_path / "spool").take_notices() == []
    assert coordinator.queues.workers() == [] and coordinator.reservations.holders() == {}
    assert coordinator.queues.open_jobs([run]) == ({job_id: None} if what == "given_back" else {})
    if what:
        assert coordinator.history.events(run)[-1]["what"] == what


def test_a_worker_waits_for_its_node_job_and_is_none_any_more_when_it_has_got_none(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    async def work() -> None:
        driver = new_driver(redis_server, tmp_path / "spool", playbook)
        await driver.begin()
        job_id = submit(coordinator, "vm")
        assert coordinator.queues.open_jobs([job_id.rpartition(".")[0]]) == {job_id: None}, "it does not want one yet"
        assert coordinator.runs.remove(job_id.rpartition(".")[0])
        assert await driver.take(0.01) is None
        assert await driver.take(0.01) is None
        job_id = submit(coordinator, "vm")
        assert await driver.take(30) == job_id
        assert await driver.take(30) == job_id
        driver.job_id = None
        coordinator.runs.remove(job_id.rpartition(".")[0])
        await driver.end()

    asyncio.run(work())
    assert coordinator.queues.workers() == []
    assert Spool(tmp_path / "spool").lock(), "it leaves the spool to the next one"


def test_a_worker_that_redis_refuses_leaves_the_spool_to_others(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    coordinator.queues.register(Worker("a", "vm", "1", "elsewhere", 600))
    driver = new_driver(redis_server, tmp_path / "spool", playbook)
    with pytest.raises(CoordinationError, match="machine a has a worker already, on elsewhere"):
        asyncio.run(driver.begin())
    assert Spool(tmp_path / "spool").lock()


def test_what_was_cut_is_told_and_noted(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    job_id = submit(coordinator, "vm", results_limit=3)

    async def work() -> list[str]:
        driver = new_driver(redis_server, tmp_path / "spool", playbook)
        job = await take(driver, coordinator)
        coordinator.runs.abort(job_id.rpartition(".")[0], make_reason("enough"))
        write_results(job, "worked")
        notes = await driver.hand_in(job)
        await driver.end()
        return notes

    notes = asyncio.run(work())
    assert len(notes) == 1 and "test-work/stdout: cut to its last 3 of 6 bytes" in notes[0]
    assert text_handed_in(redis_server, job_id, tmp_path) == "ked"
    collected, handed_in = coordinator.history.events(job_id.rpartition(".")[0])[-2:]
    assert (collected["what"], collected["node"], collected["data"]) == ("collected", "node-1", {"notes": notes})
    assert handed_in["what"] == "handed_in"


def test_results_for_which_a_disk_has_no_place_are_kept_on_another(full_disk: Path, tmp_path: Path) -> None:
    job = Spool(full_disk).job("20260131T120000-k3f9.1.1")
    job.begin({})
    base = tmp_path / "runs"
    folder = _folders.create(base, job.job_id, {})
    _folders.keep_results(folder, job.results)
    stdout = _folders.results(folder) / "test-work" / "stdout"
    stdout.parent.mkdir()
    stdout.write_bytes(os.urandom(200000))
    said = stdout.read_bytes()
    assert _undo.undo(folder) == []
    assert not folder.exists()
    with job.packed(1000000, []) as archive:
        assert archive is not None
        _results_archive.unpack(archive, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "test-work" / "stdout").read_bytes() == said
    job.remove()
    assert list(base.iterdir()) == [] and Spool(full_disk).left() == []


def test_a_full_disk_is_said_in_a_sentence(full_disk: Path) -> None:
    spool = Spool(full_disk)
    with pytest.raises(NodeError, match="the node job cannot be written down in .*: No space left on device"):
        spool.job("20260131T120000-k3f9.1.1").begin({"text": "x" * 100000})
    with (
        pytest.raises(NodeError, match="the script tree cannot be written to .*: No space left on device"),
        spool.place_for_tree("a" * 64) as (_path, partial),
    ):
        assert partial is not None
        partial.write_bytes(os.urandom(100000))
    assert list((full_disk / "trees").iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc", "..", "a/b", "", ".hidden"])
def test_no_name_leads_out_of_the_spool(tmp_path: Path, name: str) -> None:
    spool = Spool(tmp_path / "spool")
    with pytest.raises(NodeError, match="is no id of a node job"):
        spool.job(name)
    with pytest.raises(InputError, match="is no name of a file to exchange"), spool.place_for_tree(f"../{name}/x"):
        pass
