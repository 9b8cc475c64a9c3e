# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create, again, change, again, remove, again: in check mode and for real, and exactly what was before at the end."""

from __future__ import annotations

import json
import typing as t

import pytest

from links.links_bench import Bench, Links, Machine, Refused, set_value, value_of

ONE, TWO = "02:00:00:00:01:01", "02:00:00:00:01:02"
FIRST: Links = [
    {"mac": ONE.upper(), "ip": ["192.168.222.1/24", "fd00:222::1/64"], "mtu": 1400},
    {"mac": TWO.replace(":", "-"), "ip": "192.168.223.1/24"},
]
SECOND: Links = [{"mac": ONE, "ip": ["192.168.222.5/24", "fd00:222::1/64"]}]


def prepare_nothing(near: Machine) -> None:
    pass


def prepare_cards_in_use(near: Machine) -> None:
    near.ip("link", "set", "eth1", "up", "mtu", "1450")
    near.ip("address", "add", "10.1.0.1/16", "broadcast", "+", "dev", "eth1", "label", "eth1:lab")
    near.ip("address", "add", "192.168.222.77/24", "dev", "eth1")
    near.ip("address", "add", "fd00:1::1/64", "dev", "eth1", "nodad")


def prepare_addresses_on_a_card_that_is_down(near: Machine) -> None:
    near.ip("address", "add", "192.168.222.77/24", "dev", "eth1")
    near.ip("address", "add", "fd00:1::1/64", "dev", "eth1")
    near.ip("address", "add", "fd00:2::1/64", "dev", "eth2", "nodad", "noprefixroute")


def prepare_one_of_the_addresses(near: Machine) -> None:
    near.ip("address", "add", "192.168.222.1/24", "dev", "eth1")
    near.ip("address", "add", "fd00:222::1/64", "dev", "eth1", "nodad")
    near.ip("link", "set", "eth2", "up")


PREPARATIONS = [
    prepare_nothing,
    prepare_cards_in_use,
    prepare_addresses_on_a_card_that_is_down,
    prepare_one_of_the_addresses,
]


def do(near: Machine, function: t.Callable[..., dict[str, t.Any]], *arguments: t.Any) -> None:
    """In check mode, for real, and again: the three must tell the same story."""
    before = near.state()
    forecast = function(*arguments, check_mode=True)
    assert near.state() == before
    real = function(*arguments)
    assert forecast["changed"] is real["changed"] is True
    assert (forecast["before"], forecast["after"]) == (real["before"], real["after"])
    assert real["before"] != real["after"]
    for name, shown in real["after"].items():
        state = near.state()[name]
        assert (shown["up"], shown["mtu"], sorted(shown["addresses"])) == (
            state["up"],
            state["mtu"],
            sorted(near.addresses(name)),
        )
    after = near.state()
    for check_mode in (True, False):
        again = function(*arguments, check_mode=check_mode)
        assert not again["changed"]
        assert again["before"] == again["after"]
    assert near.state() == after


@pytest.mark.parametrize("prepare", PREPARATIONS)
def test_the_matrix(wired: tuple[Machine, Machine], prepare: t.Callable[[Machine], None]) -> None:
    near, _far = wired
    prepare(near)
    before = near.state()
    kept = {name: set(near.addresses(name)) for name in before}

    do(near, near.apply, FIRST)
    assert {"192.168.222.1/24", "fd00:222::1/64"} | kept["eth1"] == set(near.addresses("eth1"))
    assert {"192.168.223.1/24"} | kept["eth2"] == set(near.addresses("eth2"))
    assert near.up("eth1") and near.up("eth2")
    assert near.state()["eth1"]["mtu"] == 1400

    do(near, near.apply, SECOND)
    assert {"192.168.222.5/24", "fd00:222::1/64"} | kept["eth1"] == set(near.addresses("eth1"))
    assert near.state()["eth1"]["mtu"] == before["eth1"]["mtu"]
    assert near.state()["eth2"] == before["eth2"]

    do(near, near.remove)
    assert near.state() == before
    assert near.left_behind() == []


