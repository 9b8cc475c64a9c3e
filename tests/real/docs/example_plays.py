# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plays that run the examples of all modules, in one playbook, and the ground that they run on.

Whatever an example names that the readers have of their own, there is one of: the machines of a virtual lab, submissions
in a Redis, a job with its scripts, folders. Each play has keys of its own in Redis, so that all examples can be about the
same submission.
"""

from __future__ import annotations

import json
import os
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission

from docs.module_examples import MODULES, PLUGINS, Task, example_documents, example_tasks, replaced
from support.lab_fixture import Lab
from support.plans import make_plan, one_server_and
from support.sites import write_job

TODAY, YESTERDAY = "20260131T120000-k3f9", "20260130T120000-9a2b"
# Not the one that is aborted from outside.
OWN = "20260131T130000-8c2d"
PREFIX = "multidevice_redis_prefix"
MACHINES = {"server-1": ["server"], "client-1": ["client"]}
HOSTS = {**MACHINES, "client-2": ["client"]}
# The cluster files of the inventory plugin's examples: where each is looked for, below the folder of its source or at home.
RACKS = (
    ("{source}/cluster/rack12", HOSTS),
    ("{home}/lab/cluster/rack12", {"box-1": ["server"], "box-2": ["client"]}),
    ("{source}/cluster/rack12", {"switch-1": ["router"], "switch-2": ["router"]}),
)
JOB = """
suite: netperf
cluster: two-servers
if role server:
  netserver:
if role client:
  netperf:
"""
JOB_FOR_ONE = """
suite: netperf
cluster: one-client
if role client:
  netperf:
