# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("netaddr")

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import is_name, is_shell_name
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import load_cluster_file
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import SAMPLES, TWO_NODES, JobLab
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JOB = """
suite: netperf
cluster: pair
runtime: 5m
ip: [ipv4, ipv6]
<< : common.yaml
log: "{{ runtime }}"
ready: {netserver: {port: 12865}}
timeout: {netperf: 90}
script tests/mine: |
  #!/bin/sh
  # - size
if role server:
  netserver: &args {a: {b: c}}
  if [ -e /x ]:
    sleep: 5
if role client:
  nr_threads: 50%
  netperf: *args
  netperf-2: {test: [A, B]}
  mine: -v 'x y'
  if role server:
    sleep: 1
---
runtime: 1h
if role client:
  fs: [ext4, xfs]
"""
PIECES = [
    *[
        "\n",
        " ",
        "  ",
        "\t",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        '"',
        "|",
        ">",
        "&a ",
        "*a",
        "!x ",
        "---",
        "#",
        "%",
    ],
    *[
        "<<: ",
        "<< : common.yaml",
        "<%= runtime %>",
        "<% x %>",
        "{{ runtime }}",
        "{{",
        "}}",
        "if role x:",
        "if role server",
        "if ",
    ],
    *[
        "if role server client:\n  x: 1\n",
        "if [ -e x ]:\n  sleep: 1\n",
        "script tests/x: |\n  x\n",
        "script ",
        "override: {}\n",
    ],
    *[
        "netperf",
        "netperf: ",
        "cluster: ",
        "cluster_spec: ",
        "nodes: ",
        "roles: ",
        "macs: ",
        "ip0: ",
        "ready: ",
        "timeout: ",
    ],
    *[
        "null",
        "~",
        "yes",
        "-1",
        "0",
        "1e999",
        "9" * 30,
        "50%",
        "2dd",
        "5m",
        "é",
        "\u2028",
        "\ufeff",
        "\x00",
        "\x07",
        "\ud7ff",
        "..",
        "/",
    ],
]


def mutated(texts: list[str]) -> st.SearchStrategy[str]:
    """One of the texts with pieces cut out, doubled, and put in."""
    change = st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(["", *PIECES]), st.booleans())

    def apply(text: str, changes: list[tuple[float, int, str, bool]]) -> str:
        for place, length, piece, double in changes:
            start = int(place * len(text))
            cut = text[start : start + length]
            text = text[:start] + (cut + piece + cut if double else piece) + text[start + length :]
        return text

    return st.builds(apply, st.sampled_from(texts), st.lists(change, min_size=1, max_size=6))


KEYS = st.sampled_from(
    [
        "cluster",
        "cluster_spec",
        "nodes",
        "roles",
        "macs",
        "ip0",
        "a",
        "server",
        "if role server",
        "if role client",
        "if x",
        "<<",
    ]
    + [
        "netperf",
        "netperf-2",
        "netserver",
        "fs",
        "test",
        "ready",
        "timeout",
        "port",
        "script tests/x",
        "x y",
        "test.netperf",
    ]
)
SCALARS = st.sampled_from(
    [None, True, 0, 1, -1, 2.5, "", "pair", "server", "client", "50%", "02:00:00:00:00:01", "{{ a }}", "a b", "'"]
)
VALUES: st.SearchStrategy[t.Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)

FUZZ = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def lab(tmp_path: Path) -> JobLab:
    lab = JobLab(tmp_path)
    lab.cluster()
    lab.scripts("tests/netperf", "tests/sleep", options=["ip", "test", "runtime", "nr_threads"])
    lab.scripts("daemon/netserver", "setup/fs", "programs/disk/setup")
    lab.write("jobs/common.yaml", "a: 1\n")
    return lab


def sample_texts(folder: str) -> list[str]:
    return [path.read_text() for path in sorted((SAMPLES / folder).glob("*"))] if SAMPLES.is_dir() else []


def check(lab: JobLab, job: bytes, **options: t.Any) -> None:
    """A job is planned, or refused with one sentence; nothing else comes out."""
    try:
        plan = lab.plan(job, **options)
    except InputError as exc:
        assert "\n" not in str(exc) and str(exc).endswith((".", "?"))
        return
    for run in plan["runs"]:
        assert run["nodes"] and run["roles"]
        ips = [ip for node in run["nodes"] for ip in node["direct_ips"]]
        assert len(ips) == len(set(ips))
        for node in run["nodes"]:
            assert is_name(node["node"]) and all(map(is_name, node["roles"]))
            assert all(is_shell_name(name) and isinstance(text, str) for name, text in node["env"].items())
            ids = [script["id"] for script in node["scripts"]]
            assert len(ids) == len(set(ids)) and all(map(is_name, ids))


@FUZZ
@given(text=mutated([JOB, *sample_texts("jobs")]))
def test_mutated_jobs(lab: JobLab, text: str) -> None:
    check(lab, text.encode("utf-8", "surrogatepass"))


@FUZZ
@given(text=mutated([TWO_NODES, "a: {roles: [server, client], macs: ['02:00:00:00:00:01']}", *sample_texts("cluster")]))
def test_mutated_clusters(lab: JobLab, text: str) -> None:
    path = lab.write("tree/cluster/pair", text.encode("utf-8", "surrogatepass"))
    try:
        cluster = load_cluster_file(str(path))
    except InputError as exc:
        assert "\n" not in str(exc) and str(exc).endswith((".", "?"))
    else:
        assert cluster.nodes
        check(lab, b"cluster: pair\nif role server:\n  netserver:\n")


@FUZZ
@given(content=st.dictionaries(KEYS, VALUES, max_size=8), complete=st.booleans())
def test_jobs_of_unexpected_shapes(lab: JobLab, content: dict[str, t.Any], complete: bool) -> None:
    job = {**content, "cluster": "pair", "if role server": {"netserver": None, **content}} if complete else content
    check(lab, json.dumps(job).encode())


@FUZZ
@given(content=VALUES)
def test_clusters_of_unexpected_shapes(lab: JobLab, content: t.Any) -> None:
    check(lab, json.dumps({"cluster_spec": content, "if role server": {"netserver": None}}).encode())


@FUZZ
@given(content=st.binary(max_size=200))
def test_any_bytes(lab: JobLab, content: bytes) -> None:
    check(lab, content)


@FUZZ
@given(params=st.dictionaries(KEYS | st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=3), max_size=4))
def test_any_params(lab: JobLab, params: dict[str, t.Any]) -> None:
    check(lab, JOB.encode(), params=params)
