# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes per second that a job file is split into and that are registered."""

from __future__ import annotations

import pathlib
import tempfile
import time
import typing as t

from ansible_collections.lab.multidevice.benchmarks.bare_clients import summary
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission

from support.plans import fresh_submission_id
from support.redis_server import new_server

ROUNDS = {10: 20, 1000: 5, 10000: 3}
JOB = """\
suite: transfer
cluster: machines
runtime: 60
if role server:
  transfer-server:
if role client:
  transfer:
    size: 1G
"""


def run() -> dict[str, t.Any]:
    with new_server() as server:
        coordinator = Coordinator.connect(RedisSettings(url=server.url))
        return {str(nodes): measure(coordinator, nodes) for nodes in ROUNDS}


def lines(result: dict[str, t.Any]) -> t.Iterator[str]:
    for nodes, one in result.items():
        if nodes.isdigit():
            yield (
                f"{nodes:>6} nodes: {one['total']['median_ms']:.0f} ms "
                f"(split {one['split']['median_ms']:.0f}, register {one['register']['median_ms']:.0f}), "
                f"{one['nodes_per_second']} nodes/s"
            )


def measure(coordinator: Coordinator, nodes: int) -> dict[str, t.Any]:
    splits, registers, totals = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_files(folder, nodes)
        for _ in range(ROUNDS[nodes]):
            begin = time.perf_counter()
            plan = plan_submission(
                str(folder / "job.yaml"), submission_id=fresh_submission_id(), direct_network="10.0.0.0/8"
            )
            middle = time.perf_counter()
            coordinator.registration.register(plan)
            end = time.perf_counter()
            assert len(plan["runs"][0]["nodes"]) == nodes
            splits.append(middle - begin)
            registers.append(end - middle)
            totals.append(end - begin)
            coordinator.runs.remove(plan["runs"][0]["cluster_id"])
    total = summary(totals)
    return {
        "total": total,
        "split": summary(splits),
        "register": summary(registers),
        "nodes_per_second": round(nodes / (total["median_ms"] / 1000)),
    }


def write_files(folder: pathlib.Path, nodes: int) -> None:
    for kind, script in (("daemon", "transfer-server"), ("tests", "transfer")):
        (folder / kind).mkdir()
        (folder / kind / script).write_text("#!/bin/sh\n", encoding="utf-8")
        (folder / kind / script).chmod(0o755)
    (folder / "job.yaml").write_text(JOB, encoding="utf-8")
    cluster = ["nodes:"]
    for number in range(1, nodes + 1):
        cluster += [
            f"  machine-{number}:",
            f"    roles: [ {'server' if number % 10 == 1 else 'client'} ]",
            f'    macs: [ "02:00:00:{number // 65536:02x}:{number // 256 % 256:02x}:{number % 256:02x}" ]',
        ]
    (folder / "machines").write_text("\n".join(cluster) + "\n", encoding="utf-8")
