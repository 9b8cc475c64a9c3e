# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""What a virtual lab is to look like: its machines, their cards and addresses, and the files that describe it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import typing as t
import zlib
from dataclasses import asdict, dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError

# Set aside for tests of network devices (RFC 2544), so that no real network is hidden by a lab.
NETWORK_POOL = ipaddress.IPv4Network("198.18.0.0/15")
NETWORK_PREFIX = 22

MAX_NODES = 0xFFFF
MAX_LINKS = 0xFF
MIN_MTU, MAX_MTU = 576, 65535

_LAB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NODE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_RESERVED_LAB_NAMES = ("inventory.yml", "inventory.yaml")


@dataclass(frozen=True)
class Machine:
    """One machine of the lab. The management card is C(eth0), the direct cards are C(eth1) and following."""

    name: str
    roles: list[str]
    address: str
    management_mac: str
    macs: list[str]


@dataclass(frozen=True)
class LabSettings:
    """A complete set-up. Two labs are the same when their settings are equal."""

    name: str
    directory: str
    nodes: list[Machine]
    links: int
    mtu: int
    network: str
    ssh: bool
    python: str
    shared_folders: list[str]

    @property
    def prefix_length(self) -> int:
        return ipaddress.IPv4Network(self.network).prefixlen

    @property
    def controller_address(self) -> str:
        return str(ipaddress.IPv4Network(self.network)[1])

    @property
    def host_interface(self) -> str:
        """The controller's card in the management network, short enough for the kernel whatever the lab's name."""
        return f"vlab-{zlib.crc32(self.name.encode()):08x}"

    def as_dict(self) -> dict[str, t.Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: t.Mapping[str, t.Any]) -> LabSettings:
        return cls(**{**data, "nodes": [Machine(**node) for node in data["nodes"]]})


def lab_name(name: str) -> str:
    """Check the name of a lab, which is also the name of its cluster file."""
    if not _LAB_NAME.fullmatch(name) or name in _RESERVED_LAB_NAMES:
        raise InputError(
            f"{name!r} cannot be the name of a virtual lab: use up to 63 letters, digits, '.', '_' and '-', "
            f"beginning with a letter or digit, and not {' or '.join(_RESERVED_LAB_NAMES)}"
        )
    return name


def shared_folders(folders: t.Iterable[str]) -> list[str]:
    """Check the folders of the controller that the machines are to see."""
    for folder in folders:
        if not os.path.isabs(folder) or not os.path.isdir(folder):
            raise InputError(f"shared_folders: {folder} is no absolute path of a folder")
    return sorted(set(folders))


def free_network(taken: t.Iterable[ipaddress.IPv4Network], hosts: int) -> str:
    """Choose a management network that none of the controller's own networks overlaps."""
    prefix = min(NETWORK_PREFIX, 32 - (hosts + 2).bit_length())
    occupied = list(taken)
    for candidate in NETWORK_POOL.subnets(new_prefix=prefix):
        if not any(candidate.overlaps(network) for network in occupied):
            return str(candidate)
    raise InputError(
        f"no management network is free in {NETWORK_POOL}: take another virtual lab down, or name a network that is free"
    )


def management_network(text: str, taken: t.Iterable[ipaddress.IPv4Network]) -> str:
    """Check a management network that the user has named."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InputError(f"management network {text!r}: {error}; name an IPv4 network such as 198.18.0.0/22") from error
    for other in taken:
        if network.overlaps(other):
            raise InputError(
                f"management network {network} overlaps {other}, to which this machine already has a route: "
                "name another network, or none to have a free one chosen"
            )
    return str(network)


def machines(nodes: t.Sequence[t.Mapping[str, t.Any]], *, links: int, network: str) -> list[Machine]:
    """Give every node its addresses: the same list of nodes always gets the same ones."""
    if not nodes:
        raise InputError("a virtual lab needs at least one node")
    if len(nodes) > MAX_NODES:
        raise InputError(f"a virtual lab has at most {MAX_NODES} nodes, not {len(nodes)}")
    parsed = ipaddress.IPv4Network(network)
    if parsed.num_addresses < len(nodes) + 3:
        raise InputError(
            f"management network {network} is too small for {len(nodes)} nodes and the controller: use a shorter prefix"
        )
    seen: set[str] = set()
    result = []
    for number, node in enumerate(nodes, 1):
        name = node["name"]
        if not _NODE_NAME.fullmatch(name):
            raise InputError(f"node {name!r}: a name has up to 63 letters, digits, '.', '_' and '-'")
        if name in seen:
            raise InputError(f"node {name!r} is named twice")
        seen.add(name)
        if not node["roles"]:
            raise InputError(f"node {name!r} has no role: give it at least one")
        result.append(
            Machine(
                name=name,
                roles=list(node["roles"]),
                address=str(parsed[number + 1]),
                management_mac=mac(number, 0),
                macs=[mac(number, link) for link in range(1, links + 1)],
            )
        )
    return result


def mac(node: int, link: int) -> str:
    """A locally administered address that shows the node's number and the link's; link 0 is the management card."""
    return f"02:00:00:{node >> 8:02x}:{node & 0xFF:02x}:{link:02x}"


def check_links(links: int, mtu: int) -> None:
    if not 0 <= links <= MAX_LINKS:
        raise InputError(f"a node has from 0 to {MAX_LINKS} direct links, not {links}")
    if not MIN_MTU <= mtu <= MAX_MTU:
        raise InputError(f"the MTU of a direct link is from {MIN_MTU} to {MAX_MTU}, not {mtu}")


def hosts_file(settings: LabSettings) -> str:
    """What /etc/hosts of every node says before a run adds its own lines."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{node.address} {node.name}" for node in settings.nodes]
    return "\n".join(lines) + "\n"


def cluster_file(settings: LabSettings) -> str:
    lines = [f"# The virtual lab {settings.name}. Written by lab_up; changes are lost.", "---", "nodes:"]
    for node in settings.nodes:
        lines += [f"  {_scalar(node.name)}:", f"    roles: {_flow(node.roles)}"]
        if node.macs:
            lines.append(f"    macs: {_flow(node.macs)}")
    return "\n".join(lines) + "\n"


def inventory_file(settings: LabSettings, *, state_file: str, ssh_variables: t.Mapping[str, str]) -> str:
    variables: dict[str, t.Any] = {
        "ansible_connection": "ansible.builtin.ssh" if settings.ssh else "lab.multidevice.netns",
        "ansible_netns_state": state_file,
        "ansible_python_interpreter": settings.python,
        "ansible_become": False,
        "ansible_pipelining": True,
        **ssh_variables,
    }
    lines = [
        f"# The virtual lab {settings.name}. Written by lab_up; changes are lost.",
        "---",
        "all:",
        "  vars:",
        f"    multidevice_cluster_paths: {_flow([settings.directory])}",
        "  children:",
        "    virtual_lab:",
        "      vars:",
    ]
    lines += [f"        {key}: {_scalar(value)}" for key, value in variables.items()]
    lines.append("      hosts:")
    for node in settings.nodes:
        lines += [
            f"        {_scalar(node.name)}:",
            f"          ansible_host: {_scalar(node.address)}",
            f"          ansible_netns_node: {_scalar(node.name)}",
        ]
    return "\n".join(lines) + "\n"


def _scalar(value: t.Any) -> str:
    # JSON is YAML: no YAML library is needed where the module runs.
    return json.dumps(value)


def _flow(values: t.Sequence[str]) -> str:
    return f"[{', '.join(_scalar(value) for value in values)}]"
