# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""A job file on a cluster: which runs it makes, and which node does what in each. Reads files, touches nothing."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils import _names
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_NETWORK
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import (
    LOCALHOST_CLUSTER,
    Cluster,
    ClusterNode,
    find_cluster,
    find_cluster_file,
    load_cluster_file,
    no_cluster_file,
    read_cluster,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.direct_network import (
    Link,
    as_direct_links,
    hand_out_addresses,
    read_mtus,
    read_networks,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.expand import Run, expand
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.job_file import read_job_documents
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.node_scripts import NodeScripts, scripts_of_node
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.planned import (
    Plan,
    PlannedNode,
    PlannedRun,
    SharedPart,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.scripts import Library
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.values import parse_params
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import (
    Block,
    Limits,
    Place,
    did_you_mean,
    error_at,
    kind_of,
    shorten,
)

_SHOWN_NAMES = 10


def plan_submission(
    job_file: str,
    *,
    submission_id: str,
    cluster: str | None = None,
    cluster_paths: t.Sequence[str] = (),
    script_paths: t.Sequence[str] = (),
    direct_network: str | t.Sequence[str] = DEFAULT_NETWORK,
    one_network_per_mac: bool = False,
    mtu: int | str | t.Sequence[int] | None = None,
    params: dict[str, t.Any] | str | None = None,
    limits: Limits = Limits(),
) -> Plan:
    """All runs of a job file, node by node, as plain data.

    Everything that can be wrong with the files or the options raises InputError.
    """
    job_file = str(job_file)
    job_folder = os.path.dirname(job_file) or "."
    trees = [os.path.expanduser(str(path)) for path in _paths(script_paths)]
    for path in trees:
        if not os.path.isdir(path):
            raise InputError(f"script_paths: {shorten(path, 200)} is no folder.")
    library = Library(job_folder, trees)
    clusters = _Clusters(
        [job_folder, os.path.join(job_folder, "cluster")]
        + [os.path.expanduser(str(path)) for path in _paths(cluster_paths)]
        + [os.path.join(path, "cluster") for path in trees],
        cluster,
    )
    planner = _Planner(
        job_file=job_file,
        submission_id=_names.check_submission_id(str(submission_id)),
        library=library,
        clusters=clusters,
        address_options={
            "networks": read_networks(direct_network),
            "one_network_per_mac": one_network_per_mac,
            "mtus": read_mtus(mtu),
        },
        limits=limits,
    )
    documents = read_job_documents(job_file, limits, trees)
    return planner.plan(expand(documents, library, parse_params(params), limits, planner.warn))


def _paths(value: t.Any) -> t.Sequence[str]:
    return [value] if isinstance(value, str) else list(value or ())


class _Clusters:
    """Finds the cluster of a run, each file read once."""

    def __init__(self, folders: t.Sequence[str], chosen: str | None) -> None:
        self._folders = list(dict.fromkeys(folders))
        self._chosen = chosen
        self._read: dict[str, Cluster] = {}

    @property
    def is_chosen(self) -> bool:
        """Whether the cluster was named with the submission, not by the job."""
        return self._chosen is not None

    def of(self, job: Block, roles: t.Sequence[str], limits: Limits) -> Cluster:
        if self._chosen is not None and self._chosen != LOCALHOST_CLUSTER:
            if self._chosen not in self._read:
                self._read[self._chosen] = find_cluster(self._chosen, self._folders, limits=limits)
            return self._read[self._chosen]
        if self._chosen is None and job.get("cluster_spec") is not None:
            return self._inline(job)
        place = job.place_of("cluster")
        name = self._chosen or job.get("cluster")
        if name is None:
            raise error_at(job.place, None, 'the job names no cluster; write "cluster: NAME" or "cluster_spec:".')
        if not isinstance(name, str) or not name:
            raise error_at(place, "cluster", f"expects the name of a cluster file, not {kind_of(name)}.")
        path = find_cluster_file(name, self._folders, place, "cluster")
        if path is not None and name not in self._read:
            self._read[name] = load_cluster_file(path, limits, name)
        if name == LOCALHOST_CLUSTER:
            return _localhost(self._read.get(name), roles, place)
        if path is None:
            raise no_cluster_file(name, self._folders, place, "cluster")
        return self._read[name]

    @staticmethod
    def _inline(job: Block) -> Cluster:
        name = job.get("cluster")
        spec = job["cluster_spec"]
        cluster = read_cluster(
            spec, name if isinstance(name, str) and name else "cluster_spec", job.place_of("cluster_spec")
        )
        return cluster._replace(file=str(job.place_of("cluster_spec").file))


def _localhost(cluster: Cluster | None, roles: t.Sequence[str], place: Place) -> Cluster:
    """One machine with all the roles of the job and no direct links."""
    nodes = cluster.nodes if cluster is not None else [ClusterNode("localhost", [], [], place)]
    if len(nodes) > 1:
        return t.cast(Cluster, cluster)
    node = nodes[0]._replace(roles=list(dict.fromkeys([*nodes[0].roles, *roles])))
    return Cluster(LOCALHOST_CLUSTER, cluster.file if cluster is not None else place.file, 1, [node])


class _Planner:
    def __init__(
        self,
        *,
        job_file: str,
        submission_id: str,
        library: Library,
        clusters: _Clusters,
        address_options: dict[str, t.Any],
        limits: Limits,
    ) -> None:
        self._job_file = job_file
        self._submission_id = submission_id
        self._library = library
        self._clusters = clusters
        self._address_options = address_options
        self._limits = limits
        self._warnings: dict[str, None] = {}
        self._node_jobs = 0
        self._bytes = 0

    def plan(self, runs: t.Sequence[Run]) -> Plan:
        with_roles = [run for run in runs if run.block.roles]
        if not with_roles:
            place = runs[0].block.place if runs else Place(self._job_file, 0)
            raise error_at(place, None, 'the job has no "if role X:" block, so no machine has anything to do.')
        for run in runs:
            if run not in with_roles:
                self.warn(f'{run.block.place}: a document without an "if role X:" block makes no run.')
        planned = [self._run(number, run._replace(block=run.block.clone())) for number, run in enumerate(with_roles, 1)]
        return {
            "submission_id": self._submission_id,
            "job": self._job_file,
            "runs": planned,
            "warnings": list(self._warnings),
        }

    def warn(self, text: str) -> None:
        self._warnings[text] = None

    def _run(self, number: int, run: Run) -> PlannedRun:
        roles = list(run.block.roles)
        cluster = self._clusters.of(run.block, roles, self._limits)
        for role, block in run.block.roles.items():
            if role not in cluster.roles:
                raise error_at(
                    block.place,
                    block.key,
                    f'no node of cluster "{cluster.name}" ({cluster.file}) has the role "{role}".'
                    + did_you_mean(role, cluster.roles),
                )
        nodes = self._taking_part(cluster, roles)
        self._node_jobs += len(nodes)
        if self._node_jobs > self._limits.node_jobs:
            raise InputError(
                f"{self._job_file}: more than {self._limits.node_jobs} node jobs; pick values with params, or split the job."
            )
        links = hand_out_addresses(cluster, nodes, **self._address_options)
        if self._clusters.is_chosen:
            run.block.put("cluster", cluster.name, run.block.place)
        run_id = _names.cluster_id(self._submission_id, number)
        return {
            "cluster_id": run_id,
            "number": number,
            "params": json.loads(json.dumps(run.params)),
            "cluster": cluster.name,
            "roles": roles,
            "script_roots": self._library.roots,
            "nodes": self._nodes(run, run_id, nodes, links),
        }

    def _taking_part(self, cluster: Cluster, roles: t.Sequence[str]) -> list[ClusterNode]:
        wanted = set(roles)
        nodes = [node for node in cluster.nodes if not wanted.isdisjoint(node.roles)]
        left_out = [node.name for node in cluster.nodes if wanted.isdisjoint(node.roles)]
        if left_out:
            shown = ", ".join(left_out[:_SHOWN_NAMES]) + (", ..." if len(left_out) > _SHOWN_NAMES else "")
            self.warn(
                f'{cluster.file}: left out of cluster "{cluster.name}", as they have no role of the job '
                f"({', '.join(roles)}): {shown}."
            )
        return nodes

    def _nodes(
        self, run: Run, run_id: str, nodes: t.Sequence[ClusterNode], links: t.Sequence[list[Link]]
    ) -> list[PlannedNode]:
        shared: dict[tuple[str, ...], SharedPart] = {}
        sizes: dict[tuple[str, ...], int] = {}
        result = []
        for number, (node, of_node) in enumerate(zip(nodes, links, strict=True), 1):
            roles = tuple(node.roles)
            if roles not in shared:
                plan = scripts_of_node(run.block, run.names, roles, self._library.searched, self.warn)
                text = json.dumps(_shared_part(plan, roles))
                shared[roles], sizes[roles] = json.loads(text), len(text)
            self._check_size(sizes[roles])
            result.append(self._node_job(shared[roles], run_id, number, node, of_node))
        return result

    def _node_job(
        self, shared: SharedPart, run_id: str, number: int, node: ClusterNode, links: list[Link]
    ) -> PlannedNode:
        job_id, queue = _names.job_id(run_id, number), _names.queue_of(node.name)
        macs, ips = [link.mac for link in links], [link.ip for link in links]
        job = {
            **shared["job"],
            "submission_id": self._submission_id,
            "cluster_id": run_id,
            "id": job_id,
            "node": node.name,
            "node_roles": shared["node_roles"],
            "direct_macs": " ".join(macs),
            "direct_ips": " ".join(ips),
            "queue": queue,
            "testbox": queue,
            "nr_nic": len(node.macs),
        }
        return {
            **shared,
            "node": node.name,
            "job_id": job_id,
            "direct_macs": macs,
            "direct_ips": ips,
            "direct_prefixes": [link.prefix for link in links],
            "direct_links": as_direct_links(links),
            "queue": queue,
            "testbox": queue,
            "nr_nic": len(node.macs),
            "job": job,
        }

    def _check_size(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._limits.plan_bytes:
            raise InputError(
                f"{self._job_file}: the node jobs would take more than {self._limits.plan_bytes} bytes; "
                "make the job smaller, or pick values with params."
            )


def _shared_part(plan: NodeScripts, roles: t.Sequence[str]) -> SharedPart:
    return {
        "node": "",
        "job_id": "",
        "roles": list(roles),
        "node_roles": " ".join(roles),
        "env": plan.env,
        "cpu_shares": plan.cpu_shares,
        "scripts": plan.scripts,
        "job": plan.job,
    }
