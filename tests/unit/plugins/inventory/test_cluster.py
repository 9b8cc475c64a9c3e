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


@pytest.mark.parametrize(
    ("source", "cluster", "expected"),
    [
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
