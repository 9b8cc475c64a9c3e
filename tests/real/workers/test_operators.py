# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people see who look after queues: states, cancelled and hopeless submissions, controllers beside workers, logins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.lab_workers import LabWorkers
from support.sites import write_job
from support.waiting import wait_until
from workers.conftest import Started

SLEEP = "echo begun\nexec sleep 600\n"
# As the user that scripts are given, on a machine whose worker has the login for Redis in its environment.
PRY = """
id -un
env | grep -ic redis
for process in /proc/[0-9]*; do
    test -r $process/environ && tr '\\0' '\\n' < $process/environ 2>/dev/null | grep -c MULTIDEVICE_REDIS
done | grep -vx 0
find / -xdev -user root -name '*.env' -path '*multidevice*' -readable 2>/dev/null
exit 0
"""


def job_of(lab: LabWorkers, name: str, *machines: str, test: str) -> Path:
    nodes = {machine: {"roles": ["member"]} for machine in machines}
    text = f"suite: {name}\ncluster_spec: {json.dumps({'nodes': nodes})}\nif role member:\n  work:\n"
    return write_job(lab.site.folder / f"job-{name}", text, tests_work=test)


def wait_until_runs(lab: LabWorkers, machine: str) -> None:
    def runs() -> bool:
        coordinator = lab.coordinator
        held = {worker["machine"]: worker["job_id"] for worker in coordinator.queues.workers()}.get(machine)
        events = coordinator.history.events(held.rpartition(".")[0]) if held else []
        return any(event["what"] == "script" and event["node"] == machine for event in events)

    wait_until(f"a script runs on {machine}", runs, 60)


@pytest.mark.timeout(420)
def test_what_operators_do(lab_workers: Started) -> None:
    with lab_workers("a", "b", "c") as lab:
        for machine in ("a", "b"):
            lab.start(machine, multidevice_script_user="nobody" if machine == "b" else "")
        lab.wait_until_idle()

        hopeless = lab.submit(job_of(lab, "hopeless", "a", "c", test=SLEEP), multidevice_queue_timeout=3)
        assert hopeless.wait(60) != 0
        assert "abort: queue c has no worker, for " in hopeless.output
        assert hopeless.summary["runs"][0]["result"] == "abort"

        running = lab.submit(job_of(lab, "running", "a", test=SLEEP))
        wait_until_runs(lab, "a")
        waiting = lab.submit(job_of(lab, "waiting", "a", "b", test="true\n"), wait=False)
        assert waiting.wait(60) == 0
        run = next(run["cluster_id"] for run in lab.coordinator.history.runs() if "job-waiting" in run["job"])
        assert f"run {run}: a in queue a, b in queue b" in waiting.output

        pushed = lab.site.start(
            job_of(lab, "pushed", "a", test="echo pushed\n"), MULTIDEVICE_REDIS_URL=lab.submitters_url
        )
        wait_until("the controller says what it waits for", lambda: "waiting for machines since" in pushed.output, 60)

        status = lab.command("status.yml").output
        assert "queue a: 1 node job waits, 1 worker" in status
        assert f"a of run {run} waits for " in status
        assert "worker on a, busy with " in status
        assert "worker on b, free for " in status

        cancelled = lab.command("cancel.yml", submission=run.rpartition(".")[0], reason="the fan is loud")
        assert cancelled.process.returncode == 0 and f"cancelled: {run}" in cancelled.output
        assert "0 node jobs wait" in lab.command("status.yml").output
        collected = lab.command(
            "collect.yml", submission=run.rpartition(".")[0], multidevice_results_dir=str(waiting.results)
        )
        assert collected.process.returncode != 0 and "the fan is loud" in collected.output

        submission = next(r["submission_id"] for r in lab.coordinator.history.runs() if "job-running" in r["job"])
        assert lab.command("cancel.yml", submission=submission).process.returncode == 0
        assert running.wait(30) != 0
        assert "an operator cancelled the submission" in running.output
        nodes = running.submission / "runs" / "1" / "nodes"
        assert (nodes / "a" / "test-work" / "stdout").read_text() == "begun\n"

        # The machine is the controller's now, whose run came first; the worker waits beside it.
        assert pushed.wait(90) == 0, pushed.output
        assert "a is held by run" in pushed.output

        prying = lab.submit(job_of(lab, "prying", "b", test=PRY))
        assert prying.wait(90) == 0, prying.output + lab.outputs()
        found = prying.submission / "runs" / "1" / "nodes" / "b" / "test-work" / "stdout"
        assert found.read_text() == "nobody\n0\n"
        assert found.stat().st_uid == 0
        lab.end()
        for machine in lab.site.lab.nodes:
            lab.site.wait_until_clean(machine)


def test_wrong_commands_are_refused_in_one_sentence(lab_workers: Started) -> None:
    with lab_workers("a") as lab:
        refused = {
            "cancel.yml": "submission nobody-knows is not known to Redis: never registered, removed or expired",
            "collect.yml": "submission nobody-knows was never put into queues",
        }
        for playbook, sentence in refused.items():
            play = lab.command(playbook, submission="nobody-knows")
            assert play.process.returncode != 0 and sentence in play.output, play.output
        mistyped = {
            "'no/queue' cannot name a queue or a machine": {"queue": "no/queue"},
            "the queue of a node of that name is vm": {"queue": "vm--1"},
            "exchange: 'redsi' is not understood": {"queue": "a", "multidevice_exchange": "redsi"},
        }
        for sentence, variables in mistyped.items():
            worker = lab.command("worker.yml", **{"multidevice_machine": "a", **variables})
            assert worker.process.returncode != 0 and sentence in worker.output, worker.output
        priority = lab.submit(job_of(lab, "urgent", "a", test="true\n"), multidevice_priority=500)
        assert priority.wait(30) != 0 and "priority 500: right would be -100 to 100" in priority.output
        planned = lab.submit(job_of(lab, "planned", "a", test="true\n"), "--check")
        assert planned.wait(30) == 0 and "test work" in planned.output, planned.output
        assert lab.server.client().keys("*") == []