"""
ADDRESSES = "Look at the addresses"
TAKE_DOWN_PAIR = "Take the pair down"
GROUPS = "Look at the groups"
KNOWN_OF_HOSTS = {
    "groups": "{{ groups }}",
    "addresses": "{{ groups.router | map('extract', hostvars, 'ansible_host') }}",
}


@dataclass
class Ground:
    """Where the playbook is and what its examples find."""

    folder: Path
    home: Path
    lab: Lab
    redis_url: str
    lab_names: tuple[str, str]
    coordinators: dict[str, Coordinator] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = {
            "redis://redis.example.com": self.redis_url,
            "/srv": str(self.folder / "srv"),
            "/opt": str(self.folder / "opt"),
            "/var/tmp": str(self.folder / "var"),
            "/run/user/1000/lab.multidevice/virtual-lab": self.lab.state.folder,
            "pair": self.lab_names[1],
        }
        macs = [*self.lab.macs("server-1"), *self.lab.macs("client-1")]
        self.places |= {f"02:00:00:00:00:0{number}": mac for number, mac in enumerate(macs, 1)}
        self.examples = {module: replaced(example_tasks(module), self.places) for module in MODULES}

    @property
    def site(self) -> Path:
        """The folder of the playbook, in which ansible-playbook is started."""
        return self.folder / "site"

    @property
    def results(self) -> Path:
        return self.folder / "srv" / "results"

    @property
    def python(self) -> dict[str, t.Any]:
        """What a play says that runs something on the lab's machines."""
        return {"ansible_python_interpreter": self.lab.state.settings.python}

    def coordinator(self, play: str) -> Coordinator:
        if play not in self.coordinators:
            self.coordinators[play] = Coordinator.connect(RedisSettings(url=self.redis_url, prefix=f"{play}/"))
        return self.coordinators[play]

    def registered(self, play: str, clients: int, submission_id: str = TODAY, **node: t.Any) -> dict[str, t.Any]:
        """The plan of a run of one server, of which more can be said, and some clients."""
        plan = make_plan(one_server_and(clients), submission_id=submission_id)
        plan["runs"][0]["nodes"][0].update(node)
        self.coordinator(play).registration.register(plan)
        return plan

    def write_jobs(self) -> None:
        write_job(self.folder / "opt" / "lkp-tests", "", daemon_netserver="exec sleep 600", tests_netperf="echo done")
        jobs = self.site / "jobs"
        clusters = {"two-servers": {"server": ["server"], "client": ["client"]}, "one-client": {"client": ["client"]}}
        (jobs / "cluster").mkdir(parents=True)
        for name, nodes in clusters.items():
            content = {"nodes": {node: {"roles": roles} for node, roles in nodes.items()}}
            (jobs / "cluster" / name).write_text(json.dumps(content))
        (jobs / "netperf.yaml").write_text(JOB)
        (jobs / "queued.yaml").write_text(JOB_FOR_ONE)
        write_job(self.site / "scripts", "", tests_transfer='echo "$seconds seconds"')
        (self.folder / "srv" / "www").mkdir(parents=True)
        (self.site / "results").symlink_to(self.results)

    def write_inventories(self) -> list[Path]:
        """The examples of the inventory plugin and of the connection plugin, each in a file; returns their names."""
        sources = []
        documents = example_documents(PLUGINS / "inventory" / "cluster.py")
        for number, (document, (place, roles)) in enumerate(zip(documents, RACKS, strict=True)):
            source = self.folder / f"inventory-{number}"
            cluster = Path(place.format(source=source, home=self.home))
            cluster.parent.mkdir(parents=True)
            nodes: dict[str, t.Any] = {node: {"roles": of_node} for node, of_node in roles.items()}
            nodes[next(iter(nodes))]["macs"] = [f"02:00:00:00:{number:02}:01"]
            cluster.write_text(json.dumps({"nodes": nodes}))
            (source / "host_vars").mkdir(parents=True)
            for node in nodes:
                (source / "host_vars" / f"{node}.yml").write_text("rack: '12'\n")
            sources.append(source / "rack12.cluster.yml")
            sources[-1].write_text(json.dumps(document))
        (connection,) = example_documents(PLUGINS / "connection" / "netns.py")
        sources.append(self.folder / "netns.yml")
        sources[-1].write_text(json.dumps(replaced(connection, self.places)))
        return sources

    def write_playbook(self) -> Path:
        self.write_jobs()
        arrive, wait, go_on, *more = self.examples["cluster_barrier"]
        (self.site / "wait.yml").write_text(json.dumps([wait, go_on]))
        plays = [
            *self.coordination_plays(),
            play(
                "cluster_barrier",
                [arrive, {"ansible.builtin.include_tasks": "wait.yml"}, *more],
                "client",
                # Whoever waits for the server is answered more than once that it is not there yet.
                module_defaults={"lab.multidevice.cluster_barrier": {"slice": 0.3}},
                job="{{ jobs[inventory_hostname] }}",
                jobs=dict(zip(HOSTS, self.registered("cluster_barrier", 2)["runs"][0]["nodes"], strict=True)),
                round=1,
            ),
            *self.submission_plays(),
            *self.machine_plays(),
            play("inventory", [{"name": GROUPS, "ansible.builtin.debug": {"msg": KNOWN_OF_HOSTS}}]),
        ]
        playbook = self.site / "playbook.yml"
        playbook.write_text(json.dumps(plays))
        return playbook

    def coordination_plays(self) -> t.Iterator[Task]:
        """Of modules that are about runs which nothing drives."""
        address = {"default_ipv4": {"address": self.lab.address("server-1")}}
        gathered = {"ansible.builtin.set_fact": {**address, "cacheable": True}}
        own = self.registered("cluster_state", 1, OWN)
        self.registered("cluster_state", 0)
        yield play(
            "cluster_state", [gathered, *self.examples["cluster_state"]], "server", job=own["runs"][0]["nodes"][0]
        )
        for name in ("cluster_info", "cluster_message", "cluster_reserve"):
            plan = self.registered(name, 1, direct_ips=["127.0.0.1"])
            yield play(name, self.examples[name], "server", job=plan["runs"][0]["nodes"][0], **self.python)

    def submission_plays(self) -> t.Iterator[Task]:
        """Of modules that are about a job, from its file to its report."""
        yield play("cluster_split", self.examples["cluster_split"])
        plans = {}
        for name, throughput in ((TODAY, 4.1), (YESTERDAY, 3.9)):
            plans[name] = plan_submission(
                str(self.site / "jobs" / "netperf.yaml"),
                submission_id=name,
                script_paths=[str(self.folder / "opt" / "lkp-tests")],
            )
            self.coordinator("cluster_results").registration.register(plans[name])
            take_to_its_end(self.coordinator("cluster_results"), plans[name])
            left = self.results / name / "runs" / "1" / "nodes" / "client" / "test-netperf" / "metrics.json"
            left.parent.mkdir(parents=True)
            left.write_text(json.dumps({"throughput": {"value": throughput, "unit": "Gbit/s"}}))
        of_yesterday = {"lab.multidevice.cluster_results": {"plan": plans[YESTERDAY], "dest": str(self.results)}}
        yield play("cluster_results", [*self.examples["cluster_results"], of_yesterday], plan=plans[TODAY])
        # Results close a run; one that is not closed is followed for a while longer.
        yield play("cluster_follow", [about("cluster_results", task) for task in self.examples["cluster_follow"]])
        gone = {"path": str(self.results / TODAY / "report.html"), "state": "absent"}
        yield play("cluster_report", [{"ansible.builtin.file": gone}, *self.examples["cluster_report"]])
        queued = {
            "lab.multidevice.cluster_split": {
                "job": "jobs/queued.yaml",
                "script_paths": [str(self.folder / "opt" / "lkp-tests")],
                "submission_id": TODAY,
                "queued": True,
            }
        }
        yield play(
            "cluster_worker",
            [queued, *self.examples["cluster_worker"], *hand_in_what_was_taken()],
            module_defaults={"lab.multidevice.cluster_worker": {"spool": str(self.folder / "spool")}},
        )
        collect, *others = self.examples["cluster_queue"]
        # That worker's submission is over, and cannot be cancelled any more.
        yield play("cluster_queue", [queued, about("cluster_worker", collect), *others])

    def machine_plays(self) -> t.Iterator[Task]:
        """Of modules that are about machines."""
        set_up, check, take_back, *others = self.examples["direct_link"]
        card = "$(ip -br link | awk '/{}/ {{print $1}}' | cut -d@ -f1)".format(self.lab.macs("server-1")[0])
        by_hand = {"ansible.builtin.shell": f"ip address add 192.168.222.1/24 dev {card}"}
        look = {"name": ADDRESSES, "ansible.builtin.command": "ip -br address"}
        yield play(
            "direct_link",
            [set_up, check, look, take_back, look, by_hand, look, *others, look],
            "virtual_lab",
            **self.python,
        )
        yield play("role_scripts", self.examples["role_scripts"], "virtual_lab", **self.python)
        own, pair = self.lab_names
        down = {"name": TAKE_DOWN_PAIR, "lab.multidevice.virtual_lab": {"name": pair, "state": "absent"}}
        yield play(
            "virtual_lab",
            [*self.examples["virtual_lab"], down],
            # Somebody may have a lab of the default name.
            module_defaults={"lab.multidevice.virtual_lab": {"name": own}},
        )


