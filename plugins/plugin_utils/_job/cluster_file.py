# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Cluster files: which machines there are, what each of them is, and which of its network cards are wired."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import (
    is_name,
    is_taken_by_scripts,
    shell_name,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import (
    Block,
    Limits,
    Place,
    did_you_mean,
    error_at,
    kind_of,
    load_documents,
    shorten,
)

LOCALHOST_CLUSTER = "cs-localhost"
_SETTINGS = ("ip0", "switch")
_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}|[0-9a-f]{12}")
_NO_CARD = {"000000000000", "ffffffffffff"}


class ClusterNode(t.NamedTuple):
    name: str
    roles: list[str]
    macs: list[str]
    place: Place


class Cluster(t.NamedTuple):
    name: str
    file: str
    ip0: int
    nodes: list[ClusterNode]

    @property
    def roles(self) -> list[str]:
        return list(dict.fromkeys(role for node in self.nodes for role in node.roles))


def find_cluster_file(name: str, folders: t.Sequence[str], place: Place, key: str | None = None) -> str | None:
    """The first file of that name in the folders; None where there is none."""
    if not is_name(name):
        raise error_at(
            place,
            key,
            f'"{shorten(name)}" is no name of a cluster file: letters, digits, ".", "_" and "-" can be in it.',
        )
    for folder in folders:
        for candidate in (name, f"{name}.yaml", f"{name}.yml"):
            path = os.path.join(folder, candidate)
            if os.path.isfile(path):
                return path
    return None


def no_cluster_file(name: str, folders: t.Sequence[str], place: Place, key: str | None = None) -> InputError:
    near = did_you_mean(name, _files_in(folders))
    return error_at(place, key, f'no cluster file "{shorten(name)}" in {", ".join(folders)}.{near}')


def find_cluster(name: str, folders: t.Sequence[str], *, relative_to: str = ".", limits: Limits = Limits()) -> Cluster:
    """The cluster that someone other than a job names: by its name, or by the path of its file."""
    if os.sep in name:
        return load_cluster_file(os.path.join(relative_to, os.path.expanduser(name)), limits)
    place = Place("cluster", 0)
    path = find_cluster_file(name, folders, place)
    if path is None:
        raise no_cluster_file(name, folders, place)
    return load_cluster_file(path, limits, name)


def _files_in(folders: t.Sequence[str]) -> list[str]:
    names = []
    for folder in folders:
        try:
            names += [entry.name for entry in os.scandir(folder) if entry.is_file()]
        except OSError:
            continue
    return names


def load_cluster_file(path: str, limits: Limits = Limits(), name: str | None = None) -> Cluster:
    documents = [document for document in load_documents(path, limits) if document is not None]
    if len(documents) > 1:
        raise InputError(f"{path}: a cluster file is one YAML document, this one has {len(documents)}.")
    shown = name or re.sub(r"\.ya?ml\Z", "", os.path.basename(path))
    return read_cluster(documents[0] if documents else None, shown, Place(path, 0))


def read_cluster(content: t.Any, name: str, place: Place) -> Cluster:
    """A cluster in any of its forms: with `nodes:` around the machines, or without."""
    if content is None:
        raise error_at(place, None, f'cluster "{shorten(name)}" has no nodes.')
    if not isinstance(content, Block):
        raise error_at(place, None, f"a cluster is a mapping of node names, not {kind_of(content)}.")
    if "nodes" in content:
        nodes = content["nodes"]
        nodes_place = content.place_of("nodes")
        if nodes is not None and not isinstance(nodes, Block):
            raise error_at(nodes_place, "nodes", f"expects a mapping of node names, not {kind_of(nodes)}.")
    else:
        nodes, nodes_place = Block(place), place
        for key in content:
            if key not in _SETTINGS:
                nodes.put(key, content[key], content.place_of(key))
    if not nodes:
        raise error_at(nodes_place, None, f'cluster "{shorten(name)}" has no nodes.')
    cluster = Cluster(
        name=name, file=place.file, ip0=_read_ip0(content), nodes=[_read_node(nodes, node) for node in nodes]
    )
    _refuse_doubles(cluster)
    return cluster


def _read_ip0(content: Block) -> int:
    value = content.get("ip0")
    if value is None:
        return 1
    if isinstance(value, str) and re.fullmatch("[0-9]{1,39}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise error_at(
            content.place_of("ip0"), "ip0", f"expects the number of the first host, such as 1, not {kind_of(value)}."
        )
    return value


def _read_node(nodes: Block, name: str) -> ClusterNode:
    place = nodes.place_of(name)
    if not is_name(name):
        raise error_at(
            place,
            name,
            'a node\'s name starts with a letter, a digit or "_" and goes on with those, "." and "-", without "..".',
        )
    value = nodes[name]
    if not isinstance(value, Block):
        raise error_at(place, name, f"a node is a mapping with roles and macs, not {kind_of(value)}.")
    if "roles" not in value:
        raise error_at(place, name, 'the node has no "roles:"; write "roles: [server]".')
    roles = _texts(value, "roles", name)
    for role in roles:
        check_role(role, value.place_of("roles"), "roles")
    if len(set(roles)) != len(roles):
        raise error_at(value.place_of("roles"), "roles", f'node "{name}" has the same role twice.')
    macs = [_read_mac(mac, value.place_of("macs")) for mac in _texts(value, "macs", name)]
    return ClusterNode(name, roles, macs, place)


def _texts(value: Block, key: str, node: str) -> list[str]:
    content = value.get(key)
    if content is None:
        return []
    if isinstance(content, str):
        return content.split()
    if not isinstance(content, list):
        raise error_at(value.place_of(key), key, f'node "{node}": expects a list, not {kind_of(content)}.')
    for item in content:
        if not isinstance(item, (str, int)) or isinstance(item, bool):
            raise error_at(
                value.place_of(key), key, f'node "{node}": expects a list of texts, but {kind_of(item)} is in it.'
            )
    return [str(item) for item in content]


def check_role(role: str, place: Place, key: str) -> None:
    if not is_name(role):
        raise error_at(
            place,
            key,
            f'"{shorten(role)}" is no name of a role: one word of letters, digits, "_", "." and "-", without "..".',
        )
    if is_taken_by_scripts(role):
        raise error_at(
            place, key, f'a role cannot be called "{role}": scripts know {shell_name(role)} as something else.'
        )


def _read_mac(text: str, place: Place) -> str:
    """The address in lower case with colons, whichever way it was written."""
    match = _MAC.fullmatch(text.strip().lower())
    digits = re.sub("[^0-9a-f]", "", match.group()) if match else ""
    if not digits or digits in _NO_CARD:
        raise error_at(
            place, "macs", f'"{shorten(text)}" is no address of a network card; write it like "02:00:00:00:00:01".'
        )
    return ":".join(digits[start : start + 2] for start in range(0, 12, 2))


def _refuse_doubles(cluster: Cluster) -> None:
    owner: dict[str, ClusterNode] = {}
    for node in cluster.nodes:
        for mac in node.macs:
            if mac in owner:
                raise error_at(
                    node.place, node.name, f'the MAC {mac} is there twice: node "{owner[mac].name}" has it as well.'
                )
            owner[mac] = node
    names: dict[str, str] = {}
    for role in cluster.roles:
        other = names.setdefault(shell_name(role), role)
        if other != role:
            raise error_at(
                Place(cluster.file, 0),
                None,
                f'the roles "{other}" and "{role}" would both be exported as {shell_name(role)}; rename one of them.',
            )
