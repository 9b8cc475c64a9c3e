# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queues: submissions per second, how soon idle workers begin, what many waiting runs and many idle workers cost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import statistics
import tempfile
import time
import typing as t

import redis.asyncio
from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import LONGEST_BLOCK
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import SIGNS_PER_LEASE, Worker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from support.lab_workers import lab_with_workers
from support.plans import make_plan
from support.redis_server import RedisServer, new_server
from support.sites import write_job
from support.waiting import wait_until

SUBMISSIONS = 150
WAITING = 200
IDLE_WORKERS = 1000
WATCHED_SECONDS = 8
LEASE = 30.0
STARTS = 3


def run() -> dict[str, t.Any]:
    with new_server() as server:
        coordinator = Coordinator.connect(RedisSettings(url=server.url))
        return {
            "submissions": submissions(coordinator),
            "next_node_job": next_node_job(coordinator),
            "idle_workers": asyncio.run(idle_workers(server, coordinator)),
            "start": start(),
        }


def lines(result: dict[str, t.Any]) -> t.Iterator[str]:
    for waiting, rate in result["submissions"].items():
        yield f"{rate} submissions of three node jobs per second while {waiting} runs wait"
    for waiting, milliseconds in result["next_node_job"].items():
        yield f"a worker that is done has its next node job after {milliseconds} ms while {waiting} runs wait"
    idle = result["idle_workers"]
    yield f"{idle['workers']} idle workers take {idle['cpu_percent']} % of a core of Redis"
    yield f"with {WAITING} runs that wait for other queues, {idle['cpu_percent_with_waiting_runs']} %"
    if "skipped" in result["start"]:
        yield result["start"]["skipped"]
    else:
        yield f"the first script starts {result['start']['median_s']} s after the submission over idle workers"


def submit(coordinator: Coordinator, queues: t.Sequence[str]) -> str:
    plan = make_plan([["client"] for _ in queues])
    for node, queue in zip(plan["runs"][0]["nodes"], queues, strict=True):
        node["queue"] = queue
    work = {node["job_id"]: dict(node) for node in plan["runs"][0]["nodes"]}
    coordinator.registration.submit(plan, work)
    return str(plan["runs"][0]["cluster_id"])


def forget(coordinator: Coordinator) -> None:
    for run in coordinator.history.runs():
        coordinator.runs.remove(run["cluster_id"])


def submissions(coordinator: Coordinator) -> dict[str, int]:
    """Per second, of one submitter, while so many runs wait."""
    rates = {}
    for waiting in (0, WAITING):
        for _ in range(waiting):
            submit(coordinator, ["x", "y", "z"])
        seconds = 0.0
        for _ in range(SUBMISSIONS):
            begin = time.perf_counter()
            run = submit(coordinator, ["a", "b", "c"])
            seconds += time.perf_counter() - begin
            coordinator.runs.remove(run)
        rates[str(waiting)] = round(SUBMISSIONS / seconds)
        forget(coordinator)
    return rates


def next_node_job(coordinator: Coordinator) -> dict[str, float]:
    """Milliseconds from the end of a node job until its worker has the next one, the median."""
    found = {}
    for waiting in (1, WAITING):
        for _ in range(waiting):
            submit(coordinator, ["x", "busy"])
        worker = Worker("a", "a", "1", "here", 600.0)
        for _ in range(50):
            submit(coordinator, ["a"])
        times = []
        coordinator.queues.register(worker)
        for _ in range(50):
            job = coordinator.queues.renew(worker)
            assert job is not None
            begin = time.perf_counter()
            coordinator.queues.finish_job("a", "1", job)
            coordinator.queues.register(worker)
            times.append((time.perf_counter() - begin) * 1000)
        coordinator.queues.leave("a", "1")
        found[str(waiting)] = round(statistics.median(times), 2)
        forget(coordinator)
    return found


async def idle_workers(server: RedisServer, coordinator: Coordinator) -> dict[str, t.Any]:
    """The CPU that Redis takes while simulated workers wait, each with its two connections."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        f"unix://{server.socket}", max_connections=2 * IDLE_WORKERS + 10, decode_responses=True
    )
    client = redis.asyncio.Redis(connection_pool=pool)
    stop = asyncio.Event()
    workers = [asyncio.create_task(idle_worker(client, number, stop)) for number in range(IDLE_WORKERS)]
    await asyncio.sleep(5)
    quiet = await cpu_percent(client)
    for _ in range(WAITING):
        submit(coordinator, ["elsewhere", "nowhere"])
    busy = await cpu_percent(client)
    stop.set()
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await pool.disconnect()
    return {"workers": IDLE_WORKERS, "cpu_percent": quiet, "cpu_percent_with_waiting_runs": busy}


async def idle_worker(client: redis.asyncio.Redis, number: int, stop: asyncio.Event) -> None:
    """What the relay of a waiting worker does."""
    machine = f"m-{number}"
    keys = [f"sched/{name}" for name in ("cluster_state", "id2cluster", "runs", "cluster/")]
    lease = int(LEASE * 1000)
    await asyncio.sleep(number / IDLE_WORKERS * 3)
    await client.eval(commands.REGISTER_WORKER.text, 4, *keys, machine, f"q-{number}", "1", "here", lease, 1)

    async def renew() -> None:
        while not stop.is_set():
            await client.evalsha(await loaded(client), 4, *keys, machine, "1", lease)
            await asyncio.sleep(LEASE / SIGNS_PER_LEASE)

    async def wait() -> None:
        while not stop.is_set():
            await client.xread({f"sched/worker/{machine}/calls": "0-0"}, block=int(LONGEST_BLOCK * 1000))

    await asyncio.gather(renew(), wait())


_loaded: dict[int, str] = {}


async def loaded(client: redis.asyncio.Redis) -> str:
    if id(client) not in _loaded:
        _loaded[id(client)] = await client.script_load(commands.RENEW_WORKER.text)
    return _loaded[id(client)]


async def cpu_percent(client: redis.asyncio.Redis) -> float:
    before, begin = await cpu_seconds(client), time.perf_counter()
    await asyncio.sleep(WATCHED_SECONDS)
    return round(100 * (await cpu_seconds(client) - before) / (time.perf_counter() - begin), 2)


async def cpu_seconds(client: redis.asyncio.Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def start() -> dict[str, t.Any]:
    """Seconds from the moment in which node jobs enter their queues until the first script runs, real workers."""
    if os.geteuid() != 0:
        return {"skipped": "the machines of a virtual lab are looked into by root only"}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        lab = stack.enter_context(lab_with_workers(folder, ["a", "b"]))
        nodes = {machine: {"roles": ["member"]} for machine in ("a", "b")}
        text = f"suite: start\ncluster_spec: {json.dumps({'nodes': nodes})}\nif role member:\n  work:\n"
        job = write_job(folder / "job", text, tests_work="true\n")
        for machine in ("a", "b"):
            lab.start(machine)
        times = []
        for _ in range(STARTS):
            lab.wait_until_idle("a", "b")
            lab.submit(job, wait=False).wait(60)
            times.append(seconds_to_first_script(lab.coordinator))
        return {"median_s": round(statistics.median(times), 2), "all_s": [round(seconds, 2) for seconds in times]}


def seconds_to_first_script(coordinator: Coordinator) -> float:
    cluster_id = coordinator.history.runs()[-1]["cluster_id"]
    wait_until("the run is over", lambda: coordinator.history.info(cluster_id)["result"] is not None, 60)
    events = coordinator.history.events(cluster_id)
    queued = next(event["time"] for event in events if event["what"] == "queued")
    return float(next(event["time"] for event in events if event["what"] == "script") - queued)
