# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import find_cluster
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import SAMPLES, needs_samples


@needs_samples
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ceph-cluster",
            [
                ("taishan200-2280-2s48p-256g--a99", ["cephnode1"], ["44:67:47:d7:6d:14"]),
                ("taishan200-2280-2s48p-256g--a32", ["cephnode2"], ["44:67:47:c9:db:38"]),
                ("taishan200-2280-2s48p-256g--a33", ["cephnode3"], ["44:67:47:d7:6c:c4"]),
                ("taishan200-2280-2s64p-256g--a117", ["cephclient1"], ["44:67:47:85:f4:0b"]),
                ("taishan200-2280-2s64p-256g--a118", ["cephclient2"], ["44:67:47:e9:78:cf"]),
                ("taishan200-2280-2s64p-256g--a119", ["cephclient3"], ["44:67:47:e9:79:65"]),
            ],
        ),
        (
            "cs-lkp-hsw-ep5",
            [
                ("lkp-hsw-ep5", ["server"], ["ec:f4:bb:cb:7b:92"]),
                ("lkp-hsw-ep2", ["client"], ["ec:f4:bb:cb:54:92"]),
            ],
        ),
        ("cs-localhost", [("localhost", ["server", "client"], [])]),
        ("cs-vm-2p16g", [("vm-2p16g-multi-node--1", ["server"], []), ("vm-2p16g-multi-node--2", ["client"], [])]),
    ],
)
def test_samples(name: str, expected: list[t.Any]) -> None:
    cluster = find_cluster(name, [str(SAMPLES / "cluster")])
    assert [(node.name, node.roles, node.macs) for node in cluster.nodes] == expected
    assert (cluster.name, cluster.ip0) == (name, 1)
