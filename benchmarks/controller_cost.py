# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU seconds of the controller per node and coordination step, beside what Ansible itself takes for a task."""

from __future__ import annotations

import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from support.plans import make_plan
from support.redis_server import new_server

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
NODES = 20
FORKS = 5
ROUNDS = 3

# What a run does on its way, one task for each step, and as many tasks that do nothing.
STEPS: list[dict[str, t.Any]] = [
    {"lab.multidevice.cluster_state": {"job_id": "{{ job_id }}", "state": "write_state", "ip": "172.18.0.2"}},
    *(
        step
        for barrier, report in (("start", "started"), ("ready", "finished"), ("finish", None))
        for step in (
            {"lab.multidevice.cluster_barrier": {"job_id": "{{ job_id }}", "name": barrier, "operation": "arrive"}},
            {"lab.multidevice.cluster_barrier": {"job_id": "{{ job_id }}", "name": barrier}},
            {"lab.multidevice.cluster_state": {"job_id": "{{ job_id }}", "state": report}} if report else {},
        )
        if step
    ),
    {"lab.multidevice.cluster_info": {"job_id": "{{ job_id }}"}},
]
NOTHING: list[dict[str, t.Any]] = [{"ansible.builtin.debug": {"msg": "{{ job_id }}"}} for _ in STEPS]


def run() -> dict[str, t.Any]:
    with new_server() as server:
        coordinator = Coordinator.connect(RedisSettings(url=server.url))
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            rounds = []
            for _ in range(ROUNDS):
                empty = cpu_seconds(folder, coordinator, server.url, [])
                nothing = cpu_seconds(folder, coordinator, server.url, NOTHING)
                steps = cpu_seconds(folder, coordinator, server.url, STEPS)
                rounds.append((steps, nothing, empty))
        steps, nothing, empty = (sorted(values)[ROUNDS // 2] for values in zip(*rounds, strict=False))
        per = NODES * len(STEPS)
        return {
            "nodes": NODES,
            "steps": len(STEPS),
            "forks": FORKS,
            "cpu_s_of_the_playbook": round(steps, 2),
            "cpu_ms_per_node_and_step": round((steps - empty) / per * 1000, 2),
            "cpu_ms_of_a_task_that_does_nothing": round((nothing - empty) / per * 1000, 2),
        }


def lines(result: dict[str, t.Any]) -> t.Iterator[str]:
    yield (
        f"{result['cpu_ms_per_node_and_step']} ms of CPU per node and step "
        f"(a task that does nothing takes {result['cpu_ms_of_a_task_that_does_nothing']} ms of it); "
        f"{result['nodes']} nodes, {result['steps']} steps, {result['forks']} forks"
    )


def cpu_seconds(folder: pathlib.Path, coordinator: Coordinator, url: str, tasks: list[dict[str, t.Any]]) -> float:
    plan = make_plan([["client"]] * NODES)
    coordinator.registration.register(plan)
    nodes = plan["runs"][0]["nodes"]
    hosts = {node["node"]: {"job_id": node["job_id"]} for node in nodes}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    playbook = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    (folder / "playbook.yml").write_text(json.dumps(playbook), encoding="utf-8")
    program = shutil.which("ansible-playbook")
    assert program is not None
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "playbooks" / "collections"),
        "MULTIDEVICE_REDIS_URL": url,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [program, "-f", str(FORKS), "-i", "hosts.json", "playbook.yml"],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    coordinator.runs.remove(plan["runs"][0]["cluster_id"])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
