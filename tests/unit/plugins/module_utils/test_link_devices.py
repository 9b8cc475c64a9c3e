# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._links.devices import choose_device, parse_devices


def entry(index: int, name: str, mac: str, **more: t.Any) -> dict[str, t.Any]:
    """A device as "ip -details -json address show" gives it, less what nobody reads."""
    kind = more.pop("kind", None)
    port_kind = more.pop("port_kind", None)
    port_data = more.pop("port_data", None)
    info = {"info_kind": kind, "info_slave_kind": port_kind, "info_slave_data": port_data}
    info = {key: value for key, value in info.items() if value is not None}
    device = {
        "ifindex": index,
        "ifname": name,
        "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
        "mtu": 1500,
        "qdisc": "mq",
        "operstate": "UP",
        "group": "default",
        "txqlen": 1000,
        "link_type": "ether",
        "address": mac,
        "broadcast": "ff:ff:ff:ff:ff:ff",
        "min_mtu": 68,
        "max_mtu": 9216,
        "addr_info": [],
        **more,
    }
    return {**device, "linkinfo": info} if info else device


LOOPBACK = entry(1, "lo", "00:00:00:00:00:00", link_type="loopback", flags=["LOOPBACK", "UP", "LOWER_UP"])
ONE, TWO, OWN, OTHER = ("52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03", "52:54:00:00:00:99")

MACHINES: dict[str, list[dict[str, t.Any]]] = {
    "cards": [LOOPBACK, entry(2, "eth0", ONE), entry(3, "eth1", TWO)],
    "veth into another namespace": [
        LOOPBACK,
        entry(5, "eth0", ONE, kind="veth", link_index=6, link_netnsid=0),
        entry(7, "eth1", TWO, kind="veth", link="eth2"),
        entry(8, "eth2", OWN, kind="veth", link="eth1"),
    ],
    "VLANs on a card": [
        entry(2, "eth0", ONE),
        entry(4, "eth0.5", ONE, kind="vlan", link="eth0"),
        entry(3, "eth0.6", ONE, kind="vlan", link="eth0"),
        entry(5, "eth0.7", OWN, kind="vlan", link="eth0"),
    ],
    "VLAN listed before its card": [entry(2, "eth0.5", ONE, kind="vlan", link="eth0"), entry(9, "eth0", ONE)],
    "bridge": [
        entry(2, "eth0", ONE, master="br0", port_kind="bridge"),
        entry(3, "br0", ONE, kind="bridge"),
        entry(4, "br1", OWN, kind="bridge"),
    ],
    "bond": [
        entry(2, "eth0", ONE, master="bond0", port_kind="bond", port_data={"perm_hwaddr": ONE}),
        entry(3, "eth1", ONE, permaddr=TWO, master="bond0", port_kind="bond", port_data={"perm_hwaddr": TWO}),
        entry(4, "bond0", ONE, kind="bond"),
    ],
    "bond of an old kernel": [
        entry(2, "eth0", ONE, master="bond0", port_kind="bond", port_data={"perm_hwaddr": ONE}),
        entry(3, "eth1", ONE, master="bond0", port_kind="bond", port_data={"perm_hwaddr": TWO.upper()}),
        entry(4, "bond0", ONE, kind="bond"),
    ],
    "bond with a MAC of its own": [
        entry(2, "eth0", OWN, permaddr=ONE, master="bond0", port_kind="bond"),
        entry(3, "eth1", OWN, permaddr=TWO, master="bond0", port_kind="bond"),
        entry(4, "bond0", OWN, kind="bond"),
    ],
    "card under another MAC": [entry(2, "eth0", OWN, permaddr=ONE), entry(3, "eth1", TWO)],
    "cards with each other's MACs": [entry(2, "eth0", TWO, permaddr=ONE), entry(3, "eth1", ONE, permaddr=TWO)],
    "macvlan": [entry(2, "eth0", ONE), entry(3, "mv0", OWN, kind="macvlan", link="eth0")],
    "accelerated twin": [
        entry(2, "eth0", ONE),
        entry(3, "enP1s2", ONE, master="eth0"),
        entry(4, "eth0.5", ONE, kind="vlan", link="eth0"),
    ],
    "two of the same": [entry(2, "eth0", ONE), entry(3, "eth1", ONE, kind="dummy"), entry(4, "eth2", TWO)],
    "upper case": [entry(2, "eth0", ONE.upper())],
    "InfiniBand": [
        entry(2, "ib0", "80:00:02:08:" + ":".join(["fe"] * 16), link_type="infiniband"),
        entry(3, "eth0", ONE),
    ],
}


