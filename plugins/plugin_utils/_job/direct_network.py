# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Direct networks: which address each network card of a run gets."""

from __future__ import annotations

import re
import traceback
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_NETWORK
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import Cluster, ClusterNode
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.planned import DirectLink
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import kind_of

NETADDR_IMPORT_ERROR: str | None
try:
    import netaddr

    NETADDR_IMPORT_ERROR = None
except ImportError:
    NETADDR_IMPORT_ERROR = traceback.format_exc()

_SMALLEST_MTU = {4: 576, 6: 1280}


class Link(t.NamedTuple):
    """One address of one network card."""

    mac: str
    ip: str
    prefix: int
    mtu: int | None


class Network(t.NamedTuple):
    """A direct network: host number n has the address `first` + n."""

    text: str
    version: t.Literal[4, 6]
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
                mtu = mtus[min(position, len(mtus) - 1)]
                if mtu is not None and mtu < _SMALLEST_MTU[version]:
                    raise InputError(
                        f"mtu {mtu} is too small for {network.text}, which needs {_SMALLEST_MTU[version]}."
                    )
                of_node.append(Link(mac, network.address(number), network.prefix, mtu))
        links.append(of_node)
    return links


def as_direct_links(links: t.Sequence[Link]) -> list[DirectLink]:
    """One entry for each card, as the option links of the module direct_link wants them."""
    cards: dict[str, DirectLink] = {}
    for link in links:
        card = cards.setdefault(link.mac, {"mac": link.mac, "ip": []})
        card["ip"].append(f"{link.ip}/{link.prefix}")
        if link.mtu is not None:
            card["mtu"] = link.mtu
    return list(cards.values())


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