def test_the_answer(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.ip("address", "add", "fd00:222::1/64", "dev", "eth1", "nodad")
    change = near.apply(FIRST[:1])
    assert change["devices"] == [
        {
            "mac": ONE,
            "device": "eth1",
            "addresses": ["192.168.222.1/24", "fd00:222::1/64"],
            "added": ["192.168.222.1/24"],
            "up": True,
            "carrier": True,
            "mtu": 1400,
        }
    ]
    assert change["before"] == {"eth1": {"mac": ONE, "up": False, "mtu": 1500, "addresses": ["fd00:222::1/64"]}}
    assert change["warnings"] == []


def test_the_new_address_is_usable_at_once(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.apply(FIRST[:1])
    (device,) = json.loads(near.ip("-json", "address", "show", "dev", "eth1"))
    ipv4, ipv6 = [address for address in device["addr_info"] if address["scope"] == "global"]
    assert ipv4["broadcast"] == "192.168.222.255"
    assert ipv6.get("nodad") and not ipv6.get("tentative")


@pytest.mark.parametrize("ip", ["192.168.222.1/32", "192.168.222.1/31", "fd00:222::1/32", "fd00:222::1/128"])
def test_unusual_prefixes(wired: tuple[Machine, Machine], ip: str) -> None:
    near, _far = wired
    before = near.state()
    near.apply([{"mac": ONE, "ip": ip}])
    (device,) = json.loads(near.ip("-json", "address", "show", "dev", "eth1"))
    (address,) = [address for address in device["addr_info"] if address["scope"] == "global"]
    assert "broadcast" not in address and not address.get("tentative")
    near.remove()
    assert near.state() == before


def test_a_card_that_was_up_stays_up(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.ip("link", "set", "eth1", "up")
    before = near.state()
    near.apply(FIRST)
    near.remove()
    assert near.state() == before
    assert near.up("eth1")


def test_removing_what_was_never_there(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    assert near.remove()["changed"] is False


def test_an_address_moves_from_card_to_card(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    before = near.state()
    near.apply([{"mac": ONE, "ip": "192.168.222.1/24"}, {"mac": TWO, "ip": "192.168.222.2/24"}])
    do(near, near.apply, [{"mac": ONE, "ip": "192.168.222.2/24"}, {"mac": TWO, "ip": "192.168.222.1/24"}])
    assert near.addresses("eth1") == ["192.168.222.2/24"]
    near.remove()
    assert near.state() == before


def test_no_links_are_no_links(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    before = near.state()
    assert not near.apply([])["changed"]
    assert near.left_behind() == []
    near.apply(FIRST)
    assert near.apply([])["changed"]
    assert near.state() == before


def test_later_addresses_of_the_network_survive(wired: tuple[Machine, Machine]) -> None:
    """The kernel takes a network's later IPv4 addresses away with its first one."""
    near, _far = wired
    promotes = "/proc/sys/net/ipv4/conf/eth1/promote_secondaries"
    set_value(near, promotes, 0)
    near.ip("link", "set", "eth1", "up")
    near.apply([{"mac": ONE, "ip": "192.168.222.1/24"}])
    near.ip("address", "add", "192.168.222.50/24", "dev", "eth1", "label", "eth1:own")
    near.apply([{"mac": ONE, "ip": "192.168.222.60/24"}], run="b.1.1")
    near.remove()
    assert near.addresses("eth1") == ["192.168.222.50/24", "192.168.222.60/24"]
    assert value_of(near, promotes) == 0
    near.remove(run="b.1.1")
    assert near.addresses("eth1") == ["192.168.222.50/24"]
    assert near.state()["eth1"]["addresses"][0]["label"] == "eth1:own"


def test_an_address_that_was_given_up_is_anybodys(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.apply(FIRST)
    near.apply(SECOND)
    near.ip("address", "add", "192.168.222.1/24", "dev", "eth1")
    near.ip("address", "add", "192.168.223.1/24", "dev", "eth2")
    near.remove()
    assert near.addresses("eth1") == ["192.168.222.1/24"]
    assert near.addresses("eth2") == ["192.168.223.1/24"]


def test_what_disappears_by_itself_is_no_failure(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.apply(FIRST)
    near.ip("address", "del", "192.168.222.1/24", "dev", "eth1")
    near.ip("link", "set", "eth1", "down")
    near.ip("link", "del", "eth2")
    assert near.remove()["changed"]
    assert near.addresses("eth1") == []
    assert near.left_behind() == []


def test_a_card_that_was_renamed_or_got_another_mac_is_found_again(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.apply(FIRST)
    near.ip("link", "set", "eth1", "down")
    near.ip("link", "set", "eth1", "name", "test0")
    near.ip("link", "set", "test0", "up")
    near.ip("link", "set", "eth2", "address", "02:00:00:00:0f:0f")
    near.remove()
    assert near.addresses("test0") == near.addresses("eth2") == []
    assert not near.up("test0") and not near.up("eth2")


def test_a_bridge_is_not_taken_for_its_port(empty_bench: Bench) -> None:
    near, far = empty_bench.machine(), empty_bench.machine()
    empty_bench.cable(near, "eth1", ONE, far, "eth1", TWO)
    near.ip("link", "add", "br0", "address", ONE, "type", "bridge")
    near.ip("link", "set", "eth1", "master", "br0")
    change = near.apply([{"mac": ONE, "ip": "192.168.222.1/24"}])
    assert near.addresses("eth1") == ["192.168.222.1/24"]
    assert near.addresses("br0") == []
    assert "eth1 (02:00:00:00:01:01, 192.168.222.1) is a port of br0" in change["warnings"][0]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"mac": "02:00:00:00:0f:0f", "ip": "10.0.0.1/24"}, f"this machine has eth1 ({ONE}), eth2 ({TWO})."),
        ({"mac": ONE, "ip": "10.0.0.1/24", "mtu": 70000}, "takes an MTU from 68 to 65535, not 70000"),
        (
            {"mac": ONE, "ip": "10.7.0.1/24"},
            f"10.7.0.1 is already on eth2 ({TWO}), so it cannot be on eth1 ({ONE}) too",
        ),
        ({"mac": ONE, "ip": "fd00::1/64"}, "IPv6 is switched off on eth1"),
        ({"mac": ONE, "ip": "10.0.0.1"}, "lacks its prefix length"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_touched(
    wired: tuple[Machine, Machine], link: dict[str, t.Any], said: str
) -> None:
    near, _far = wired
    near.ip("address", "add", "10.7.0.1/16", "dev", "eth2")
    setting = "/proc/sys/net/ipv6/conf/eth1/disable_ipv6"
    set_value(near, setting, 1)
    before = near.state()
    for check_mode in (True, False):
        with pytest.raises(Refused) as refusal:
            near.apply([{"mac": TWO, "ip": "10.8.0.1/24"}, link], check_mode=check_mode)
        assert said in str(refusal.value)
    assert near.state() == before
    assert near.left_behind() == []


def test_without_a_record(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    folder = str(near.records)

    def apply(links: Links, **options: t.Any) -> dict[str, t.Any]:
        return near.call("apply", links, record=None, record_dir=folder, **options)

    def remove(links: Links, **options: t.Any) -> dict[str, t.Any]:
        return near.call("remove_addresses", links, record_dir=folder, **options)

    near.ip("address", "add", "192.168.222.77/24", "dev", "eth1")
    links = [{"mac": ONE, "ip": ["192.168.222.1/24", "fd00:222::1/64"]}]
    do(near, lambda links, check_mode=False: apply(links, check_mode=check_mode), links)
    assert near.left_behind() == []
    do(near, lambda links, check_mode=False: remove(links, check_mode=check_mode), links)
    assert near.addresses("eth1") == ["192.168.222.77/24"]
    assert near.up("eth1")
    assert not remove([{"mac": "02:00:00:00:0f:0f", "ip": "10.0.0.1/24"}])["changed"]
