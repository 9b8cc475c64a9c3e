# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules as tasks of real playbooks, in the controller and on another machine, and the operators' playbooks."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission

from coordination.moments import Trips
from support.plans import make_plan, one_server_and
from support.redis_server import RedisServer

BIN = pathlib.Path(sys.executable).parent
PASSWORD = "gehe1m"

# A machine that is not the controller, as far as Ansible can tell: everything goes through its connection.
ELSEWHERE = """
from __future__ import annotations

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = '''
name: elsewhere
short_description: A machine that is not the controller
description: As local, under another name.
author: lab.multidevice contributors (@lab)
extends_documentation_fragment: connection_pipelining
options: {}
'''


class Connection(Local):
    transport = "elsewhere"
"""


class Playbooks:
    """Runs playbooks against one server, and gives their tasks' results by the tasks' names and hosts."""

    def __init__(self, folder: pathlib.Path, repository: pathlib.Path, server: RedisServer) -> None:
        self.folder = folder
        self.repository = repository
        self.server = server
        self.coordinator = Coordinator.connect(RedisSettings(url=server.url, password=PASSWORD))
        (folder / "connection_plugins").mkdir()
        (folder / "connection_plugins" / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")

    def call(
        self,
        playbook: str | pathlib.Path,
        *options: str,
        hosts: dict[str, dict[str, t.Any]] | None = None,
        redis: bool = True,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        inventory = self.folder / "hosts.json"
        common = {"ansible_python_interpreter": sys.executable}
        inventory.write_text(json.dumps({"all": {"hosts": hosts or {}, "vars": common}}), encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MULTIDEVICE_")}
        environment.update(ANSIBLE_COLLECTIONS_PATH=str(self.repository / "playbooks" / "collections"), NO_COLOR="1")
        environment.update(ANSIBLE_CONNECTION_PLUGINS=str(self.folder / "connection_plugins"))
        environment.update(variables)
        if redis:
            environment.update(MULTIDEVICE_REDIS_URL=self.server.url, MULTIDEVICE_REDIS_PASSWORD=PASSWORD)
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", str(inventory), str(playbook), *options],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert PASSWORD not in done.stdout + done.stderr
        return done

    def run(
        self, tasks: list[dict[str, t.Any]], jobs: t.Iterable[str], *options: str, **play: t.Any
    ) -> list[dict[str, dict[str, t.Any]]]:
        """What the tasks of each host have registered, in the order of the jobs."""
        registered = [task["register"] for task in tasks if "register" in task]
        values = ", ".join(f"'{name}': {name}" for name in registered)
        last = {"copy": {"content": "{{ {" + values + "} | to_json }}", "dest": "{{ inventory_hostname }}.json"}}
        last["copy"]["dest"] = f"{self.folder}/" + last["copy"]["dest"]
        hosts = {f"host-{number}": {"job_id": job, "ansible_connection": "local"} for number, job in enumerate(jobs)}
        (self.folder / "playbook.yml").write_text(
            json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [*tasks, last], **play}]), encoding="utf-8"
        )
        done = self.call("playbook.yml", *options, hosts=hosts)
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads((self.folder / f"{host}.json").read_text(encoding="utf-8")) for host in hosts]


def module(name: str, register: str | None = None, /, **options: t.Any) -> dict[str, t.Any]:
    task: dict[str, t.Any] = {f"lab.multidevice.cluster_{name}": {"job_id": "{{ job_id }}", **options}}
    if register:
        task.update(register=register, ignore_errors=True)
    return task


def jobs_of(plan: t.Mapping[str, t.Any]) -> list[str]:
    return [node["job_id"] for node in plan["runs"][0]["nodes"]]


@pytest.fixture
def playbooks(
    tmp_path: pathlib.Path, repository: pathlib.Path, start_server: t.Callable[..., RedisServer]
) -> Playbooks:
    return Playbooks(tmp_path, repository, start_server("--requirepass", PASSWORD))


WAIT = [
    {
        "lab.multidevice.cluster_barrier": {"job_id": "{{ job_id }}", "name": "{{ barrier }}", "slice": 0.2},
        "register": "answer",
    },
    {"include_tasks": "wait.yml", "when": "answer.answer == 'retry'"},
]


