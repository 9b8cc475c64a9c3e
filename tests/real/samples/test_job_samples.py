# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import (
    SAMPLES,
    SUBMISSION,
    JobLab,
    environment,
    needs_samples,
    script_ids,
)

pytestmark = needs_samples


@pytest.fixture
def lab(tmp_path: Path) -> JobLab:
    """A script tree with what the samples name."""
    lab = JobLab(tmp_path)
    lab.scripts("tests/netperf", options=["ip", "runtime", "nr_threads", "test", "send_size"])
    lab.scripts("tests/iperf", options=["runtime", "protocol"])
    lab.scripts("tests/dd", options=["nr_threads", "bs"])
    lab.scripts("daemon/netserver", "daemon/iperf-server", "daemon/nfsd")
    lab.scripts("setup/disk", "setup/fs", "setup/setup-net-buffer", "monitors/ftrace")
    return lab


def sample(lab: JobLab, name: str, **options: t.Any) -> dict[str, t.Any]:
    job = (SAMPLES / "jobs" / f"{name}.yaml").read_text()
    return lab.plan(job.encode(), cluster_paths=[str(SAMPLES / "cluster")], **options)


NETPERF_TESTS = ["TCP_RR", "UDP_RR", "SCTP_RR", "SCTP_STREAM", "UDP_STREAM", "TCP_CRR", "TCP_STREAM", "TCP_MAERTS"]
NETPERF_RUNS = [
    *(
        ({"ip": "ipv4", "nr_threads": threads, "test": test}, {"test": test})
        for threads in ("50%", "200%")
        for test in NETPERF_TESTS
    ),
    *(
        ({"ip": "ipv4", "nr_threads": threads, "test": test}, {"send_size": "10K", "test": test})
        for threads in ("50%", "200%")
        for test in ("SCTP_STREAM_MANY", "TCP_SENDFILE")
    ),
    ({"ip": "ipv4", "test": "SCTP_STREAM"}, {"test": "SCTP_STREAM"}),
]


def test_netperf_makes_21_runs_of_its_three_documents(lab: JobLab) -> None:
    plan = sample(lab, "netperf")
    assert plan["warnings"] == []
    assert [run["params"] for run in plan["runs"]] == [params for params, _unused in NETPERF_RUNS]
    assert [run["number"] for run in plan["runs"]] == list(range(1, 22))
    for run in plan["runs"]:
        params, own = NETPERF_RUNS[run["number"] - 1]
        (node,) = run["nodes"]
        last = run["number"] == 21
        assert run["cluster_id"] == f"{SUBMISSION}.{run['number']}"
        assert (node["node"], node["job_id"], node["roles"]) == (
            "localhost",
            f"{run['cluster_id']}.1",
            ["server", "client"],
        )
        assert script_ids(node) == ["setup-setup-net-buffer"] * last + ["daemon-netserver", "test-netperf"]
        assert node["scripts"][-1]["env"] == own
        assert node["cpu_shares"] == {"nr_threads": 100.0 if last else float(params["nr_threads"].rstrip("%"))}
        assert node["env"] == {
            "suite": "netperf",
            "testcase": "netperf",
            "category": "benchmark",
            "set_nic_irq_affinity": "1",
            "ip": "ipv4",
            "runtime": "300",
            "cluster": "cs-localhost",
        }


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("test=TCP_STREAM nr_threads=1", [{"ip": "ipv4", "nr_threads": 1, "test": "TCP_STREAM"}]),
        (
            {"test": ["TCP_RR", "TCP_SENDFILE"], "nr_threads": "50%"},
            [
                {"ip": "ipv4", "nr_threads": "50%", "test": "TCP_RR"},
                {"ip": "ipv4", "nr_threads": "50%", "test": "TCP_SENDFILE"},
            ],
        ),
        (
            "netperf.test=SCTP_STREAM_MANY nr_threads=100%",
            [{"ip": "ipv4", "nr_threads": "100%", "test": "SCTP_STREAM_MANY"}],
        ),
        ("nr_threads=100%", [{"ip": "ipv4", "test": "SCTP_STREAM", "nr_threads": "100%"}]),
    ],
)
def test_params_pick_and_override(lab: JobLab, params: t.Any, expected: list[dict[str, t.Any]]) -> None:
    assert [run["params"] for run in sample(lab, "netperf", params=params)["runs"]] == expected


