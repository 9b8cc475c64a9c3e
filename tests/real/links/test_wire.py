# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is seen on the wire: duplicates, the right and the wrong other end, no other end at all."""

from __future__ import annotations

import re
import time
import typing as t

import pytest

from links.links_bench import Bench, Links, Machine, Refused
from support.waiting import wait_until

ONE, TWO = "02:00:00:00:01:01", "02:00:00:00:01:02"
FAR_ONE, FAR_TWO = "02:00:00:00:02:01", "02:00:00:00:02:02"
NEAR_LINKS = [{"mac": ONE, "ip": ["192.168.222.1/24", "fd00:222::1/64"]}]
FAR_LINKS = [{"mac": FAR_ONE, "ip": ["192.168.222.2/24", "fd00:222::2/64"]}]
FAR_PEER: list[dict[str, t.Any]] = [
    {"ip": "192.168.222.2", "mac": FAR_ONE, "node": "client-1"},
    {"ip": "fd00:222::2", "mac": FAR_ONE, "node": "client-1"},
]


def refusal_of(machine: Machine, links: Links, **options: t.Any) -> str:
    """The sentence; the machine must be as it was before the call."""
    before, records = machine.state(), machine.left_behind()
    with pytest.raises(Refused) as refusal:
        machine.apply(links, **options)
    assert machine.state() == before
    assert machine.left_behind() == records
    return str(refusal.value)


@pytest.mark.parametrize("ip", ["192.168.222.1", "fd00:222::1"])
@pytest.mark.parametrize("already_set", [False, True])
def test_a_duplicate_is_detected(wired: tuple[Machine, Machine], ip: str, already_set: bool) -> None:
    near, far = wired
    if already_set:
        near.apply(NEAR_LINKS)
    far.ip("address", "add", f"{ip}/64" if ":" in ip else f"{ip}/24", "dev", "eth1", *(["nodad"] if ":" in ip else []))
    said = refusal_of(near, NEAR_LINKS, check_duplicates=True)
    assert said == (
        f"Duplicate address {ip} on the wire of eth1 ({ONE}, 192.168.222.1, fd00:222::1): "
        f"the card {FAR_ONE} has it too."
    )


@pytest.mark.parametrize("ip", ["192.168.222.1/24", "fd00:222::1/64"])
def test_of_two_that_ask_for_an_address_at_the_same_time_at_most_one_gets_it(
    wired: tuple[Machine, Machine], ip: str
) -> None:
    near, far = wired
    near.ip("link", "set", "eth1", "up")
    calls = [
        machine.start("apply", [{"mac": mac, "ip": ip}], record=str(machine.record()), check_duplicates=True)
        for machine, mac in ((near, ONE), (far, FAR_ONE))
    ]
    refused = []
    for call, other in zip(calls, (FAR_ONE, ONE), strict=True):
        try:
            call.answer()
        except Refused as refusal:
            refused.append(str(refusal))
            assert f"the card {other}" in str(refusal)
    assert refused
    assert [*near.addresses("eth1"), *far.addresses("eth1")] == [ip] * (2 - len(refused))


