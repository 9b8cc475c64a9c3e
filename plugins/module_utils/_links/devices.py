# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# What iproute2 says about the devices of a machine, and which of them a MAC address names.

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError

_FOREVER = 4294967295
_IP_SECONDS = 30
# Devices that are built on top of a card and often carry its MAC.
_UPPER_KINDS = frozenset(
    (
        "bareudp",
        "batadv",
        "bond",
        "bridge",
        "dsa",
        "geneve",
        "hsr",
        "ipvlan",
        "ipvtap",
        "macsec",
        "macvlan",
        "macvtap",
        "openvswitch",
        "team",
        "vlan",
        "vrf",
        "vxlan",
    )
)
# A port of one of these hands what it receives to the device above it.
AGGREGATES = frozenset(("bond", "bridge", "openvswitch", "team"))


@dataclass(frozen=True)
class Address:
    interface: str
    scope: str = "global"
    secondary: bool = False
    duplicate: bool = False
    # What it takes, beside the device, to set it again, should the kernel drop it.
    arguments: tuple[str, ...] = ()

    @property
    def lost_when_down(self) -> bool:
        return ":" in self.interface and self.scope != "link"


@dataclass(frozen=True)
class Device:
    index: int
    name: str
    mac: str
    permanent_mac: str
    kind: str
    port_of: str
    port_kind: str
    up: bool
    carrier: bool
    mtu: int
    mtu_range: tuple[int, int]
    addresses: tuple[Address, ...]

    @property
    def macs(self) -> set[str]:
        return {self.mac, self.permanent_mac}

    @property
    def interfaces(self) -> set[str]:
        return {address.interface for address in self.addresses}

    def __str__(self) -> str:
        permanent = f", permanent {self.permanent_mac}" if self.permanent_mac != self.mac else ""
        return f"{self.name} ({self.mac}{permanent})"


def parse_devices(text: str) -> list[Device]:
    return [_parse_device(entry) for entry in json.loads(text) if entry.get("ifname")]


def _parse_device(entry: dict[str, t.Any]) -> Device:
    info = entry.get("linkinfo", {})
    mac = entry.get("address", "").lower()
    # Before kernel 5.6 only the bond itself remembers a port's own MAC.
    permanent = entry.get("permaddr") or info.get("info_slave_data", {}).get("perm_hwaddr") or mac
    flags = entry.get("flags", [])
    return Device(
        index=entry["ifindex"],
        name=entry["ifname"],
        mac=mac if entry.get("link_type") == "ether" else "",
        permanent_mac=permanent.lower(),
        kind=info.get("info_kind", ""),
        port_of=entry.get("master", ""),
        port_kind=info.get("info_slave_kind", ""),
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        mtu=entry["mtu"],
        mtu_range=(entry.get("min_mtu", 0), entry.get("max_mtu", 0)),
        addresses=tuple(_parse_address(address) for address in entry.get("addr_info", []) if "local" in address),
    )


def _parse_address(info: dict[str, t.Any]) -> Address:
    interface = str(ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}"))
    arguments = [interface, "scope", str(info.get("scope", "global"))]
    if "address" in info:
        arguments[:1] = [info["local"], "peer", f"{info['address']}/{info['prefixlen']}"]
    for key in ("broadcast", "label", "metric"):
        if key in info:
            arguments += [key, str(info[key])]
    for flag in ("home", "noprefixroute", "mngtmpaddr"):
        if info.get(flag):
            arguments.append(flag)
    if info.get("family") == "inet6":
        arguments.append("nodad")
    if info.get("valid_life_time", _FOREVER) != _FOREVER:
        arguments += ["valid_lft", str(info["valid_life_time"])]
        arguments += ["preferred_lft", str(info.get("preferred_life_time", 0))]
    return Address(
        interface=interface,
        scope=str(info.get("scope", "global")),
        secondary=bool(info.get("secondary")),
        duplicate=bool(info.get("dadfailed")),
        arguments=tuple(arguments),
    )


def read_devices() -> list[Device]:
    output = run_ip("-details", "-json", "address", "show")
    try:
        return parse_devices(output)
    except (KeyError, TypeError, ValueError):
        raise NodeError("The ip command of this machine gives no JSON; iproute2 4.18 or later is needed.") from None


def choose_device(mac: str, devices: t.Sequence[Device]) -> Device:
    """The network card that the MAC names, not what was built on top of it."""
    mac = mac.lower()
    cards = [device for device in devices if device.mac and device.kind not in _UPPER_KINDS]
    named = [device for device in cards if device.permanent_mac == mac]
    named = named or [device for device in cards if device.mac == mac and device.port_kind not in AGGREGATES]
    named = named or [device for device in devices if device.kind in _UPPER_KINDS and device.mac == mac]
    # A failover pair, like a virtual machine's card and its accelerated twin: the upper of the two is the one to use.
    names = {device.name for device in named}
    named = [device for device in named if device.port_of not in names]
    if len(named) == 1:
        return named[0]
    if named:
        raise NodeError(f"The MAC address {mac} belongs to more than one device: {_listing(named)}.")
    others = _listing([device for device in devices if device.mac])
    raise NodeError(f"No device has the MAC address {mac}; this machine has {others or 'no network card'}.")


def _listing(devices: t.Iterable[Device]) -> str:
    return ", ".join(str(device) for device in devices)


def run_ip(*arguments: str) -> str:
    program = shutil.which("ip", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    if program is None:
        raise NodeError("The ip command is not on this machine; install iproute2.")
    try:
        # The supervisor calls this too, which has no AnsibleModule whose run_command it could use.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            timeout=_IP_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NodeError(f"'ip {' '.join(arguments)}' gave no answer within {_IP_SECONDS} seconds.") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise NodeError(f"'ip {' '.join(arguments)}' failed: {said}")
    return done.stdout