@pytest.mark.parametrize(("strategy", "forks"), [("linear", 1), ("linear", 5), ("free", 1), ("free", 3)])
def test_hosts_meet_with_any_number_of_forks(playbooks: Playbooks, strategy: str, forks: int) -> None:
    plan = make_plan(one_server_and(3))
    playbooks.coordinator.registration.register(plan)
    (playbooks.folder / "wait.yml").write_text(json.dumps(WAIT), encoding="utf-8")
    first_arrives = module("barrier", name="start", operation="arrive")
    results = playbooks.run(
        [
            first_arrives,
            {"include_tasks": "wait.yml", "vars": {"barrier": "start"}},
            # No arrival of its own: whoever waits has arrived.
            {"include_tasks": "wait.yml", "vars": {"barrier": "finish"}},
            {"set_fact": {"last": "{{ answer.answer }}"}},
            {"debug": {"msg": "{{ last }}"}, "register": "told"},
        ],
        jobs_of(plan),
        f"--forks={forks}",
        strategy=strategy,
    )
    assert [result["told"]["msg"] for result in results] == ["finish"] * 4
    assert playbooks.coordinator.history.info(plan["runs"][0]["cluster_id"])["result"] == "finish"


def test_all_modules_tell_the_truth(playbooks: Playbooks) -> None:
    plan = make_plan(one_server_and(0))
    playbooks.coordinator.registration.register(plan)
    state = {"state": "write_state", "ip": "172.18.0.2"}
    (result,) = playbooks.run(
        [
            module("state", "dry", **state) | {"check_mode": True},
            module("state", "first", **state),
            module("state", "again", **state),
            module("barrier", "dry_arrival", name="start", operation="arrive") | {"check_mode": True},
            module("barrier", "dry_wait", name="start") | {"check_mode": True},
            module("barrier", "arrival", name="start", operation="arrive"),
            module("barrier", "wait", name="start"),
            module("state", "dry_started", state="started") | {"check_mode": True},
            module("state", "started", state="started"),
            module("state", "started_again", state="started"),
            module("message", "dry_send", operation="send", key="port", value="x") | {"check_mode": True},
            module("message", "send", operation="send", key="port", value={"tcp": [5201]}),
            module("message", "received", operation="receive", key="port"),
            module("message", "nothing", operation="receive", key="other", timeout=0.2, slice=0.1),
            module("message", "never", operation="receive", key="other", timeout=0.2),
            module("info", "info", events=True) | {"check_mode": True},
            module("state", "failed", state="failed", script="netperf", exit_code=3),
            module("barrier", "abort", name="ready"),
            module("barrier", "calm_abort", name="ready", fail_on_abort=False),
            module("message", "aborted", operation="receive", key="other"),
            module("state", "wrong", state="write_state"),
            module("barrier", "unknown", name="start") | {"vars": {"job_id": "20260131T120000-none.1.1"}},
            module("state", "strange", state="started", bogus=1),
        ],
        jobs_of(plan),
    )
    changed = {name for name, one in result.items() if one["changed"]}
    assert changed == {
        *("dry", "first", "dry_arrival", "dry_wait", "arrival", "dry_started", "started"),
        *("dry_send", "send", "failed"),
    }
    assert {name for name, one in result.items() if one.get("failed")} == {
        *("never", "abort", "aborted", "wrong", "unknown", "strange")
    }
    assert [result[name]["answer"] for name in ("dry_arrival", "dry_wait", "arrival", "wait")] == [
        *("retry", "retry", "start", "start")
    ]
    assert result["received"]["value"] == '{"tcp": [5201]}'
    # It was there already: nothing of the slice of ten seconds was waited for.
    assert result["received"]["waited"] < 5 and result["nothing"]["waited"] >= 0.1
    assert result["nothing"]["answer"] == "retry"
    cluster_id = plan["runs"][0]["cluster_id"]
    assert result["never"]["msg"] == f"run {cluster_id}: no node sent other within 0.2 s"
    assert result["info"]["run"]["nodes"]["node-1"]["ip"] == "172.18.0.2"
    assert result["info"]["roles_ip"] == {"direct_server_ips": "10.0.0.1", "server": "172.18.0.2"}
    assert [event["what"] for event in result["info"]["events"]][:2] == ["registered", "write_state"]
    aborted = f"run {cluster_id} was aborted: script netperf failed with exit code 3 on node node-1"
    assert result["abort"]["msg"] == result["calm_abort"]["msg"] == result["aborted"]["msg"] == aborted
    assert result["abort"]["reason"]["exit_code"] == 3
    assert "missing: ip" in result["wrong"]["msg"]
    assert "is not known to Redis at" in result["unknown"]["msg"]
    assert "Unsupported parameters" in result["strange"]["msg"]