def test_no_duplicate_is_no_trouble(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    far.apply(FAR_LINKS)
    first = near.apply(NEAR_LINKS, check_duplicates=True)
    again = near.apply(NEAR_LINKS, check_duplicates=True)
    assert (first["changed"], again["changed"], first["warnings"], again["warnings"]) == (True, False, [], [])


def test_own_cards_on_one_switch_are_no_duplicates(empty_bench: Bench) -> None:
    near, switch = empty_bench.machine(), empty_bench.machine()
    switch.ip("link", "add", "br0", "up", "type", "bridge")
    for number, mac in enumerate((ONE, TWO), 1):
        empty_bench.cable(near, f"eth{number}", mac, switch, f"port{number}", f"02:00:00:00:0a:0{number}")
        switch.ip("link", "set", f"port{number}", "master", "br0", "up")
    links = [{"mac": ONE, "ip": "192.168.222.1/24"}, {"mac": TWO, "ip": "192.168.222.2/24"}]
    near.apply(links)
    assert near.apply(links, check_duplicates=True)["warnings"] == []


def test_an_address_that_the_kernel_has_given_up_is_refused(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    far.ip("address", "add", "fd00:222::1/64", "dev", "eth1", "nodad")
    near.ip("link", "set", "eth1", "up")
    near.ip("address", "add", "fd00:222::1/64", "dev", "eth1")
    wait_until(
        "the kernel has given the address up",
        lambda: any(address.get("dadfailed") for address in near.state()["eth1"]["addresses"]),
    )
    assert "Duplicate address fd00:222::1/64 on eth1" in refusal_of(near, NEAR_LINKS)


def test_a_dark_card_cannot_see_duplicates(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    far.ip("link", "set", "eth1", "down")
    change = near.apply(NEAR_LINKS, check_duplicates=True)
    assert change["changed"]
    assert "eth1 (02:00:00:00:01:01, 192.168.222.1, fd00:222::1) has no carrier" in change["warnings"][0]


def test_peers_answer(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    near.apply(NEAR_LINKS)
    far.apply(FAR_LINKS)
    own = ["192.168.222.1"]
    started = time.monotonic()
    change = near.apply(NEAR_LINKS, check_peers=[*FAR_PEER, *own], peer_timeout=20)
    assert time.monotonic() - started < 5
    assert not change["changed"]
    assert change["peers"] == [
        {"ip": "192.168.222.2", "mac": FAR_ONE, "device": "eth1"},
        {"ip": "fd00:222::2", "mac": FAR_ONE, "device": "eth1"},
    ]


def test_a_peer_that_comes_late_is_waited_for(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    far.ip("link", "set", "eth1", "down")
    near.apply(NEAR_LINKS)
    call = near.start(
        "apply", NEAR_LINKS, record=str(near.record()), check_peers=["192.168.222.2", "fd00:222::2"], peer_timeout=30
    )
    time.sleep(0.7)
    far.apply(FAR_LINKS)
    assert len(call.answer()["peers"]) == 2


@pytest.mark.parametrize("ip", ["192.168.222.2", "fd00:222::2"])
def test_a_peer_without_its_address(wired: tuple[Machine, Machine], ip: str) -> None:
    near, _far = wired
    peers = [{"ip": ip, "mac": FAR_ONE, "node": "client-1"}]
    assert refusal_of(near, NEAR_LINKS, check_peers=peers, peer_timeout=0.6) == (
        f"eth1 ({ONE}, 192.168.222.1, fd00:222::1) gets no answer from {ip} (client-1, {FAR_ONE}) within 0.6 seconds: "
        "check the cable and that the other end has its address."
    )


def test_a_cable_that_is_not_plugged_in(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    far.apply(FAR_LINKS)
    near.apply(NEAR_LINKS)
    far.ip("link", "set", "eth1", "down")
    said = refusal_of(near, NEAR_LINKS, check_peers=FAR_PEER[:1], peer_timeout=0.6)
    assert "no carrier on eth1, check the cable and that the other end is up" in said


def test_a_wrong_cable(empty_bench: Bench) -> None:
    """The far machine's eth2 is plugged in where its eth1 should be, and answers for it as Linux does for IPv4."""
    near, far, nobody = (empty_bench.machine() for _number in range(3))
    empty_bench.cable(near, "eth1", ONE, far, "eth2", FAR_TWO)
    empty_bench.cable(nobody, "eth1", TWO, far, "eth1", FAR_ONE)
    nobody.ip("link", "set", "eth1", "up")
    far.ip("link", "set", "eth2", "up")
    far.apply(FAR_LINKS)
    near.apply(NEAR_LINKS)
    said = refusal_of(near, NEAR_LINKS, check_peers=FAR_PEER[:1], peer_timeout=0.6)
    assert said == (
        f"eth1 ({ONE}, 192.168.222.1, fd00:222::1) gets no answer from 192.168.222.2 (client-1, {FAR_ONE}) "
        f"within 0.6 seconds, but one from the card {FAR_TWO}: wrong cable, or an address in use twice."
    )
    assert near.apply(NEAR_LINKS, check_peers=["192.168.222.2"])["peers"][0]["mac"] == FAR_TWO
    assert "gets no answer from fd00:222::2" in refusal_of(near, NEAR_LINKS, check_peers=FAR_PEER[1:], peer_timeout=0.6)


def test_several_lost_peers_are_all_named(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    far.apply(FAR_LINKS)
    near.apply(NEAR_LINKS)
    said = refusal_of(
        near, NEAR_LINKS, check_peers=["192.168.222.2", "192.168.222.3", "192.168.222.4"], peer_timeout=0.6
    )
    assert "192.168.222.2 " not in said
    assert "192.168.222.3" in said and "192.168.222.4" in said


def test_packets_that_would_take_another_card(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    near.ip("link", "set", "eth2", "up")
    near.ip("address", "add", "192.168.222.99/24", "dev", "eth2")
    far.apply(FAR_LINKS)
    near.apply(NEAR_LINKS)
    assert refusal_of(near, NEAR_LINKS, check_peers=FAR_PEER[:1]) == (
        f"192.168.222.2 (client-1, {FAR_ONE}) answers on eth1 ({ONE}, 192.168.222.1, fd00:222::1), but this machine sends "
        "what is meant for it through eth2: two of its cards are in that network."
    )


def test_a_peer_in_no_network_of_the_links(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    said = refusal_of(near, NEAR_LINKS, check_peers=["10.0.0.1"])
    assert said == (
        "check_peers: 10.0.0.1 is in none of the networks of the direct links (192.168.222.0/24, fd00:222::/64)."
    )


def test_waiting_for_a_carrier(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    far.ip("link", "set", "eth1", "down")
    assert refusal_of(near, NEAR_LINKS, carrier_timeout=0.3) == (
        f"No carrier within 0.3 seconds on eth1 ({ONE}, 192.168.222.1, fd00:222::1); "
        "check the cable and that the other end is up."
    )
    call = near.start("apply", NEAR_LINKS, record=str(near.record()), carrier_timeout=30)
    time.sleep(0.5)
    far.ip("link", "set", "eth1", "up")
    assert call.answer()["devices"][0]["carrier"]


@pytest.mark.parametrize("ip", ["192.168.222.1/24", "fd00:222::1/64"])
def test_what_others_remember_of_an_address_is_corrected(empty_bench: Bench, ip: str) -> None:
    """Another machine had the address in an earlier run; a peer that stayed up still knows that machine's card."""
    first, second, peer, switch = (empty_bench.machine() for _number in range(4))
    switch.ip("link", "add", "br0", "up", "type", "bridge")
    macs = {}
    for number, machine in enumerate((first, second, peer), 1):
        macs[machine.namespace] = f"02:00:00:00:0b:0{number}"
        empty_bench.cable(machine, "eth1", macs[machine.namespace], switch, f"p{number}", f"02:00:00:00:0c:0{number}")
        switch.ip("link", "set", f"p{number}", "master", "br0", "up")
        machine.ip("link", "set", "eth1", "up")
    peer_ip = "192.168.222.9/24" if "." in ip else "fd00:222::9/64"
    bare = ip.partition("/")[0]

    def card_that_the_peer_knows() -> str:
        found = re.search(r"lladdr (\S+)", peer.ip("neighbour", "show", bare, "dev", "eth1"))
        return found[1] if found else ""

    peer.apply([{"mac": macs[peer.namespace], "ip": peer_ip}])
    first.apply([{"mac": macs[first.namespace], "ip": ip}])
    peer.apply([{"mac": macs[peer.namespace], "ip": peer_ip}], check_peers=[bare])
    peer.ip("neighbour", "replace", bare, "lladdr", macs[first.namespace], "dev", "eth1", "nud", "stale")
    first.remove()
    assert card_that_the_peer_knows() == macs[first.namespace]
    second.apply([{"mac": macs[second.namespace], "ip": ip}])
    wait_until("the peer knows the other card", lambda: card_that_the_peer_knows() == macs[second.namespace], 5)
