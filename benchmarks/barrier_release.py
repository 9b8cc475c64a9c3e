# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time from the last arrival at a barrier until all N waiters are released."""

from __future__ import annotations

import functools
import heapq
import random
import threading
import time
import typing as t

import redis
from ansible_collections.lab.multidevice.benchmarks.bare_clients import BareClients, summary
from ansible_collections.lab.multidevice.benchmarks.one_text import POLL_INTERVAL, OneText
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from support.plans import make_plan
from support.redis_server import RedisServer, new_server

ROUNDS = {2: 60, 10: 60, 100: 40, 1000: 20}
ROUNDS_WITH_THREADS = {2: 30, 10: 30, 100: 10, 1000: 5}
SCALED_DOWN = {2: 100, 10: 100, 100: 100, 1000: 10}


def run() -> dict[str, t.Any]:
    with new_server("--maxclients", "6000") as server:
        coordinator = Coordinator.connect(RedisSettings(url=server.url))
        return {
            "bare_clients": {str(waiters): bare(server, coordinator, waiters) for waiters in ROUNDS},
            "threads": {str(waiters): in_threads(server, coordinator, waiters) for waiters in ROUNDS_WITH_THREADS},
            "original": {str(waiters): polling(server, waiters) for waiters in ROUNDS},
        }


def lines(result: dict[str, t.Any]) -> t.Iterator[str]:
    for kind, words in (("bare_clients", "bare clients"), ("threads", "threads")):
        for waiters, one in result[kind].items():
            yield (
                f"{waiters:>5} {words}: release {one['release']['median_ms']:.2f} ms, "
                f"bare PUBLISH {one['publish']['median_ms']:.2f} ms, ratio {one['ratio']:.2f}"
            )
    for waiters, one in result["original"].items():
        yield f"{waiters:>5} waiters that poll every {POLL_INTERVAL:g} s: {one['at_the_real_interval_s']:.1f} s"


def rest(waiters: int) -> None:
    """Until all commands have come to the server and everything is asleep, as when nodes really wait."""
    time.sleep(0.02 + waiters / 20000)


def bare(server: RedisServer, coordinator: Coordinator, waiters: int) -> dict[str, t.Any]:
    """The server's and the protocol's part: whoever waits is a bare socket. Both kinds take turns."""
    releases, publishes = [], []
    cpu_of_releases, cpu_of_publishes = 0.0, 0.0
    publisher = server.client()
    for _ in range(ROUNDS[waiters]):
        subscribers = BareClients(str(server.socket), waiters)
        subscribers.send("SUBSCRIBE", "verdicts")
        subscribers.wait()
        rest(waiters)
        used = cpu_seconds(server)
        begin = time.perf_counter()
        publisher.publish("verdicts", "start")
        subscribers.wait()
        publishes.append(time.perf_counter() - begin)
        publisher.ping()
        cpu_of_publishes += cpu_seconds(server) - used
        subscribers.close()

        plan = make_plan([["client"]] * (waiters + 1))
        cluster_id = plan["runs"][0]["cluster_id"]
        coordinator.registration.register(plan)
        for number in range(1, waiters + 1):
            arrival = coordinator.barriers.arrive(f"{cluster_id}.{number}", "start")
        blocked = BareClients(str(server.socket), waiters)
        # As whoever waits has spoken on its connection before: the subscribers have, too.
        blocked.send("PING")
        blocked.wait()
        stream = f"sched/cluster/{cluster_id}/verdicts"
        blocked.send("XREAD", "BLOCK", "10000", "STREAMS", stream, arrival.position)
        rest(waiters)
        used = cpu_seconds(server)
        begin = time.perf_counter()
        coordinator.barriers.arrive(f"{cluster_id}.{waiters + 1}", "start")
        blocked.wait()
        releases.append(time.perf_counter() - begin)
        publisher.ping()
        cpu_of_releases += cpu_seconds(server) - used
        blocked.close()
        coordinator.runs.remove(cluster_id)
    return compared(releases, publishes) | {
        "server_cpu_us_of_a_release": round(cpu_of_releases / ROUNDS[waiters] * 1e6),
        "server_cpu_us_of_a_publish": round(cpu_of_publishes / ROUNDS[waiters] * 1e6),
    }