@pytest.mark.parametrize(
    ("machine", "mac", "expected"),
    [
        ("cards", ONE, "eth0"),
        ("cards", TWO, "eth1"),
        ("veth into another namespace", ONE, "eth0"),
        ("veth into another namespace", TWO, "eth1"),
        ("VLANs on a card", ONE, "eth0"),
        ("VLANs on a card", OWN, "eth0.7"),
        ("VLAN listed before its card", ONE, "eth0"),
        ("bridge", ONE, "eth0"),
        ("bridge", OWN, "br1"),
        ("bond", ONE, "eth0"),
        ("bond", TWO, "eth1"),
        ("bond of an old kernel", ONE, "eth0"),
        ("bond of an old kernel", TWO, "eth1"),
        ("bond with a MAC of its own", ONE, "eth0"),
        ("bond with a MAC of its own", TWO, "eth1"),
        ("bond with a MAC of its own", OWN, "bond0"),
        ("card under another MAC", ONE, "eth0"),
        ("card under another MAC", OWN, "eth0"),
        ("cards with each other's MACs", ONE, "eth0"),
        ("cards with each other's MACs", TWO, "eth1"),
        ("macvlan", ONE, "eth0"),
        ("macvlan", OWN, "mv0"),
        ("accelerated twin", ONE, "eth0"),
        ("two of the same", TWO, "eth2"),
        ("upper case", ONE, "eth0"),
        ("InfiniBand", ONE, "eth0"),
    ],
)
def test_the_card_that_is_meant(machine: str, mac: str, expected: str) -> None:
    devices = parse_devices(json.dumps(MACHINES[machine]))
    assert choose_device(mac, devices).name == expected
    assert choose_device(mac.upper(), devices).name == expected
    assert choose_device(mac, devices[::-1]).name == expected


@pytest.mark.parametrize(
    ("machine", "mac", "said"),
    [
        (
            "card under another MAC",
            OTHER,
            f"No device has the MAC address {OTHER}; this machine has eth0 ({OWN}, permanent {ONE}), eth1 ({TWO}).",
        ),
        ("cards", OTHER, f"this machine has eth0 ({ONE}), eth1 ({TWO})."),
        ("two of the same", ONE, f"belongs to more than one device: eth0 ({ONE}), eth1 ({ONE})."),
    ],
)
def test_no_card_or_two(machine: str, mac: str, said: str) -> None:
    with pytest.raises(NodeError) as error:
        choose_device(mac, parse_devices(json.dumps(MACHINES[machine])))
    assert said in str(error.value)


def test_a_machine_without_cards() -> None:
    with pytest.raises(NodeError, match="this machine has no network card"):
        choose_device(ONE, parse_devices(json.dumps([LOOPBACK])))


def test_what_is_read() -> None:
    old_iproute2_prints_filtered_devices_as_empty: dict[str, t.Any] = {}
    (device,) = parse_devices(
        json.dumps(
            [
                old_iproute2_prints_filtered_devices_as_empty,
                entry(
                    7,
                    "eth1",
                    ONE,
                    flags=["BROADCAST", "MULTICAST", "UP"],
                    addr_info=[
                        {},
                        {
                            "family": "inet",
                            "local": "10.0.0.1",
                            "prefixlen": 24,
                            "broadcast": "10.0.0.255",
                            "scope": "global",
                            "noprefixroute": True,
                            "label": "eth1:x",
                            "valid_life_time": 4294967295,
                            "preferred_life_time": 4294967295,
                        },
                        {"family": "inet", "local": "10.0.0.2", "prefixlen": 24, "scope": "global", "secondary": True},
                        {
                            "family": "inet",
                            "local": "10.1.0.1",
                            "address": "10.1.0.2",
                            "prefixlen": 32,
                            "scope": "link",
                        },
                        {
                            "family": "inet6",
                            "local": "fd00::1",
                            "prefixlen": 64,
                            "scope": "global",
                            "dadfailed": True,
                            "valid_life_time": 300,
                            "preferred_life_time": 200,
                        },
                    ],
                ),
            ]
        )
    )
    assert (device.index, device.name, device.up, device.carrier, device.mtu) == (7, "eth1", True, False, 1500)
    assert device.mtu_range == (68, 9216)
    first, second, third, fourth = device.addresses
    assert first.arguments == (
        *("10.0.0.1/24", "scope", "global"),
        *("broadcast", "10.0.0.255", "label", "eth1:x", "noprefixroute"),
    )
    assert (first.secondary, second.secondary, second.interface) == (False, True, "10.0.0.2/24")
    assert third.arguments == ("10.1.0.1", "peer", "10.1.0.2/32", "scope", "link")
    assert fourth.duplicate
    assert fourth.arguments[-5:] == ("nodad", "valid_lft", "300", "preferred_lft", "200")
