# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Cluster files: which machines there are, what each of them is, and the addresses of their direct links."""

from __future__ import annotations

import os
import re
import traceback
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._ids import (
    is_name,
    is_taken_by_scripts,
    shell_name,
)
from ansible_collections.lab.multidevice.plugins.module_utils._yaml_source import (
    Block,
    Limits,
    Place,
    did_you_mean,
    error_at,
    kind_of,
    load_documents,
    shorten,
)

NETADDR_IMPORT_ERROR: str | None
try:
    import netaddr

    NETADDR_IMPORT_ERROR = None
except ImportError:
    NETADDR_IMPORT_ERROR = traceback.format_exc()

LOCALHOST_CLUSTER = "cs-localhost"
DEFAULT_NETWORK = "192.168.222.0/24"
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


class Link(t.NamedTuple):
    """One address of one network card."""

    mac: str
    ip: str
    prefix: int
    mtu: int | None


def find_cluster_file(name: str, folders: t.Sequence[str], place: Place) -> str | None:
    """The first file of that name in the folders; None where there is none."""
    if not is_name(name):
        raise error_at(
            place,
            "cluster",
            f'"{shorten(name)}" is no name of a cluster file: letters, digits, ".", "_" and "-" can be in it.',
        )
    for folder in folders:
        for candidate in (name, f"{name}.yaml", f"{name}.yml"):
            path = os.path.join(folder, candidate)
            if os.path.isfile(path):
                return path
    return None


def names_of_cluster_files(folders: t.Sequence[str]) -> list[str]:
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
        raise error_at(place, name, f'the node has no "roles:".{did_you_mean("roles", value)}')
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


class Network(t.NamedTuple):
    """A direct network: host number n has the address `first` + n."""

    text: str
    version: int
    first: int
    prefix: int
    lowest: int
    highest: int

    def address(self, number: int) -> str:
        return str(netaddr.IPAddress(self.first + number, self.version))

    def next_one(self, steps: int) -> Network:
        bits = 32 if self.version == 4 else 128
        first = self.first + steps * (1 << (bits - self.prefix))
        if first >= 1 << bits:
            raise InputError(f"direct network {self.text}: no network of that size is left for MAC number {steps + 1}.")
        return self._replace(first=first, text=f"{netaddr.IPAddress(first, self.version)}/{self.prefix}")


def read_networks(value: t.Any) -> list[Network]:
    """Networks from a text with commas or a list: "192.168.222.0/24,fd00::/64"."""
    texts = [part for part in re.split(r"[,\s]+", value) if part] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not texts:
        raise InputError(f'direct_network expects a network such as "{DEFAULT_NETWORK}", not {kind_of(value)}.')
    return [_read_network(text) for text in texts]


def _read_network(text: t.Any) -> Network:
    if NETADDR_IMPORT_ERROR is not None:
        raise InputError("The Python library netaddr is not installed; it is needed to hand out direct addresses.")
    wrong = InputError(
        f"direct_network {kind_of(text)} is no network; write an address and a prefix length, "
        f'such as "{DEFAULT_NETWORK}" or "fd00:222::/64".'
    )
    if not isinstance(text, str) or not re.fullmatch(r"[0-9A-Fa-f:.]+/[0-9]{1,3}", text):
        raise wrong
    try:
        network = netaddr.IPNetwork(text).cidr
    except (netaddr.AddrFormatError, ValueError) as exc:
        raise wrong from exc
    address = network.network
    if address.is_multicast() or address.is_loopback() or address.is_link_local() or address.words[0] == 0:
        raise InputError(f'direct_network "{text}" cannot be used between machines; take a private one.')
    size = network.size
    if size <= 2:
        lowest, highest = 0, size - 1
    else:
        lowest, highest = 1, size - 2 if network.version == 4 else size - 1
    return Network(str(network), network.version, network.first, network.prefixlen, lowest, highest)


def read_mtus(value: t.Any) -> list[int | None]:
    """One MTU for all links, or one for each position in a node's list of MACs."""
    if value is None or value == "":
        return [None]
    items = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    mtus: list[int | None] = []
    for item in items if isinstance(items, (list, tuple)) else [items]:
        if isinstance(item, bool) or not re.fullmatch("[0-9]{1,5}", str(item)) or not 576 <= int(item) <= 65535:
            raise InputError(f"mtu expects a number from 576 to 65535, not {kind_of(item)}.")
        mtus.append(int(item))
    return mtus or [None]


def hand_out_addresses(
    cluster: Cluster,
    nodes: t.Sequence[ClusterNode],
    networks: t.Sequence[Network],
    *,
    one_network_per_mac: bool = False,
    mtus: t.Sequence[int | None] = (None,),
) -> list[list[Link]]:
    """The links of each node: host numbers start at ip0 and run on across the nodes, one for each MAC and family."""
    families = {version: [net for net in networks if net.version == version] for version in (4, 6)}
    counts = [len(nets) for nets in families.values()]
    if max(counts) > 1 and not one_network_per_mac:
        raise InputError(
            "direct_network names several networks of one family; with one_network_per_mac each position in the lists "
            "of MACs gets its own."
        )
    chosen: dict[tuple[int, int], Network] = {}
    used: dict[int, int] = {}
    links = []
    for node in nodes:
        of_node = []
        for position, mac in enumerate(node.macs):
            slot = position if one_network_per_mac else 0
            number = used[slot] = used.get(slot, cluster.ip0 - 1) + 1
            for version, nets in families.items():
                if not nets:
                    continue
                if (version, slot) not in chosen:
                    chosen[version, slot] = _network_of_slot(nets, slot)
                network = chosen[version, slot]
                if not network.lowest <= number <= network.highest:
                    raise _no_address(cluster, node, network, number)
                mtu = mtus[min(position, len(mtus) - 1)] if len(mtus) > 1 else mtus[0]
                of_node.append(Link(mac, network.address(number), network.prefix, mtu))
        links.append(of_node)
    return links


def _network_of_slot(nets: t.Sequence[Network], slot: int) -> Network:
    if slot < len(nets):
        return nets[slot]
    if len(nets) > 1:
        raise InputError(
            f"direct_network names {len(nets)} networks, but a node has {slot + 1} MACs; name one for each, or only the first."
        )
    return nets[0].next_one(slot)


def _no_address(cluster: Cluster, node: ClusterNode, network: Network, number: int) -> InputError:
    if number == cluster.ip0:
        return InputError(
            f"{cluster.file}: ip0: {cluster.ip0} is out of range: the hosts of {network.text} "
            f"have the numbers {network.lowest} to {network.highest}."
        )
    return InputError(
        f'{node.place}: the direct network {network.text} is full at node "{node.name}": with ip0: {cluster.ip0} '
        f"its last address has the number {network.highest}; take a larger network."
    )