def test_where_redis_is_is_said_once(playbooks: Playbooks) -> None:
    """In variables, which may be templates, or as defaults of an action group; options win, and the environment comes last."""
    where = {"redis_url": playbooks.server.url, "redis_password": PASSWORD}
    variables = {"multidevice_redis_url": "unix://{{ socket }}", "multidevice_redis_password": "{{ password }}"}
    variables |= {"socket": playbooks.server.url.removeprefix("unix://"), "password": PASSWORD}
    wrong = {"multidevice_redis_url": "unix:///nowhere", "multidevice_redis_password": "wrong"}
    plays: list[dict[str, t.Any]] = [
        {"vars": variables},
        {"module_defaults": {"group/lab.multidevice.coordination": where}},
        {"module_defaults": {"group/lab.multidevice.all": where}},
        {"module_defaults": {"lab.multidevice.cluster_info": where}, "vars": wrong},
    ]
    task = {"lab.multidevice.cluster_info": {}, "register": "seen"}
    said = {"debug": {"msg": "{{ seen.runs | map(attribute='cluster_id') }}"}}
    plan = make_plan(one_server_and(0))
    playbooks.coordinator.registration.register(plan)
    (playbooks.folder / "playbook.yml").write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task, said], **play} for play in plays]),
        encoding="utf-8",
    )
    done = playbooks.call("playbook.yml", redis=False, MULTIDEVICE_REDIS_URL="unix:///nowhere/else")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(plan["runs"][0]["cluster_id"]) == len(plays), done.stdout


JOB = """\
cluster: machines
if role server:
  script daemon/serve: |
    #!/bin/sh
  serve:
if role client:
  script tests/ask: |
    #!/bin/sh
  ask:
"""
GIVE_BACK = {"job_id": "{{ job_id }}", "state": "absent"}
CLUSTER = """\
nodes:
  machine-1:
    roles: [ server ]
    macs: [ "02:00:00:00:00:01" ]
  machine-2:
    roles: [ client ]
"""


def test_splitting_registers_or_only_looks(playbooks: Playbooks) -> None:
    (playbooks.folder / "job.yaml").write_text(JOB, encoding="utf-8")
    (playbooks.folder / "machines").write_text(CLUSTER, encoding="utf-8")
    job = str(playbooks.folder / "job.yaml")
    split = {"lab.multidevice.cluster_split": {"job": job}, "ignore_errors": True}
    (result,) = playbooks.run(
        [
            split | {"register": "dry", "check_mode": True},
            split | {"register": "made"},
            {"lab.multidevice.cluster_split": {"plan": "{{ made.plan }}"}, "register": "again"},
            {"lab.multidevice.cluster_split": {"job": f"{job}.absent"}, "register": "absent", "ignore_errors": True},
            {"lab.multidevice.cluster_info": {"cluster_id": "{{ dry.runs[0].cluster_id }}"}, "register": "no_info"}
            | {"ignore_errors": True},
            {"lab.multidevice.cluster_info": {"cluster_id": "{{ made.runs[0].cluster_id }}"}, "register": "info"},
            {"lab.multidevice.cluster_info": {}, "register": "all"},
        ],
        ["unused"],
    )
    assert [result[name]["changed"] for name in ("dry", "made", "again")] == [True, True, False]
    assert "is not known" in result["no_info"]["msg"]
    assert list(result["info"]["run"]["nodes"]) == ["machine-1", "machine-2"]
    assert [run["cluster_id"] for run in result["all"]["runs"]] == [result["made"]["runs"][0]["cluster_id"]]
    assert result["absent"]["failed"] and "job.yaml.absent" in result["absent"]["msg"]


