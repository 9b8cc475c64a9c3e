# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers that are killed or cut off, and a Redis that is restarted: nothing is lost, everybody is told, machines are clean."""

from __future__ import annotations

import json
import signal
import time
import typing as t

import pytest

from support.lab_workers import LabWorkers
from support.sites import write_job
from support.waiting import wait_until
from workers.conftest import Started

# Each pair of machines has a run of its own, so that all phases are tried at the same time.
SERVE = "echo serving\nexec sleep 600\n"
WORK = "echo working\nsleep 8\necho worked\n"
LEASE = 8

Event = t.Mapping[str, t.Any]
Wanted = t.Callable[[Event], bool]


def happened(what: str, node: str | None = None, data: t.Any = None) -> Wanted:
    return lambda event: event["what"] == what and event["node"] == node and (data is None or event["data"] == data)


def script_runs(node: str, kind: str) -> Wanted:
    def holds(event: Event) -> bool:
        if event["what"] != "script" or event["node"] != node:
            return False
        return bool(event["data"]["script"]["kind"] == kind and event["data"]["script"]["state"] == "running")

    return holds


def job_of(lab: LabWorkers, name: str, server: str, client: str, *, daemon: str = SERVE, test: str = WORK) -> str:
    macs = {machine: lab.site.lab.macs(machine) for machine in (server, client)}
    nodes = {server: {"roles": ["server"], "macs": macs[server]}, client: {"roles": ["client"], "macs": macs[client]}}
    text = f"suite: {name}\ncluster_spec: {json.dumps({'nodes': nodes})}\nif role server:\n  serve:\nif role client:\n  work:\n"
    return str(write_job(lab.site.folder / f"job-{name}", text, daemon_serve=daemon, tests_work=test))


class Trial:
    """One run of two machines, and what is done to one of them in the middle."""

    def __init__(self, lab: LabWorkers, name: str, number: int, **scripts: str) -> None:
        self.lab = lab
        self.server, self.client = f"server-{number}", f"client-{number}"
        job = job_of(lab, name, self.server, self.client, **scripts)
        self.play = lab.submit(job, multidevice_lease=LEASE, multidevice_stop_grace=1)

    @property
    def run(self) -> str | None:
        runs = [run for run in self.lab.coordinator.history.runs() if run["job"] == self.play_job]
        return runs[0]["cluster_id"] if runs else None

    @property
    def play_job(self) -> str:
        return str(self.play.variables["job"])

    def wait_for(self, wanted: Wanted, seconds: float = 90) -> None:
        coordinator = self.lab.coordinator

        def has_come() -> bool:
            return self.run is not None and any(map(wanted, coordinator.history.events(self.run)))

        try:
            wait_until("it has come so far", has_come, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.play.output}\n{self.lab.outputs()}") from None

    def text_of(self, node: str, script: str) -> str:
        path = self.play.submission / "runs" / "1" / "nodes" / node / script / "stdout"
        return path.read_text() if path.exists() else ""


