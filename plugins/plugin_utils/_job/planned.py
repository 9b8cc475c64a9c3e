# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The plan of a submission, and the node jobs that are made of it: plain data, which goes through JSON as it is."""

from __future__ import annotations

import typing as t


class PlannedScript(t.TypedDict):
    """A script as a node is to run it."""

    id: str
    name: str
    kind: str
    root: str | None
    path: str | None
    content: str | None
    args: list[str]
    env: dict[str, str]
    cpu_shares: dict[str, float]
    ready: dict[str, t.Any] | None
    timeout: float | None


class DirectLink(t.TypedDict):
    """A card and its direct addresses, as the option links of the module direct_link wants it."""

    mac: str
    ip: list[str]
    mtu: t.NotRequired[int]


class SharedPart(t.TypedDict):
    """What nodes with the same roles have in common. It is the same object in all of their node jobs."""

    node: str
    job_id: str
    roles: list[str]
    node_roles: str
    env: dict[str, str]
    cpu_shares: dict[str, float]
    scripts: list[PlannedScript]
    job: dict[str, t.Any]


class PlannedNode(SharedPart):
    """What one node does in one run."""

    direct_macs: list[str]
    direct_ips: list[str]
    direct_prefixes: list[int]
    direct_links: list[DirectLink]
    queue: str
    testbox: str
    nr_nic: int


class PlannedRun(t.TypedDict):
    """One set of parameters on one cluster."""

    cluster_id: str
    number: int
    params: dict[str, t.Any]
    cluster: str
    roles: list[str]
    script_roots: list[str]
    nodes: list[PlannedNode]


class Plan(t.TypedDict):
    """All runs of a submission."""

    submission_id: str
    job: str
    runs: list[PlannedRun]
    warnings: list[str]


class NodeJob(PlannedNode):
    """What a machine is told of its part of a run: what its node does, and what run and submission that is for."""

    cluster_id: str
    number: int
    params: dict[str, t.Any]
    submission_id: str
