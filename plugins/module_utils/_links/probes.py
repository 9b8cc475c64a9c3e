# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# ARP and IPv6 neighbour discovery on one given network card. A plain ping would take whatever way the routing table
# offers; these frames leave through the card that is asked about and nowhere else.

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import struct
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._links.options import IPAddress

_ETH_ARP = 0x0806
_ETH_IPV6 = 0x86DD
_BROADCAST_MAC = b"\xff" * 6
_ARP_REQUEST = 1
_ICMPV6 = 58
_SOLICITATION = 135
_ADVERTISEMENT = 136
_OVERRIDE = 0x20000000
_OPTION_SOURCE_MAC = 1
_OPTION_TARGET_MAC = 2
_ALL_NODES = ipaddress.IPv6Address("ff02::1")
_UNSPECIFIED_V4 = ipaddress.IPv4Address(0)
_UNSPECIFIED_V6 = ipaddress.IPv6Address(0)

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_ALLMULTI = 2

REPEAT_SECONDS = 0.25


@dataclass(frozen=True)
class Question:
    """Who has target? Asked through one card, in the name of source; without a source it is a duplicate probe."""

    device: str
    mac: str
    target: IPAddress
    source: IPAddress | None = None


@dataclass(frozen=True)
class Sighting:
    """A frame on the wire by which the machine with this MAC says that it has the address, or that it wants it."""

    device: str
    mac: str
    ip: IPAddress
    has_it: bool = True


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(raw: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in raw)


def question_frame(question: Question) -> bytes:
    own = mac_bytes(question.mac)
    if isinstance(question.target, ipaddress.IPv4Address):
        source = question.source or _UNSPECIFIED_V4
        return _arp(own, source.packed, question.target.packed)
    group = ipaddress.IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + question.target.packed[-3:])
    if question.source is None:
        return _icmpv6(own, _UNSPECIFIED_V6, group, _SOLICITATION, 0, question.target, b"")
    option = struct.pack("!BB6s", _OPTION_SOURCE_MAC, 1, own)
    return _icmpv6(
        own, t.cast(ipaddress.IPv6Address, question.source), group, _SOLICITATION, 0, question.target, option
    )


def announcement_frame(mac: str, ip: IPAddress) -> bytes:
    own = mac_bytes(mac)
    if isinstance(ip, ipaddress.IPv4Address):
        return _arp(own, ip.packed, ip.packed)
    option = struct.pack("!BB6s", _OPTION_TARGET_MAC, 1, own)
    return _icmpv6(own, ip, _ALL_NODES, _ADVERTISEMENT, _OVERRIDE, ip, option)


def read_frame(device: str, frame: bytes) -> Sighting | None:
    if len(frame) < 14:
        return None
    source_mac, kind = struct.unpack("!6sH", frame[6:14])
    if kind == _ETH_ARP:
        return _read_arp(device, frame[14:])
    if kind == _ETH_IPV6:
        return _read_icmpv6(device, source_mac, frame[14:])
    return None


def ask(
    questions: t.Sequence[Question],
    seconds: float,
    seen: t.Callable[[Sighting], bool],
) -> None:
    """Sends the questions again and again until time is up or the callback says that it has seen enough."""
    sockets: dict[socket.socket, str] = {}
    senders: dict[tuple[str, int], socket.socket] = {}
    try:
        for question in questions:
            key = (question.device, _protocol(question.target))
            if key not in senders:
                senders[key] = _open(*key)
                sockets[senders[key]] = question.device
        deadline = time.monotonic() + seconds
        next_send = 0.0
        while True:
            now = time.monotonic()
            if now >= deadline:
                return
            if now >= next_send:
                for question in questions:
                    _send(senders[question.device, _protocol(question.target)], question_frame(question))
                next_send = now + REPEAT_SECONDS
            for ready in select.select(list(sockets), [], [], min(deadline, next_send) - now)[0]:
                sighting = _receive(ready, sockets[ready])
                if sighting is not None and seen(sighting):
                    return
    finally:
        for opened in sockets:
            opened.close()


