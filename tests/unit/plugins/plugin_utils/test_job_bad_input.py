# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("netaddr")

from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import Limits
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.bad_input import GOOD, JOBS, bad_input_lab
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import JobLab


@pytest.fixture
def lab(tmp_path: Path) -> JobLab:
    return bad_input_lab(tmp_path)


# Where the middle of a sentence depends on folders or on the library that reads YAML.
ENDS = {
    "cluster is nearly there": ". Did you mean pair?",
    "reference in text": ' Write a value that holds "{{ }}" in quotes.',
    "ready for nothing": " Did you mean netserver?",
}


@pytest.mark.parametrize("name", JOBS)
def test_bad_jobs(lab: JobLab, name: str) -> None:
    job, expected = JOBS[name]
    started = time.monotonic()
    if isinstance(job, str):
        job = job.encode()
    message = lab.error(job)
    assert message.startswith(expected), message
    assert message.endswith(ENDS.get(name, "")), message
    assert time.monotonic() - started < 10


OPTIONS: dict[str, tuple[dict[str, t.Any], str]] = {
    "script path": ({"script_paths": ["/nowhere"]}, "script_paths: /nowhere is no folder."),
    "network full": ({"direct_network": "10.0.0.0/31"}, 'the direct network 10.0.0.0/31 is full at node "two"'),
    "network too small": ({"direct_network": "10.0.0.0/32"}, "pair: ip0: 1 is out of range"),
    "network with a mask": ({"direct_network": "10.0.0.0/255.255.255.0"}, '"10.0.0.0/255.255.255.0" is no network'),
    "cluster": ({"cluster": "none"}, 'cluster: no cluster file "none" in'),
    "cluster path": ({"cluster": "/nowhere/lab"}, "/nowhere/lab: the file cannot be read: No such file or directory."),
    "cluster name": ({"cluster": "a;b"}, 'cluster: "a;b" is no name of a cluster file'),
    "params": ({"params": "x"}, 'params "x": expects name=value'),
    "params value": ({"params": {"x": {"y": 1}}}, 'params "x": expects a text or a list of texts, not a mapping.'),
    "params list": ({"params": {"x": ["y", ["z"]]}}, 'params "x": expects a text or a list of texts, not a list.'),
    "params name": ({"params": {"if role server": "x"}}, 'params "if role server": this is no name of a parameter'),
    "params NUL": ({"params": {"x": "a\0b"}}, 'params "x": expects a text or a list of texts'),
    "mtu": ({"mtu": 5}, "mtu expects a number from 576 to 65535"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_options(lab: JobLab, name: str) -> None:
    options, expected = OPTIONS[name]
    assert expected in lab.error(GOOD, **options)


def test_the_smallest_network_that_does(lab: JobLab) -> None:
    assert [node["direct_ips"] for node in lab.nodes(GOOD, direct_network="10.0.0.0/30").values()] == [
        ["10.0.0.1"],
        ["10.0.0.2"],
    ]


@pytest.mark.parametrize("limit", ["node_jobs", "plan_bytes"])
def test_limits_are_met_exactly(lab: JobLab, limit: str) -> None:
    job = f"{GOOD}    test: [a, b]\n"
    shared = ("roles", "node_roles", "env", "cpu_shares", "scripts")
    size = 0
    for run in lab.plan(job)["runs"]:
        for node in run["nodes"]:
            own = {name: node["job"][name] for name in ("cluster", "netserver", "netperf") if name in node["job"]}
            size += len(json.dumps({"node": "", "job_id": "", **{name: node[name] for name in shared}, "job": own}))
    enough = {"node_jobs": 4, "plan_bytes": size}[limit]
    assert len(lab.plan(job, limits=Limits(**{limit: enough}))["runs"]) == 2
    assert f"more than {enough - 1} " in lab.error(job, limits=Limits(**{limit: enough - 1}))


def test_files_that_cannot_be_read(lab: JobLab) -> None:
    assert lab.error() == "job.yaml: the file cannot be read: No such file or directory."
    (lab.folder / "jobs" / "job.yaml").mkdir()
    assert lab.error() == "job.yaml: this is no regular file."


def test_large_files_are_refused_before_they_are_read(lab: JobLab) -> None:
    with open(lab.folder / "jobs" / "job.yaml", "wb") as handle:
        handle.truncate(100 * 1024 * 1024)
    assert lab.error() == "job.yaml: the file is larger than 4194304 bytes; this cannot be what was meant."
    with open(lab.tree / "cluster" / "pair", "wb") as handle:
        handle.truncate(100 * 1024 * 1024)
    assert lab.error(GOOD) == "pair: the file is larger than 4194304 bytes; this cannot be what was meant."


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(node_jobs=1), "more than 1 node jobs; pick values with params, or split the job."),
        (Limits(plan_bytes=500), "the node jobs would take more than 500 bytes"),
        (Limits(runs=1), "make more than 1 runs"),
        (Limits(weight=5), "more than 5 values"),
        (Limits(depth=1), "nested more than 1 levels deep"),
        (Limits(file_bytes=10), "is larger than 10 bytes"),
    ],
)
def test_limits(lab: JobLab, limits: Limits, expected: str) -> None:
    job = f"{GOOD}    test: [a, b]\n"
    assert len(lab.plan(job)["runs"]) == 2
    assert expected in lab.error(job, limits=limits)


@pytest.mark.parametrize(
    ("job", "runs", "expected"),
    [
        (f"{GOOD}    test: [a, b]\n", 2, "job.yaml, line 6: "),
        (f"{GOOD}    test: [a, b]\n---\nx: [1, 2]\n", 4, "job.yaml, line 6: "),
        (f"{GOOD}---\nif role client:\n  netperf: {{test: [a, b]}}\n", 3, "job.yaml, line 8: "),
        (f"{GOOD}    test: [a, b, c]\n  sleep: [1, 2]\n", 6, "job.yaml, line 7: "),
        (f"{GOOD}    test: []\n  sleep: [1, 2]\n", 2, "job.yaml, line 7: "),
        (f"{GOOD}---\nx: 1\n---\nx: 2\n", 3, "job.yaml, line 1: "),
    ],
)
def test_the_limit_of_runs_is_that_of_all_documents(lab: JobLab, job: str, runs: int, expected: str) -> None:
    assert len(lab.plan(job, limits=Limits(runs=runs))["runs"]) == runs
    assert lab.error(job, limits=Limits(runs=runs - 1)) == (
        f"{expected}the parameter lists and documents of the job make more than {runs - 1} runs; "
        "shorten them, or pick values with params."
    )


@pytest.mark.parametrize("job", [GOOD, f"{GOOD}x: '$(touch {{}})'\n", f"{GOOD}  sleep: '`touch {{}}`'\n"])
def test_nothing_of_a_job_is_executed(lab: JobLab, job: str) -> None:
    mark = lab.folder / "executed"
    for path in ("tests/netperf", "daemon/netserver"):
        lab.write(f"tree/{path}", f"#!/bin/sh\ntouch {mark}\n", executable=True)
    lab.plan(job.replace("{}", str(mark)))
    assert not mark.exists()
