# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands and bytes of a report as the run grows, and what is lost when 200 nodes report at once."""

from __future__ import annotations

import functools
import threading
import typing as t

import redis
from ansible_collections.lab.multidevice.benchmarks.one_text import OneText
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from support.plans import make_plan
from support.redis_server import RedisServer, new_server

SIZES = (10, 100, 1000, 10000)
SAMPLES = 10
REPORTERS = 200


def run() -> dict[str, t.Any]:
    with new_server() as server:
        coordinator = Coordinator.connect(RedisSettings(url=server.url))
        return {
            "cost_of_a_report": {str(size): cost(server, coordinator, size) for size in SIZES},
            "reporters": REPORTERS,
            "lost": lost(server, coordinator),
            "lost_by_the_original": lost_by_the_original(server),
        }


def lines(result: dict[str, t.Any]) -> t.Iterator[str]:
    for size, one in result["cost_of_a_report"].items():
        ours, original = one["ours"], one["original"]
        yield (
            f"{size:>6} nodes: {ours['commands']:g} command, {ours['bytes']:.0f} bytes, {ours['server_us']:.0f} us; "
            f"the original's way {original['commands']:g} commands, {original['bytes']:.0f} bytes"
        )
    yield f"lost of {result['reporters']} reports at once: {result['lost']}; the original's way loses {result['lost_by_the_original']}"


def cost(server: RedisServer, coordinator: Coordinator, size: int) -> dict[str, t.Any]:
    plan = make_plan([["client"]] * size)
    cluster_id = plan["runs"][0]["cluster_id"]
    coordinator.registration.register(plan)
    coordinator.nodes.report(f"{cluster_id}.1", "started")
    ours = measure(
        server.client(), lambda sample: coordinator.nodes.report(f"{cluster_id}.{sample}", "finished"), "evalsha"
    )
    coordinator.runs.remove(cluster_id)
    cluster = OneText(server.client(), "original")
    cluster.begin(size)
    original = measure(server.client(), lambda sample: cluster.report(f"job-{sample}", "finish"), "get", "set")
    return {"ours": ours, "original": original}


def measure(observer: redis.Redis, report: t.Callable[[int], t.Any], *commands: str) -> dict[str, float]:
    """As the server counts them."""

    def counted() -> tuple[int, int, float]:
        info: dict[str, t.Any] = t.cast(dict, observer.info("everything"))
        called = [info.get(f"cmdstat_{command}", {"calls": 0, "usec": 0}) for command in commands]
        moved = info["total_net_input_bytes"] + info["total_net_output_bytes"]
        return sum(one["calls"] for one in called), moved, sum(one["usec"] for one in called)

    # What the observer itself moves.
    first, second = counted(), counted()
    before = counted()
    for sample in range(1, SAMPLES + 1):
        report(sample)
    after = counted()
    watching = second[1] - first[1]
    return {
        "commands": (after[0] - before[0]) / SAMPLES,
        "bytes": round((after[1] - before[1] - watching) / SAMPLES),
        "server_us": round((after[2] - before[2]) / SAMPLES, 1),
    }


def all_at_once(reports: t.Sequence[t.Callable[[], t.Any]]) -> None:
    gate = threading.Barrier(len(reports))

    def report(one: t.Callable[[], t.Any]) -> None:
        gate.wait(30)
        one()

    threads = [threading.Thread(target=report, args=(one,)) for one in reports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def lost(server: RedisServer, coordinator: Coordinator) -> int:
    plan = make_plan([["client"]] * REPORTERS)
    cluster_id = plan["runs"][0]["cluster_id"]
    coordinator.registration.register(plan)
    clients = [Coordinator.connect(RedisSettings(url=server.url)) for _ in range(REPORTERS)]
    all_at_once(
        [
            functools.partial(one.nodes.report, f"{cluster_id}.{number}", "finished")
            for number, one in enumerate(clients, 1)
        ]
    )
    for one in clients:
        one.close()
    nodes = coordinator.history.info(cluster_id)["nodes"].values()
    coordinator.runs.remove(cluster_id)
    return sum(node["state"] != "finish" for node in nodes)


def lost_by_the_original(server: RedisServer) -> int:
    cluster = OneText(server.client(), "original")
    cluster.begin(REPORTERS)
    clients = [OneText(server.client(), "original") for _ in range(REPORTERS)]
    all_at_once([functools.partial(one.report, f"job-{number}", "finish") for number, one in enumerate(clients, 1)])
    return sum(node["state"] != "finish" for node in cluster.read().values())