def cpu_seconds(server: RedisServer) -> float:
    """What the server has used so far. Other than time, it does not depend on what else the machine does."""
    assert server.process is not None
    with open(f"/proc/{server.process.pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def in_threads(server: RedisServer, coordinator: Coordinator, waiters: int) -> dict[str, t.Any]:
    """With the whole client: whoever waits is a thread in Coordinator.wait, beside one in the client's own pubsub."""
    releases, publishes = [], []
    pool = redis.Redis(unix_socket_path=str(server.socket), decode_responses=True, max_connections=4000)
    for _ in range(ROUNDS_WITH_THREADS[waiters]):
        subscriptions = [pool.pubsub(ignore_subscribe_messages=True) for _ in range(waiters)]
        for subscription in subscriptions:
            subscription.subscribe("verdicts")
            subscription.get_message(timeout=1)
        calls: list[t.Callable[[], t.Any]] = [functools.partial(one.get_message, timeout=30) for one in subscriptions]
        publishes.append(time_threads(calls, lambda: pool.publish("verdicts", "start"), waiters))
        for subscription in subscriptions:
            subscription.close()

        plan = make_plan([["client"]] * (waiters + 1))
        cluster_id = plan["runs"][0]["cluster_id"]
        coordinator.registration.register(plan)
        jobs = [f"{cluster_id}.{number}" for number in range(1, waiters + 2)]
        for job in jobs[:-1]:
            coordinator.barriers.arrive(job, "start")
        waits: list[t.Callable[[], t.Any]] = [
            functools.partial(coordinator.barriers.wait, job, "start", slice_seconds=30) for job in jobs[:-1]
        ]
        releases.append(time_threads(waits, functools.partial(coordinator.barriers.arrive, jobs[-1], "start"), waiters))
        coordinator.runs.remove(cluster_id)
    return compared(releases, publishes)


def time_threads(calls: list[t.Callable[[], t.Any]], release: t.Callable[[], t.Any], waiters: int) -> float:
    ends: list[float] = []

    def wait(call: t.Callable[[], t.Any]) -> None:
        call()
        ends.append(time.perf_counter())

    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    time.sleep(0.05 + waiters / 200)
    assert not ends, "nobody is released before the last one arrives"
    begin = time.perf_counter()
    release()
    for thread in threads:
        thread.join(60)
    assert len(ends) == waiters
    return max(ends) - begin


def compared(releases: list[float], publishes: list[float]) -> dict[str, t.Any]:
    release, publish = summary(releases), summary(publishes)
    return {
        "release": release,
        "publish": publish,
        "ratio": round(release["median_ms"] / publish["median_ms"], 2),
        "ratio_of_best": round(release["best_ms"] / publish["best_ms"], 2),
    }


def polling(server: RedisServer, waiters: int) -> dict[str, t.Any]:
    """The original's way: each waiter reads the whole text at its own beat. The beat is scaled down, and said so."""
    interval = POLL_INTERVAL / SCALED_DOWN[waiters]
    times = []
    for _ in range(3):
        cluster = OneText(server.client(), "original")
        cluster.begin(waiters + 1)
        for number in range(1, waiters + 1):
            cluster.report(f"job-{number}", "start")
        beats = [(random.uniform(0, interval), number) for number in range(waiters)]
        heapq.heapify(beats)
        cluster.report(f"job-{waiters + 1}", "start")
        begin = time.perf_counter()
        while beats:
            beat, number = heapq.heappop(beats)
            time.sleep(max(0.0, begin + beat - time.perf_counter()))
            if not cluster.all_are("start"):
                heapq.heappush(beats, (beat + interval, number))
        times.append(time.perf_counter() - begin)
    measured = summary(times)
    return {
        "poll_interval_s": interval,
        "scaled_down_by": SCALED_DOWN[waiters],
        "release": measured,
        "at_the_real_interval_s": round(measured["median_ms"] / 1000 * SCALED_DOWN[waiters], 1),
    }