def test_iperf_makes_one_run_for_each_protocol(lab: JobLab) -> None:
    plan = sample(lab, "iperf", cluster="cs-vm-2p16g")
    assert [run["params"] for run in plan["runs"]] == [{"protocol": "tcp"}, {"protocol": "udp"}]
    for run in plan["runs"]:
        server, client = run["nodes"]
        assert (server["node"], server["queue"], server["testbox"]) == ("vm-2p16g-multi-node--1",) + (
            "vm-2p16g-multi-node",
        ) * 2
        assert (client["node"], client["node_roles"]) == ("vm-2p16g-multi-node--2", "client")
        assert script_ids(server) == ["daemon-iperf-server"] and script_ids(client) == ["test-iperf"]
        assert environment(client, "test-iperf")["protocol"] == run["params"]["protocol"]
        assert environment(client, "test-iperf")["cluster"] == run["cluster"] == "cs-vm-2p16g"
        assert server["direct_macs"] == server["direct_ips"] == [] and server["nr_nic"] == 0
        assert server["job"]["iperf-server"] is None and "iperf" not in server["job"]


def test_dd_over_nfs_on_a_cluster_without_the_wrapper(lab: JobLab) -> None:
    (run,) = sample(lab, "dd-write-nfs", cluster="cs-lkp-hsw-ep5")["runs"]
    server, client = run["nodes"]
    assert run["params"] == {"nr_threads": "2dd"}
    assert (server["direct_macs"], server["direct_ips"]) == (["ec:f4:bb:cb:7b:92"], ["192.168.222.1"])
    assert (client["direct_macs"], client["direct_ips"]) == (["ec:f4:bb:cb:54:92"], ["192.168.222.2"])
    assert script_ids(server) == ["monitor-ftrace", "setup-disk", "setup-fs", "daemon-nfsd"]
    assert script_ids(client) == ["monitor-ftrace", "setup-fs", "test-dd"]
    assert [script["args"] for script in server["scripts"]] == [[], ["1HDD"], ["ext4"], []]
    assert client["scripts"][1]["args"] == ["nfsv4"]
    assert environment(client, "test-dd")["nr_threads"] == "2" and environment(client, "test-dd")["bs"] == "4k"
    assert environment(client, "monitor-ftrace")["events"].startswith("balance_dirty_pages bdi_dirty_ratelimit")


def test_dd_over_nfs_names_no_cluster(lab: JobLab) -> None:
    lab.write("jobs/job.yaml", (SAMPLES / "jobs" / "dd-write-nfs.yaml").read_bytes())
    assert lab.error() == 'job.yaml, line 1: the job names no cluster; write "cluster: NAME" or "cluster_spec:".'


@pytest.mark.parametrize("in_file_order", [True, False])
def test_ceph_has_one_address_for_each_machine(lab: JobLab, in_file_order: bool) -> None:
    roles = ["cephnode1", "cephnode2", "cephnode3", "cephclient1", "cephclient2", "cephclient3"]
    blocks = [f"if role {role}:\n  fs: [xfs]\n" for role in (roles if in_file_order else reversed(roles))]
    job = "cluster: ceph-cluster\nceph_nodes: [a, b, c]\n" + "".join(blocks)
    (run,) = lab.plan(job, cluster_paths=[str(SAMPLES / "cluster")])["runs"]
    assert [node["direct_ips"] for node in run["nodes"]] == [[f"192.168.222.{number}"] for number in range(1, 7)]
    assert [node["roles"] for node in run["nodes"]] == [[role] for role in roles]
    assert all(node["queue"] == node["node"] for node in run["nodes"])
    assert {node["env"]["ceph_nodes"] for node in run["nodes"]} == {"a\nb\nc"}
    assert run["params"]["cephnode2.fs"] == "xfs"
