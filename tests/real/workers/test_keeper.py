# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps a worker and the results on its machine's disk, beside a real Redis: late, damaged, refused, out of reach."""

from __future__ import annotations

import asyncio
import functools
import http.server
import os
import subprocess
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.exchange import open_exchange, result_name
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import Worker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders, _undo
from ansible_collections.lab.multidevice.plugins.plugin_utils import _results_archive
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._worker_keeper import WorkerKeeper
from ansible_collections.lab.multidevice.plugins.plugin_utils._spool import JobSpool, Spool

from coordination.newest_server import newest_server
from coordination.plans import make_plan
from coordination.redis_server import RedisServer

SMALL = "64k"


class SlowFolder(http.server.SimpleHTTPRequestHandler):
    """A web server that takes longer for a file than a worker's lease lasts."""

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(1.5)
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


def submit(coordinator: Coordinator, queue: str, exchange: str = "redis") -> str:
    """Submit a run of one node; returns the id of its node job."""
    plan = make_plan([["client"]])
    node = plan["runs"][0]["nodes"][0]
    node["queue"] = queue
    settings = {"results_limit": 10000000, "retention": 60}
    work = {"node": node["node"], "exchange": exchange, "settings": settings, "trees": {}}
    coordinator.submit(plan, {node["job_id"]: work})
    return str(node["job_id"])


def new_keeper(
    server: RedisServer, spool: Path, playbook: subprocess.Popen[bytes], *, machine: str = "a", lease: float = 30.0
) -> WorkerKeeper:
    worker = Worker(machine, "vm", os.urandom(4).hex(), f"here:{spool}", lease)
    return WorkerKeeper(worker, Spool(spool), {"redis_url": server.url, "redis_timeout": 5}, playbook.pid)


def take(keeper: WorkerKeeper, coordinator: Coordinator) -> t.Coroutine[t.Any, t.Any, JobSpool]:
    async def taking() -> JobSpool:
        await keeper.begin()
        job_id = await keeper.take(5)
        assert job_id is not None
        job = keeper.spool.job(job_id)
        job.begin(coordinator.queues.work(job_id))
        return job

    return taking()


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
        keeper = new_keeper(redis_server, tmp_path / "spool", playbook, lease=0.6)
        write_results(await take(keeper, coordinator), "worked")
        coordinator.arrive(job_id, "start")
        coordinator.abort(run, {"text": "enough"})
        ending = asyncio.create_task(keeper.end())
        while not ending.done():
            await asyncio.sleep(0.1)
            coordinator.queues.turn()
        await ending

    asyncio.run(work())
    whats = [event["what"] for event in coordinator.events(run)]
    assert "worker_lost" not in whats and whats[-1] == "handed_in"
    assert text_handed_in(redis_server, job_id, tmp_path, slow_web) == "worked"
    assert coordinator.queues.workers() == []
    assert list((tmp_path / "spool" / "jobs").iterdir()) == []


def test_who_comes_back_late_does_not_hand_in_for_who_has_taken_over(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    job_id = submit(coordinator, "vm")

    async def work() -> None:
        late = new_keeper(redis_server, tmp_path / "late", playbook, machine="late")
        await take(late, coordinator)
        # As everybody sees it whose lease has run out.
        coordinator.queues.leave("late", late.worker.token)
        other = new_keeper(redis_server, tmp_path / "other", playbook, machine="other")
        job = await take(other, coordinator)
        coordinator.arrive(job_id, "start")
        write_results(late.spool.job(job_id), "nothing")
        await late.end()
        assert coordinator.queues.open_jobs([job_id.rpartition(".")[0]]) == {job_id: "other"}
        write_results(job, "worked")
        coordinator.arrive(job_id, "ready")
        coordinator.arrive(job_id, "finish")
        assert await other.hand_in(job) == []
        await other.end()

    asyncio.run(work())
    assert text_handed_in(redis_server, job_id, tmp_path) == "worked"
    assert list((tmp_path / "late" / "jobs").iterdir()) == []


def test_a_damaged_node_job_in_the_spool_stops_nobody(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    job_id = submit(coordinator, "vm")

    async def work() -> list[str]:
        keeper = new_keeper(redis_server, tmp_path / "spool", playbook)
        job = await take(keeper, coordinator)
        coordinator.arrive(job_id, "start")
        coordinator.abort(job_id.rpartition(".")[0], {"text": "enough"})
        write_results(job, "worked")
        (job.folder / "work.json").write_text('{"node": "a", "settings": null}')
        notes = await keeper.hand_in(job)
        await keeper.end()
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
        keeper = new_keeper(redis_server, tmp_path / "spool", playbook)
        job = await take(keeper, coordinator)
        coordinator.arrive(job_id, "start")
        coordinator.abort(job_id.rpartition(".")[0], {"text": "enough"})
        write_results(job, "worked")
        with pytest.raises(NodeError, match=f"the results of {job_id} cannot be handed in now, they stay in .*away"):
            await keeper.hand_in(job)
        await keeper.end()

    asyncio.run(work())
    words = Spool(tmp_path / "spool").take_words()
    assert len(words) == 1 and f"the results of {job_id} cannot be handed in now, they stay in " in words[0]
    (tmp_path / "away").mkdir()

    async def go_on() -> None:
        keeper = new_keeper(redis_server, tmp_path / "spool", playbook)
        await keeper.begin()
        for job in keeper.spool.left():
            await keeper.hand_in(job)
        await keeper.end()

    asyncio.run(go_on())
    assert text_handed_in(redis_server, job_id, tmp_path, str(tmp_path / "away")) == "worked"


def test_a_redis_that_is_full_for_a_moment_ends_no_worker(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    client: t.Any = redis_server.client()

    async def work() -> None:
        keeper = new_keeper(redis_server, tmp_path / "spool", playbook, lease=4.0)
        await keeper.begin()
        client.config_set("maxmemory", "1")
        await asyncio.sleep(2.5)
        client.config_set("maxmemory", "0")
        await asyncio.sleep(2.5)
        assert playbook.poll() is None
        assert [worker["machine"] for worker in coordinator.queues.workers()] == ["a"]
        await keeper.end()

    asyncio.run(work())


def test_a_worker_that_ends_itself_has_the_next_one_say_why(
    redis_server: RedisServer, coordinator: Coordinator, playbook: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    async def work() -> None:
        keeper = new_keeper(redis_server, tmp_path / "spool", playbook, lease=1.5)
        await keeper.begin()
        coordinator.queues.leave("a", keeper.worker.token)
        await asyncio.to_thread(playbook.wait, 10)
        await keeper.end()

    asyncio.run(work())
    spool = Spool(tmp_path / "spool")
    assert spool.take_words() == [
        "of the worker before this one: it has ended itself: the worker on a has been given up: it was not heard from in time"
    ]
    assert spool.take_words() == []


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