def test_what_follows_a_submission_tells_the_truth(playbooks: Playbooks) -> None:
    """In check mode, once, and again: each module says what it would do and does, and check mode does nothing."""
    (playbooks.folder / "job.yaml").write_text(JOB, encoding="utf-8")
    (playbooks.folder / "machines").write_text(CLUSTER, encoding="utf-8")
    plan = plan_submission(str(playbooks.folder / "job.yaml"), submission_id="20260131T120000-k3f9")
    playbooks.coordinator.registration.register(plan)
    results = playbooks.folder / "results"
    report = {"submission": plan["submission_id"], "results": str(results)}
    written = {"plan": plan, "dest": str(results)}
    worker = {"state": "present", "queue": "machine", "machine": "box", "spool": str(playbooks.folder / "spool")}
    cancel = {"submission_id": "{{ queued.submission_id }}", "state": "absent"}
    own = {"cluster_id": plan["runs"][0]["cluster_id"]}

    def three(name: str, **options: t.Any) -> list[dict[str, t.Any]]:
        task = {f"lab.multidevice.cluster_{name}": options}
        title = "give_back" if options == GIVE_BACK else name
        return [
            task | {"register": f"{title}_dry", "check_mode": True},
            task | {"register": f"{title}_done"},
            task | {"register": f"{title}_again"},
        ]

    def look(path: pathlib.Path, register: str) -> dict[str, t.Any]:
        return {"stat": {"path": str(path)}, "register": register}

    page = results / plan["submission_id"] / "report.html"
    (result,) = playbooks.run(
        [
            *three("reserve", job_id="{{ job_id }}"),
            *three("reserve", **GIVE_BACK),
            {"lab.multidevice.cluster_results": {**written, "state": "promised"}, "register": "promised"},
            {"lab.multidevice.cluster_results": written, "register": "results_dry", "check_mode": True},
            look(results, "no_results"),
            *three("results", **written)[1:],
            {"file": {"path": str(page), "state": "absent"}},
            *three("report", **report)[:1],
            look(page, "no_page"),
            *three("report", **report)[1:],
            *three("follow", **own),
            {"lab.multidevice.cluster_split": {"job": "job.yaml", "queued": True}, "register": "queued"},
            *three("queue", **cancel),
            *three("worker", **worker),
        ],
        jobs_of(plan)[:1],
    )
    changed = {name for name, one in result.items() if one["changed"]}
    expected = {f"{name}_{when}" for name in ("reserve", "give_back", "report", "queue") for when in ("dry", "done")}
    # Results are written each time, and a worker says nothing in check mode of what it would find.
    expected |= {"results_dry", "results_done", "results_again", "queued", "worker_dry"}
    assert changed == expected
    assert not [name for name, one in result.items() if one.get("failed")]
    assert not result["no_results"]["stat"]["exists"] and not result["no_page"]["stat"]["exists"]
    assert page.exists()
    assert result["follow_dry"]["lines"] == result["follow_done"]["lines"] != []
    assert [len(result[f"queue_{when}"]["cancelled"]) for when in ("dry", "done", "again")] == [1, 1, 0]


def test_on_another_machine_the_module_itself_runs(playbooks: Playbooks) -> None:
    """Only the gateway reaches Redis; where it is, and the password, is told to it, not to the hosts."""
    plan = make_plan(one_server_and(0))
    (playbooks.folder / "job.yaml").write_text(JOB, encoding="utf-8")
    (playbooks.folder / "machines").write_text(CLUSTER, encoding="utf-8")
    gateway = {
        "delegate_to": "gateway",
        "vars": {"ansible_connection": "elsewhere", "ansible_python_interpreter": sys.executable},
    }
    (playbooks.folder / "playbook.yml").write_text(
        json.dumps(
            [
                {
                    "hosts": "all",
                    "gather_facts": False,
                    "tasks": [
                        {"lab.multidevice.cluster_split": {"plan": plan}} | gateway,
                        {"lab.multidevice.cluster_split": {"job": "job.yaml"}} | gateway,
                        module("state", state="write_state", ip="172.18.0.2") | gateway,
                        module("barrier", name="start") | gateway,
                        module("message", operation="send", key="port", value=5201) | gateway,
                        module("info") | gateway,
                        module("state", state="failed", script="netperf", exit_code=3) | gateway,
                        module("barrier", name="ready") | gateway,
                    ],
                }
            ]
        ),
        encoding="utf-8",
    )
    job = jobs_of(plan)[0]
    done = playbooks.call("playbook.yml", "-vvv", hosts={"host": {"job_id": job, "ansible_connection": "local"}})
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.count("Using module file") == 8, done.stdout
    assert "was aborted: script netperf failed with exit code 3 on node node-1" in done.stdout
    assert playbooks.coordinator.history.info(plan["runs"][0]["cluster_id"])["nodes"]["node-1"]["ip"] == "172.18.0.2"


