# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.status import (
    describe,
    describe_queues,
)

NOW = 1000.0


def make_run(**fields: t.Any) -> dict[str, t.Any]:
    run = {
        "cluster_id": "20260131T120000-k3f9.1",
        "job": "job.yaml",
        "cluster": "lab",
        "phase": "start",
        "result": None,
        "reason": None,
        "registered": 800.0,
        "started": 900.0,
        "finished": None,
        "mode": "push",
    }
    return {**run, **fields}


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({"result": "finish", "finished": 400.0}, ["finished 10 min ago"]),
        (
            {"result": "abort", "finished": 990.0, "reason": {"text": "the fan is off", "node": "client-1"}},
            ["aborted 10 s ago", "    the fan is off (node client-1)"],
        ),
        ({"started": None}, ["registered 3 min ago, no node has begun"]),
        ({"started": None, "mode": "queue"}, ["in its queues for 3 min, no worker has begun"]),
        ({"phase": "registered"}, ["running for 100 s, its nodes are getting ready to start"]),
        ({}, ["running for 100 s, has passed start"]),
    ],
)
def test_how_far_a_run_has_come(fields: dict[str, t.Any], lines: list[str]) -> None:
    first, *others = lines
    assert describe(make_run(**fields), NOW) == [f"20260131T120000-k3f9.1: job.yaml on lab: {first}", *others]


def test_who_waits_for_whom_and_since_when() -> None:
    nodes: dict[str, t.Any] = {
        f"client-{number}": {
            "roles": ["client"],
            "state": "started",
            "times": {"started": 950.0},
            "lease": 1010.0,
        }
        for number in range(1, 31)
    }
    nodes["client-2"]["lease"] = 990.0
    nodes["client-3"].update(state="registered", times={}, lease=None)
    barriers: dict[str, t.Any] = {
        "start": {"since": 910.0, "released": 920.0, "arrived": list(nodes), "missing": []},
        "ready": {
            "since": 958.0,
            "released": None,
            "arrived": ["client-1"],
            "missing": [{"node": name, "roles": ["client"]} for name in list(nodes)[1:]],
        },
        "finish": {"since": None, "released": None, "arrived": [], "missing": []},
    }
    lines = describe(make_run(nodes=nodes, barriers=barriers), NOW)
    assert lines[1] == "    at barrier ready for 42 s: client-1 (client)"
    assert lines[2].startswith("    waiting for: client-2 (client), started for 50 s; client-3 (client), registered; ")
    assert lines[2].endswith("; 9 more")
    assert lines[3:] == ["    not heard from in time: client-2"]


def test_queues_say_who_waits_and_what_workers_do() -> None:
    job = {"job_id": "r.1", "cluster_id": "r", "node": "vm--1", "since": 880.0}
    worker = {"queue": "vm", "since": 400.0, "seen": 995.0, "lease": 1025.0, "job_since": None}
    workers = [
        {**worker, "machine": "host-1", "job_id": "r.2", "job_since": 940.0},
        {**worker, "machine": "host-2", "job_id": None, "seen": 970.0, "lease": 1000.0},
    ]
    queues = {"client": [], "vm": [{**job, "machine": None}, {**job, "job_id": "r.2", "machine": "host-1"}]}
    assert describe_queues(queues, workers, NOW) == [
        "queue client: 0 node jobs wait, no worker",
        "queue vm: 1 node job waits, 2 workers",
        "    vm--1 of run r waits for 2 min",
        "    worker on host-1, busy with r.2 for 60 s",
        "    worker on host-2, free for 10 min, last heard from 30 s ago",
    ]
