# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.inventory import cluster as plugin

COLLECTIONS = plugin.__file__.split("/ansible_collections/", maxsplit=1)[0]
CLUSTER = """
ip0: 5
nodes:
  vm--1: {roles: [server, iperf-server], macs: ["02-00-00-00-00-01"]}
  vm--2: {roles: [client]}
"""


def inventory(folder: Path, source: str, *, cluster: str = CLUSTER) -> subprocess.CompletedProcess[str]:
    """What ansible-inventory makes of an inventory source beside a cluster file."""
    (folder / "cluster").mkdir(exist_ok=True)
    (folder / "cluster" / "rack").write_text(cluster)
    (folder / "lab.cluster.yml").write_text(f"plugin: lab.multidevice.cluster\n{source}\n")
    return subprocess.run(
        [sys.executable, "-m", "ansible.cli.inventory", "-i", "lab.cluster.yml", "--list", "--export"],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "ANSIBLE_INVENTORY_ENABLED": "lab.multidevice.cluster",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
            "ANSIBLE_HOME": str(folder / ".ansible"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def plain(value: t.Any) -> t.Any:
    """The value without the marks that keep it from being taken for a template."""
    if isinstance(value, dict):
        return (
            value["__ansible_unsafe"]
            if list(value) == ["__ansible_unsafe"]
            else {k: plain(v) for k, v in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("source", "prefix"),
    [
        ("cluster: rack", ""),
        ("cluster: ./cluster/rack\ngroup_prefix: role_\ncluster_paths: [/nowhere]", "role_"),
    ],
)
def test_hosts_and_groups(tmp_path: Path, source: str, prefix: str) -> None:
    done = inventory(tmp_path, source)
    assert done.returncode == 0, done.stderr
    listed = plain(json.loads(done.stdout))
    assert {name: group["hosts"] for name, group in listed.items() if "hosts" in group} == {
        f"{prefix}server": ["vm--1"],
        f"{prefix}iperf_server": ["vm--1"],
        f"{prefix}client": ["vm--2"],
    }
    assert listed["_meta"]["hostvars"] == {
        "vm--1": {
            "multidevice_cluster": "rack",
            "multidevice_roles": ["server", "iperf-server"],
            "multidevice_macs": ["02:00:00:00:00:01"],
            "multidevice_queue": "vm",
        },
        "vm--2": {
            "multidevice_cluster": "rack",
            "multidevice_roles": ["client"],
            "multidevice_macs": [],
            "multidevice_queue": "vm",
        },
    }


CONSTRUCTED = """
cluster: rack
strict: true
compose:
  ansible_host: inventory_hostname ~ '.' ~ domain
  first_mac: multidevice_macs | first | default('none')
groups:
  wired: multidevice_macs | length > 0
  reached: ansible_host is defined
keyed_groups:
  - {key: shelf, prefix: shelf}
  - {key: multidevice_queue, prefix: "", separator: ""}
"""


def test_variables_and_groups_are_made_of_what_is_known(tmp_path: Path) -> None:
    for name, text in {
        "host_vars/vm--1.yml": "shelf: low",
        "host_vars/vm--2.yml": "{shelf: high, domain: far.example.com}",
        "group_vars/all.yml": "domain: lab.example.com",
        "group_vars/server.yml": "power: high",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = inventory(tmp_path, CONSTRUCTED)
    assert done.returncode == 0, done.stderr
    listed = plain(json.loads(done.stdout))
    groups = {name: group["hosts"] for name, group in listed.items() if "hosts" in group}
    assert {name: groups[name] for name in ("wired", "reached", "shelf_low", "shelf_high", "vm")} == {
        "wired": ["vm--1"],
        "reached": ["vm--1", "vm--2"],
        "shelf_low": ["vm--1"],
        "shelf_high": ["vm--2"],
        "vm": ["vm--1", "vm--2"],
    }
    hosts = listed["_meta"]["hostvars"]
    assert [hosts[name]["ansible_host"] for name in hosts] == ["vm--1.lab.example.com", "vm--2.far.example.com"]
    assert [hosts[name]["first_mac"] for name in hosts] == ["02:00:00:00:00:01", "none"]
    assert [hosts[name]["shelf"] for name in hosts] == ["low", "high"]


@pytest.mark.parametrize(
    ("source", "cluster", "expected"),
    [
        ("cluster: rack\nstrict: true\ncompose: {a: nowhere}", CLUSTER, "Could not set a for host vm--1"),
        ("cluster: shelf", CLUSTER, 'no cluster file "shelf" in'),
        ("cluster: rack", 'nodes: {"{{ x }}": {roles: [a]}}', "a node's name starts with"),
    ],
)
def test_bad_sources(tmp_path: Path, source: str, cluster: str, expected: str) -> None:
    done = inventory(tmp_path, source, cluster=cluster)
    assert done.returncode != 0
    assert expected in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lab.cluster.yml", True),
        ("cluster.yaml", True),
        ("lab.yml", False),
        ("cluster", False),
        ("absent.cluster.yml", False),
    ],
)
def test_names_of_sources(tmp_path: Path, name: str, expected: bool) -> None:
    if not name.startswith("absent"):
        (tmp_path / name).write_text("plugin: lab.multidevice.cluster\n")
    assert plugin.InventoryModule().verify_file(str(tmp_path / name)) is expected
