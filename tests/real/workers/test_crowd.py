# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many submissions over shared machines, sent at once: each machine works for one run at a time, in the order of their coming."""

from __future__ import annotations

import itertools
import json
import random
import typing as t
from pathlib import Path

import pytest

from support.lab_workers import LabWorkers
from support.plays import Play
from support.repository import REPOSITORY
from support.sites import write_job
from workers.conftest import Started

MACHINES = [f"m-{number}" for number in range(1, 7)]
SUBMISSIONS = 20
SUBMITTERS = 3
SECONDS = 780

# What somebody writes who sends many jobs: the collection's roles in a playbook of one's own.
SEND_MANY = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/lab.multidevice.coordination: {redis_url: "{{ url }}"}
  tasks:
    - name: Submit
      ansible.builtin.include_tasks: one.yml
      loop: "{{ jobs }}"
      loop_control: {loop_var: sent_job}
    - name: Collect
      ansible.builtin.include_role: {name: lab.multidevice.results, tasks_from: collect.yml}
      vars:
        results_submission_id: "{{ sent_id }}"
        results_dir: "{{ multidevice_results_dir }}"
      loop: "{{ sent_ids }}"
      loop_control: {loop_var: sent_id}
"""
SEND_ONE = """
- ansible.builtin.include_role: {name: lab.multidevice.cluster}
  vars: {cluster_job: "{{ sent_job }}", cluster_queued: true, cluster_settings: "{{ settings }}"}
- ansible.builtin.set_fact:
    sent_ids: "{{ sent_ids | default([]) + [cluster_plan.submission_id] }}"
"""
SETTINGS = {
    "start_timeout": 300,
    "ready_timeout": 300,
    "stop_grace": 1,
    "results_limit": 1000000,
    "check_links": False,
    "node_ssh": False,
    "slice": 10,
    "retries": 100,
}


def some_job(folder: Path, machines: t.Sequence[str]) -> str:
    nodes = {machine: {"roles": ["member"]} for machine in machines}
    text = f"suite: crowd\ncluster_spec: {json.dumps({'nodes': nodes})}\nif role member:\n  meet:\n"
    return str(write_job(folder, text, tests_meet='multidevice-barrier all && echo "$job_id"\n'))


def send(lab: LabWorkers, jobs: t.Sequence[str], number: int) -> Play:
    folder = lab.site.folder / f"submitter-{number}"
    folder.mkdir()
    (folder / "one.yml").write_text(SEND_ONE)
    (folder / "many.yml").write_text(SEND_MANY)
    play = Play(
        folder,
        str(folder / "many.yml"),
        cwd=REPOSITORY / "playbooks",
        ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / "playbooks" / "collections"),
        variables={"jobs": list(jobs), "url": lab.submitters_url, "settings": SETTINGS},
    )
    lab.site.plays.append(play)
    return play


@pytest.mark.timeout(900)
def test_many_submissions_at_once(lab_workers: Started) -> None:
    chance = random.Random(7)
    with lab_workers(*MACHINES) as lab:
        for machine in MACHINES:
            lab.start(machine, multidevice_worker_lease=90)
        sets = [chance.sample(MACHINES, chance.choice([2, 3])) for _ in range(SUBMISSIONS)]
        jobs = [some_job(lab.site.folder / f"job-{number}", sets[number]) for number in range(SUBMISSIONS)]
        plays = [send(lab, jobs[number::SUBMITTERS], number) for number in range(SUBMITTERS)]
        for play in plays:
            assert play.wait(SECONDS) == 0, play.output[-5000:] + lab.outputs()
        check_timelines(lab, sum(map(len, sets)))
        summaries = [json.loads(path.read_text()) for play in plays for path in play.results.glob("*/summary.json")]
        assert [summary["result"] for summary in summaries] == ["finish"] * SUBMISSIONS
        texts = [
            path.read_text().strip()
            for play in plays
            for path in play.results.glob("*/runs/1/nodes/*/test-meet/stdout")
        ]
        node_jobs = [node["job_id"] for summary in summaries for node in summary["runs"][0]["nodes"].values()]
        assert sorted(texts) == sorted(node_jobs), "every node job ran once, and its results came back"
        lab.end()
        for machine in MACHINES:
            lab.site.wait_until_clean(machine)


def check_timelines(lab: LabWorkers, node_jobs: int) -> None:
    coordinator = lab.coordinator
    held: dict[str, list[tuple[float, float, float, str]]] = {machine: [] for machine in MACHINES}
    for run in coordinator.history.runs():
        events = coordinator.history.events(run["cluster_id"])
        queued = next(event["time"] for event in events if event["what"] == "queued")
        for machine in MACHINES:
            times = {event["what"]: event["time"] for event in events if event["data"] == machine}
            if times:
                held[machine].append((times["taken"], times["handed_in"], queued, run["cluster_id"]))
    assert sum(map(len, held.values())) == node_jobs
    for machine, turns in held.items():
        for before, after in itertools.pairwise(sorted(turns)):
            assert before[1] <= after[0], f"{machine} worked for two runs at a time: {before}, {after}"
            assert before[2] <= after[2], f"{machine} worked for a later run first: {before}, {after}"
    assert coordinator.reservations.holders() == {}
    assert all(jobs == [] for jobs in coordinator.queues.queues().values())