PHASES: dict[str, t.Callable[[str], Wanted]] = {
    "claimed": lambda node: happened("taken", node),
    "links up": lambda node: happened("arrive", node, "start"),
    "daemon up": lambda node: script_runs(node, "daemon"),
    "waiting": lambda node: happened("arrive", node, "ready"),
    "testing": lambda node: script_runs(node, "test"),
    "reporting": lambda node: happened("release", None, "finish"),
}
# Who is killed: the daemon is the server's, and only the server waits at "ready" for a client that is slow.
VICTIM = {"daemon up": "server", "waiting": "client"}
BEGUN = {"daemon up", "waiting", "testing"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("relay", [True, False], ids=["with its relay", "ansible-playbook only"])
def test_killed_in_each_phase(lab_workers: Started, relay: bool) -> None:
    phases = dict(enumerate(PHASES if relay else ["claimed", "testing", "reporting"], 1))
    machines = [f"{role}-{number}" for number in phases for role in ("server", "client")]
    with lab_workers(*machines) as lab:
        trials = {}
        for number in phases:
            for role in ("server", "client"):
                lab.start(f"{role}-{number}")
        lab.wait_until_idle(seconds=120)
        for number, phase in phases.items():
            slow = "sleep 5\n" + SERVE if phase == "waiting" else SERVE
            trials[phase] = trial = Trial(lab, phase.replace(" ", "-"), number, daemon=slow)
            victim = f"{VICTIM.get(phase, 'client')}-{number}"
            other = lab.workers[trial.server]
            if phase == "links up":
                # It has bound its links, and the run cannot begin before the other one goes on.
                trial.wait_for(happened("taken", trial.server))
                assert other.send(signal.SIGSTOP, "playbooks/worker.yml")
            trial.wait_for(PHASES[phase](victim))
            lab.workers[victim].kill(relay=relay)
            if phase == "links up":
                assert lab.coordinator.history.info(str(trial.run))["barriers"]["start"]["released"] is None
                trial.wait_for(happened("given_back", victim))
                other.send(signal.SIGCONT, "playbooks/worker.yml")
        for number, phase in phases.items():
            check_end(trials[phase], phase, f"{VICTIM.get(phase, 'client')}-{number}", lab)
        lab.end()
        for machine in machines:
            lab.site.wait_until_clean(machine, 30)
        assert lab.coordinator.reservations.holders() == {}
        assert all(jobs == [] for jobs in lab.coordinator.queues.queues().values())


def check_end(trial: Trial, phase: str, victim: str, lab: LabWorkers) -> None:
    code = trial.play.wait(150)
    about = f"{phase}\n{trial.play.output}\n{lab.outputs()}"
    run = trial.play.summary["runs"][0]
    if phase in BEGUN:
        assert code != 0, about
        assert run["result"] == "abort"
        assert victim in run["reason"]["text"], about
        if phase == "testing":
            assert "working" in trial.text_of(trial.client, "test-work"), about
            assert "serving" in trial.text_of(trial.server, "daemon-serve"), about
    else:
        assert code == 0, about
        assert run["result"] == "finish"
        # Another try of the same node job, or the results that had been left on the machine.
        assert trial.text_of(trial.client, "test-work") == "working\nworked\n", about
        assert "serving" in trial.text_of(trial.server, "daemon-serve"), about


def test_cut_off_and_restarted(lab_workers: Started) -> None:
    """A worker that is cut off from Redis ends by itself; a Redis that is restarted is not noticed."""
    with lab_workers("server-1", "client-1", "server-2", "client-2", redis=["--appendonly", "yes"]) as lab:
        for machine in lab.site.lab.nodes:
            lab.start(machine, multidevice_worker_lease=LEASE)
        lab.wait_until_idle(seconds=90)
        cut = Trial(lab, "cut", 1, test="echo working\nsleep 600\n")
        restarted = Trial(lab, "restarted", 2)
        restarted.wait_for(script_runs("client-2", "test"))
        lab.server.end(signal.SIGKILL)
        time.sleep(1)
        lab.server.start()
        cut.wait_for(script_runs("client-1", "test"))
        lab.site.lab.cut_management("client-1")
        assert cut.play.wait(90) != 0
        run = cut.play.summary["runs"][0]
        assert "client-1" in run["reason"]["text"], run["reason"]
        assert run["reason"]["kind"] == "lost"
        assert restarted.play.wait(90) == 0, restarted.play.output + lab.outputs()
        assert restarted.text_of("client-2", "test-work") == "working\nworked\n"
        lab.site.lab.restore_management("client-1")
        # What it has kept comes in after all, and can be collected.
        cut.wait_for(happened("handed_in", "client-1"), 60)
        again = lab.command(
            "collect.yml", submission=cut.play.submission.name, multidevice_results_dir=str(cut.play.results)
        )
        assert again.process.returncode != 0
        assert cut.text_of("client-1", "test-work") == "working\n", again.output + lab.outputs()
        lab.end()
        for machine in lab.site.lab.nodes:
            lab.site.wait_until_clean(machine, 30)
