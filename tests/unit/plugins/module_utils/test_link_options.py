# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._links.options import parse_links, parse_peers

MAC = "02:00:00:00:00:01"


@pytest.mark.parametrize(
    ("link", "mac", "addresses", "mtu"),
    [
        ({"mac": MAC, "ip": "192.168.222.1/24"}, MAC, ["192.168.222.1/24"], None),
        ({"mac": "02-00-00-AA-BB-01", "ip": ["10.0.0.1/31"]}, "02:00:00:aa:bb:01", ["10.0.0.1/31"], None),
        ({"mac": " 02:00:00:AA:BB:01 ", "ip": ["10.0.0.1/32"]}, "02:00:00:aa:bb:01", ["10.0.0.1/32"], None),
        ({"mac": MAC, "ip": ["FD00:0::1/64", "10.0.0.1/8"], "mtu": 9000}, MAC, ["fd00::1/64", "10.0.0.1/8"], 9000),
        ({"mac": MAC, "ip": ["fd00::1/32"], "mtu": None}, MAC, ["fd00::1/32"], None),
        ({"mac": MAC, "ip": ["10.0.0.1/24"], "mtu": "1400"}, MAC, ["10.0.0.1/24"], 1400),
    ],
)
def test_a_link(link: dict[str, t.Any], mac: str, addresses: list[str], mtu: int | None) -> None:
    (wanted,) = parse_links([link])
    assert (wanted.mac, [str(address) for address in wanted.addresses], wanted.mtu) == (mac, addresses, mtu)


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ([{"mac": "02:00:00:00:01", "ip": "10.0.0.1/24"}], "links[0].mac: '02:00:00:00:01' is no MAC address"),
        ([{"mac": None, "ip": "10.0.0.1/24"}], "is no MAC address"),
        ([{"mac": "00:00:00:00:00:00", "ip": "10.0.0.1/24"}], "is no address of a single network card"),
        ([{"mac": "ff:ff:ff:ff:ff:ff", "ip": "10.0.0.1/24"}], "is no address of a single network card"),
        ([{"mac": MAC, "ip": "10.0.0.1"}], "lacks its prefix length; write it like 10.0.0.1/24"),
        ([{"mac": MAC, "ip": "10.0.0.1/33"}], "'10.0.0.1/33' is no IP address with its prefix length"),
        ([{"mac": MAC, "ip": "10.0.0.0/24"}], "is the network or broadcast address of 10.0.0.0/24"),
        ([{"mac": MAC, "ip": "10.0.0.255/24"}], "is the network or broadcast address"),
        ([{"mac": MAC, "ip": "127.0.0.1/8"}], "is no address that a network card can have"),
        ([{"mac": MAC, "ip": "ff02::1/64"}], "is no address that a network card can have"),
        ([{"mac": MAC, "ip": "fe80::1/64"}], "fe80::1/64 means nothing without its card"),
        ([{"mac": MAC, "ip": []}], "has no address"),
        ([{"mac": MAC, "ip": "fd00::1/64", "mtu": 1000}], "links[0].mtu: 1000 is too small for IPv6"),
        (
            [{"mac": MAC, "ip": "10.0.0.1/24"}, {"mac": MAC.upper(), "ip": "10.0.0.2/24"}],
            "links[1].mac: 02:00:00:00:00:01 is named twice",
        ),
        (
            [{"mac": MAC, "ip": "10.0.0.1/24"}, {"mac": "02:00:00:00:00:02", "ip": "10.0.0.1/16"}],
            "10.0.0.1 is asked for twice, for 02:00:00:00:00:01 and for 02:00:00:00:00:02",
        ),
    ],
)
def test_a_wrong_link_is_refused(links: list[dict[str, t.Any]], said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_links(links)
    assert said in str(error.value)


def test_peers_are_addresses_or_more() -> None:
    plain, full = parse_peers(["10.0.0.2/24", {"ip": "fd00::2", "mac": "02:00:00:00:00:0B", "node": "client-1"}])
    assert (str(plain), plain.mac) == ("10.0.0.2", None)
    assert str(full) == "fd00::2 (client-1, 02:00:00:00:00:0b)"


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ("somewhere", "check_peers[0].ip: 'somewhere' is no IP address"),
        ({"mac": MAC}, "check_peers[0].ip: None is no IP address"),
        ({"ip": "10.0.0.2", "mac": "x"}, "check_peers[0].mac: 'x' is no MAC address"),
        ({"ip": "10.0.0.2", "host": "x"}, "host is no key of a peer; the keys are ip, mac and node"),
    ],
)
def test_a_wrong_peer_is_refused(peer: t.Any, said: str) -> None:
    with pytest.raises(InputError) as error:
        parse_peers([peer])
    assert said in str(error.value)
