# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# What the user asks for, read and refused before anything is touched.

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError

IPAddress = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Interface = t.Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]

_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\Z")


@dataclass(frozen=True)
class WantedLink:
    mac: str
    addresses: tuple[Interface, ...]
    mtu: int | None = None


@dataclass(frozen=True)
class Peer:
    """The other end of a direct link; with its MAC known, an answer from any other card does not count."""

    ip: IPAddress
    mac: str | None = None
    node: str | None = None

    def __str__(self) -> str:
        known = [part for part in (self.node, self.mac) if part]
        return f"{self.ip} ({', '.join(known)})" if known else str(self.ip)


def parse_links(links: t.Sequence[t.Mapping[str, t.Any]]) -> list[WantedLink]:
    wanted: list[WantedLink] = []
    ips: dict[IPAddress, str] = {}
    for number, link in enumerate(links):
        where = f"links[{number}]"
        mac = parse_mac(link.get("mac"), f"{where}.mac")
        if any(mac == other.mac for other in wanted):
            raise InputError(f"{where}.mac: {mac} is named twice; list all of its addresses in one entry.")
        given = link.get("ip") or []
        texts = [given] if isinstance(given, str) else list(given)
        if not texts:
            raise InputError(f"{where}.ip: {mac} has no address; give at least one, like 192.168.222.1/24.")
        addresses = tuple(_parse_interface(text, f"{where}.ip") for text in texts)
        for address in addresses:
            if address.ip in ips:
                raise InputError(f"{where}.ip: {address.ip} is asked for twice, for {ips[address.ip]} and for {mac}.")
            ips[address.ip] = mac
        mtu = link.get("mtu")
        if mtu is not None and int(mtu) < 1280 and any(address.version == 6 for address in addresses):
            raise InputError(f"{where}.mtu: {mtu} is too small for IPv6, which needs 1280.")
        wanted.append(WantedLink(mac, addresses, None if mtu is None else int(mtu)))
    return wanted


def parse_peers(peers: t.Sequence[str | t.Mapping[str, t.Any]]) -> list[Peer]:
    parsed: list[Peer] = []
    for number, peer in enumerate(peers):
        where = f"check_peers[{number}]"
        entry: t.Mapping[str, t.Any] = {"ip": peer} if isinstance(peer, str) else peer
        unknown = sorted(set(entry) - {"ip", "mac", "node"})
        if unknown:
            raise InputError(f"{where}: {', '.join(unknown)} is no key of a peer; the keys are ip, mac and node.")
        try:
            ip = ipaddress.ip_address(str(entry.get("ip")).partition("/")[0])
        except ValueError:
            raise InputError(f"{where}.ip: {entry.get('ip')!r} is no IP address.") from None
        mac = None if entry.get("mac") is None else parse_mac(entry["mac"], f"{where}.mac")
        parsed.append(Peer(ip, mac, entry.get("node")))
    return parsed


def parse_mac(value: t.Any, where: str) -> str:
    text = str(value).strip().lower()
    if not _MAC.match(text):
        raise InputError(
            f"{where}: {value!r} is no MAC address; it is six pairs of hex digits, like 02:00:00:00:00:01."
        )
    mac = text.replace("-", ":")
    if mac == "00:00:00:00:00:00" or int(mac[:2], 16) & 1:
        raise InputError(f"{where}: {mac} is no address of a single network card.")
    return mac


def _parse_interface(text: t.Any, where: str) -> Interface:
    address, slash, _length = str(text).strip().partition("/")
    try:
        interface = ipaddress.ip_interface(str(text).strip())
    except ValueError:
        raise InputError(f"{where}: {text!r} is no IP address with its prefix length, like 192.168.222.1/24.") from None
    if not slash:
        raise InputError(f"{where}: {address} lacks its prefix length; write it like {address}/24.")
    network = interface.network
    if interface.is_multicast or interface.is_loopback or interface.is_unspecified:
        raise InputError(f"{where}: {interface} is no address that a network card can have.")
    if interface.version == 6 and interface.is_link_local:
        raise InputError(f"{where}: {interface} means nothing without its card; take one like fd00::1/64.")
    ends = (network.network_address, network.broadcast_address)
    if interface.version == 4 and network.prefixlen < 31 and interface.ip in ends:
        raise InputError(f"{where}: {interface} is the network or broadcast address of {network}.")
    return interface