def announce(device: str, mac: str, addresses: t.Iterable[IPAddress]) -> None:
    """Peers may remember an address from an earlier run at another machine's card; this corrects them at once."""
    for ip in addresses:
        with _open(device, _protocol(ip)) as opened:
            _send(opened, announcement_frame(mac, ip))


def _protocol(ip: IPAddress) -> int:
    return _ETH_ARP if ip.version == 4 else _ETH_IPV6


def _open(device: str, protocol: int) -> socket.socket:
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            opened.bind((device, protocol))
            # Others' probes for an IPv6 address go to a group that a card does not listen to before it has the address.
            everything = struct.pack("iHH8x", socket.if_nametoindex(device), _PACKET_MR_ALLMULTI, 0)
            opened.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, everything)
            opened.setblocking(False)
        except BaseException:
            opened.close()
            raise
        return opened
    except OSError as error:
        raise NodeError(f"Cannot look at the wire of {device}: {error.strerror}.") from error


def _send(opened: socket.socket, frame: bytes) -> None:
    # A card that is just coming up refuses frames; the next repeat may pass.
    with contextlib.suppress(OSError):
        opened.send(frame)


def _receive(opened: socket.socket, device: str) -> Sighting | None:
    try:
        frame = opened.recv(2048)
    except OSError:
        return None
    return read_frame(device, frame)


def _arp(own_mac: bytes, source: bytes, target: bytes) -> bytes:
    header = struct.pack("!6s6sH", _BROADCAST_MAC, own_mac, _ETH_ARP)
    return header + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, _ARP_REQUEST, own_mac, source, bytes(6), target)


def _read_arp(device: str, body: bytes) -> Sighting | None:
    if len(body) < 28:
        return None
    link, network, mac_size, ip_size, operation, mac, source, _ignored, target = struct.unpack(
        "!HHBBH6s4s6s4s", body[:28]
    )
    if (link, network, mac_size, ip_size) != (1, 0x0800, 6, 4):
        return None
    if any(source):
        return Sighting(device, mac_text(mac), ipaddress.IPv4Address(source))
    if operation == _ARP_REQUEST:
        return Sighting(device, mac_text(mac), ipaddress.IPv4Address(target), has_it=False)
    return None


def _icmpv6(
    own_mac: bytes,
    source: ipaddress.IPv6Address,
    destination: ipaddress.IPv6Address,
    kind: int,
    flags: int,
    target: ipaddress.IPv6Address,
    option: bytes,
) -> bytes:
    body = struct.pack("!BBHI16s", kind, 0, 0, flags, target.packed) + option
    pseudo_header = source.packed + destination.packed + struct.pack("!II", len(body), _ICMPV6)
    body = body[:2] + struct.pack("!H", _checksum(pseudo_header + body)) + body[4:]
    header = struct.pack("!6s6sH", b"\x33\x33" + destination.packed[-4:], own_mac, _ETH_IPV6)
    return (
        header + struct.pack("!IHBB", 0x60000000, len(body), _ICMPV6, 255) + source.packed + destination.packed + body
    )


def _read_icmpv6(device: str, source_mac: bytes, packet: bytes) -> Sighting | None:
    # Hop limit 255 proves that the frame was not routed here from elsewhere.
    if len(packet) < 64 or packet[6] != _ICMPV6 or packet[7] != 255:
        return None
    source = ipaddress.IPv6Address(packet[8:24])
    kind = packet[40]
    target = ipaddress.IPv6Address(packet[48:64])
    if kind == _ADVERTISEMENT:
        mac = _option(packet[64:], _OPTION_TARGET_MAC) or source_mac
        return Sighting(device, mac_text(mac), target)
    if kind == _SOLICITATION and source == _UNSPECIFIED_V6:
        return Sighting(device, mac_text(source_mac), target, has_it=False)
    return None


def _option(options: bytes, wanted: int) -> bytes | None:
    while len(options) >= 8:
        kind, length = options[0], options[1] * 8
        if not length:
            return None
        if kind == wanted and length == 8:
            return options[2:8]
        options = options[length:]
    return None


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