def play(
    name: str,
    tasks: Sequence[Task],
    hosts: str = "localhost",
    module_defaults: t.Mapping[str, t.Any] | None = None,
    **variables: t.Any,
) -> Task:
    return {
        "name": name,
        "hosts": hosts,
        "gather_facts": False,
        "module_defaults": module_defaults or {},
        "vars": {PREFIX: f"{name}/", **variables},
        "tasks": tasks,
    }


def about(other_play: str, task: Task) -> Task:
    """A task about what another play has in Redis."""
    return {**task, "vars": {PREFIX: f"{other_play}/"}}


def take_to_its_end(coordinator: Coordinator, plan: t.Mapping[str, t.Any]) -> None:
    """Go through the only run of a submission as its machines would, had they nothing to do."""
    jobs = [node["job_id"] for node in plan["runs"][0]["nodes"]]
    for barrier, report in (("start", "started"), ("ready", "finished"), ("finish", None)):
        for job in jobs:
            coordinator.barriers.arrive(job, barrier)
        for job in jobs if report else ():
            coordinator.nodes.report(job, str(report))


def hand_in_what_was_taken() -> t.Iterator[Task]:
    """What a worker does with a node job, had it nothing to do."""
    job_id = "{{ taken.job.job_id }}"
    for barrier, report in (("start", "started"), ("ready", "finished"), ("finish", None)):
        yield {"lab.multidevice.cluster_barrier": {"job_id": job_id, "name": barrier}}
        if report:
            yield {"lab.multidevice.cluster_state": {"job_id": job_id, "state": report}}
    output = "{{ taken.job.results }}/test-netperf"
    yield {"ansible.builtin.file": {"path": output, "state": "directory", "mode": "0755"}}
    yield {"ansible.builtin.copy": {"content": "done\n", "dest": f"{output}/stdout", "mode": "0644"}}
    yield {"lab.multidevice.cluster_worker": {"state": "done", "job_id": job_id}}


def unique_names() -> tuple[str, str]:
    """Of labs that nobody else has."""
    return f"examples-{os.getpid()}", f"pair-{os.getpid()}"