def test_operators_see_who_is_missing_and_can_end_a_run(playbooks: Playbooks) -> None:
    folder = playbooks.repository / "playbooks"
    done = playbooks.call(folder / "status.yml", redis=False)
    assert done.returncode == 2
    assert "Say where the Redis is that holds the runs" in done.stdout
    done = playbooks.call(folder / "status.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "There are no runs." in done.stdout

    plan, other = make_plan(one_server_and(2)), make_plan(one_server_and(0))
    cluster_id, other_id = plan["runs"][0]["cluster_id"], other["runs"][0]["cluster_id"]
    coordinator = playbooks.coordinator
    coordinator.registration.register(plan)
    coordinator.registration.register(other)
    for job in jobs_of(plan):
        coordinator.barriers.arrive(job, "start")
    for job in jobs_of(plan)[:2]:
        coordinator.barriers.arrive(job, "ready")
    done = playbooks.call(folder / "status.yml")
    for words in (
        f"{cluster_id}: jobs/example.yaml on example: running for 0 s, has passed start",
        "at barrier ready for 0 s: node-1 (server); node-2 (client)",
        "waiting for: node-3 (client), start for 0 s",
        f"{other_id}: jobs/example.yaml on example: registered 0 s ago, no node has begun",
    ):
        assert words in re.sub(r"\b\d+ s\b", "0 s", done.stdout), done.stdout
    done = playbooks.call(folder / "status.yml", "-e", f"cluster_id={other_id}")
    assert cluster_id not in done.stdout

    assert "Say which run" in playbooks.call(folder / "abort.yml").stdout
    reason = {"cluster_id": cluster_id, "reason": "the switch needs a new firmware"}
    done = playbooks.call(folder / "abort.yml", "-e", json.dumps(reason))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the switch needs a new firmware" in done.stdout
    assert coordinator.barriers.arrive(jobs_of(plan)[2], "ready").verdict == "abort"
    done = playbooks.call(folder / "cleanup.yml", "-e", f"cluster_id={cluster_id}", "--check")
    assert "changed=1" in done.stdout
    assert len(coordinator.history.runs()) == 2
    done = playbooks.call(folder / "cleanup.yml", "-e", f"cluster_id={cluster_id}")
    assert "changed=1" in done.stdout, done.stdout + done.stderr
    assert [run["cluster_id"] for run in coordinator.history.runs()] == [other_id]
    assert "changed=0" in playbooks.call(folder / "cleanup.yml", "-e", f"cluster_id={cluster_id}").stdout


def test_a_task_that_waits_takes_three_trips(playbooks: Playbooks) -> None:
    """It sees by its first one whether those that are missing can come at all."""
    plan = make_plan(one_server_and(1))
    playbooks.coordinator.registration.register(plan)
    job = jobs_of(plan)[0]
    # The server knows the command from now on.
    playbooks.coordinator.barriers.arrive(job, "start")
    wait = module("barrier", name="start", slice=0.01)
    play = [{"hosts": "all", "gather_facts": False, "tasks": [wait]}]
    (playbooks.folder / "playbook.yml").write_text(json.dumps(play), encoding="utf-8")
    with Trips(playbooks.coordinator.connection.redis) as trips:
        done = playbooks.call("playbook.yml", hosts={"node-1": {"job_id": job, "ansible_connection": "local"}})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node-1 waits for node-2: another ansible-playbook has to bring it" in done.stdout
    assert trips.commands == ["EVALSHA", "XREAD", "EVALSHA"]
