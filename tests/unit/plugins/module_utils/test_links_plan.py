# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about direct links, before any of it is done."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._links import changes as links
from ansible_collections.lab.multidevice.plugins.module_utils._links.devices import Address, Device
from ansible_collections.lab.multidevice.plugins.module_utils._links.options import WantedLink
from ansible_collections.lab.multidevice.plugins.module_utils._links.records import Record, RecordedLink

ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
OTHER = Path("/records/b.links.json")
OWN_IPV6 = Address("fd00:1::1/64", arguments=("fd00:1::1/64", "scope", "global", "nodad"))
LOST = (OWN_IPV6.arguments,)


def device(index: int = 1, *addresses: str | Address, **more: t.Any) -> Device:
    of_it = tuple(Address(address) if isinstance(address, str) else address for address in addresses)
    mac = f"02:00:00:00:00:0{index}"
    values = {"up": True, "mtu": 1500, **more}
    return Device(
        index, f"eth{index}", mac, mac, "", "", "", carrier=True, mtu_range=(68, 9000), addresses=of_it, **values
    )


def wanted(mac: str = ONE, *addresses: str, mtu: int | None = None) -> WantedLink:
    return WantedLink(mac, tuple(ipaddress.ip_interface(address) for address in addresses), mtu)


def recorded(index: int = 1, *added: str, **more: t.Any) -> RecordedLink:
    values = {"addresses": added, "was_up": True, **more}
    return RecordedLink(mac=f"02:00:00:00:00:0{index}", index=index, device=f"eth{index}", added=added, **values)


def record(*of_it: RecordedLink, job_id: str = "a") -> Record:
    return Record(job_id, "boot", "namespace", of_it)


def steps(plan: links._Plan) -> list[str]:
    return [f"{step.device.name} {step.verb} {step.value}".strip() for step in plan.steps]


def present(
    want: list[WantedLink], devices: list[Device], previous: Record | None = None, other: Record | None = None
) -> links._Plan:
    return links._plan_present(want, devices, previous, {OTHER: other} if other else {})


def release(link: RecordedLink, devices: list[Device], other: Record | None = None) -> links._Plan:
    plan = links._Plan()
    links._plan_removal(plan, link, devices, {OTHER: other} if other else {})
    return plan


# To have links


PLANS: dict[str, tuple[WantedLink, Device, RecordedLink | None, list[str]]] = {
    "a card that is down": (
        wanted(ONE, "10.0.0.1/24", mtu=1400),
        device(1, up=False),
        None,
        ["eth1 mtu 1400", "eth1 up", "eth1 add 10.0.0.1/24"],
    ),
    "a card that is up": (wanted(ONE, "10.0.0.1/24", mtu=1500), device(1), None, ["eth1 add 10.0.0.1/24"]),
    "all is there": (wanted(ONE, "10.0.0.1/24"), device(1, "10.0.0.1/24"), None, []),
    "another prefix": (wanted(ONE, "10.0.0.1/24"), device(1, "10.0.0.1/16"), None, ["eth1 add 10.0.0.1/24"]),
    "an address is exchanged": (
        wanted(ONE, "10.0.0.2/24"),
        device(1, "10.0.0.1/24", "10.0.0.9/24"),
        recorded(1, "10.0.0.1/24"),
        ["eth1 delete 10.0.0.1/24", "eth1 add 10.0.0.2/24"],
    ),
    "an address is gone by itself": (
        wanted(ONE, "10.0.0.2/24"),
        device(1),
        recorded(1, "10.0.0.1/24"),
        ["eth1 add 10.0.0.2/24"],
    ),
    "an MTU is given up": (
        wanted(ONE, "10.0.0.1/24"),
        device(1, "10.0.0.1/24", mtu=1400),
        recorded(1, "10.0.0.1/24", mtu=1400, mtu_before=1500),
        ["eth1 mtu 1500"],
    ),
    "an MTU is changed": (
        wanted(ONE, "10.0.0.1/24", mtu=1300),
        device(1, "10.0.0.1/24", mtu=1400),
        recorded(1, "10.0.0.1/24", mtu=1400, mtu_before=1500),
        ["eth1 mtu 1300"],
    ),
    "what a crash has lost is set again": (
        wanted(ONE, "10.0.0.1/24"),
        device(1, "10.0.0.1/24"),
        recorded(1, "10.0.0.1/24", restore=LOST),
        ["eth1 restore fd00:1::1/64"],
    ),
    "what a crash has not lost is left": (
        wanted(ONE, "10.0.0.1/24"),
        device(1, "10.0.0.1/24", OWN_IPV6),
        recorded(1, "10.0.0.1/24", restore=LOST),
        [],
    ),
}


@pytest.mark.parametrize(("want", "there", "old", "expected"), PLANS.values(), ids=PLANS)
def test_what_is_done_to_have_a_link(
    want: WantedLink, there: Device, old: RecordedLink | None, expected: list[str]
) -> None:
    plan = present([want], [device(3, "10.9.0.1/24"), there], record(old) if old else None)
    assert steps(plan) == expected
    assert plan.touched == [there]
    assert plan.successors == {}


def test_a_card_that_is_not_named_any_more_is_put_back() -> None:
    one, two = device(1, "10.0.0.1/24"), device(2, "10.0.1.1/24")
    previous = record(recorded(1, "10.0.0.1/24"), recorded(2, "10.0.1.1/24", was_up=False))
    plan = present([wanted(ONE, "10.0.0.1/24")], [one, two], previous)
    assert steps(plan) == ["eth2 delete 10.0.1.1/24", "eth2 down"]
    assert [link.index for link in plan.links] == [1]
    assert [link.index for link in plan.held] == [2, 1]
    assert present([], [one], record(recorded(7, "10.0.1.1/24"))).steps == []


def test_an_address_that_moves_is_deleted_first() -> None:
    devices = [device(1, "10.0.0.1/24"), device(2, "10.0.0.2/24")]
    previous = record(recorded(1, "10.0.0.1/24"), recorded(2, "10.0.0.2/24"))
    plan = present([wanted(ONE, "10.0.0.2/24"), wanted(TWO, "10.0.0.1/24")], devices, previous)
    assert steps(plan) == [
        "eth1 delete 10.0.0.1/24",
        "eth2 delete 10.0.0.2/24",
        "eth1 add 10.0.0.2/24",
        "eth2 add 10.0.0.1/24",
    ]


def test_what_is_recorded_of_a_new_link() -> None:
    there = device(1, "10.0.0.9/24", OWN_IPV6, Address("fe80::1/64", scope="link"), up=False)
    plan = present([wanted(ONE, "10.0.0.1/24", "10.0.0.9/24", mtu=1400)], [there])
    addresses = ("10.0.0.1/24", "10.0.0.9/24")
    expected = recorded(1, "10.0.0.1/24", addresses=addresses, was_up=False, mtu=1400, mtu_before=1500)
    assert plan.links == [expected]
    # Its own address would be lost, were it brought down again.
    assert plan.held == [dataclasses.replace(expected, restore=LOST)]
    assert present([wanted(ONE, mtu=1500)], [there]).links[0].mtu_before is None


def test_what_is_recorded_of_a_link_that_was_there() -> None:
    old = recorded(1, "10.0.0.1/24", "10.0.0.2/24", was_up=False, mtu=1400, mtu_before=1500)
    there = device(1, "10.0.0.1/24", "10.0.0.7/24", mtu=1400)
    plan = present([wanted(ONE, "10.0.0.1/24", "10.0.0.7/24", mtu=1300)], [there], record(old))
    addresses = ("10.0.0.1/24", "10.0.0.7/24")
    assert plan.links == [
        recorded(1, "10.0.0.1/24", addresses=addresses, was_up=False, mtu=1300, mtu_before=1500),
    ]
    assert plan.held == [old]
    (given_up,) = present([wanted(ONE, "10.0.0.1/24")], [there], record(old)).links
    assert (given_up.mtu, given_up.mtu_before, given_up.was_up) == (None, None, False)


def test_an_mtu_that_is_given_up_goes_to_another_run() -> None:
    old = recorded(1, "10.0.0.1/24", was_up=False, mtu=1400, mtu_before=1500)
    successor = recorded(1, "10.0.0.2/24", mtu=1400)
    there = device(1, "10.0.0.1/24", "10.0.0.2/24", mtu=1400)
    plan = present([wanted(ONE, "10.0.0.1/24")], [there], record(old), record(successor, job_id="b"))
    assert steps(plan) == []
    # The card stays with this run, which brings it down at its end.
    assert plan.successors[OTHER].links == (dataclasses.replace(successor, mtu_before=1500),)
    assert (plan.links[0].mtu_before, plan.links[0].was_up) == (None, False)


# To release links


RELEASES: dict[str, tuple[RecordedLink, Device, list[str]]] = {
    "a card that was up": (recorded(1, "10.0.0.1/24"), device(1, "10.0.0.1/24"), ["eth1 delete 10.0.0.1/24"]),
    "a card that was down": (
        recorded(1, "10.0.0.1/24", was_up=False),
        device(1, "10.0.0.1/24"),
        ["eth1 delete 10.0.0.1/24", "eth1 down"],
    ),
    "a card that is down by itself": (recorded(1, "10.0.0.1/24", was_up=False), device(1, up=False), []),
    "an address of its own": (
        recorded(1, "10.0.0.1/24", was_up=False),
        device(1, "10.0.0.1/24", OWN_IPV6),
        ["eth1 delete 10.0.0.1/24", "eth1 down", "eth1 restore fd00:1::1/64"],
    ),
    "an address that was lost before": (
        recorded(1, "10.0.0.1/24", restore=LOST),
        device(1, "10.0.0.1/24"),
        ["eth1 delete 10.0.0.1/24", "eth1 restore fd00:1::1/64"],
    ),
    "the run's own IPv6 address": (
        recorded(1, "fd00:1::1/64", was_up=False),
        device(1, OWN_IPV6),
        ["eth1 delete fd00:1::1/64", "eth1 down"],
    ),
    "an address that was there": (
        recorded(1, addresses=("10.0.0.1/24",)),
        device(1, "10.0.0.1/24"),
        [],
    ),
    "an MTU": (recorded(1, mtu=1400, mtu_before=1500), device(1, mtu=1400), ["eth1 mtu 1500"]),
    "an MTU that is back already": (recorded(1, mtu=1400, mtu_before=1500), device(1), []),
}


@pytest.mark.parametrize(("link", "there", "expected"), RELEASES.values(), ids=RELEASES)
def test_what_is_done_to_release_a_link(link: RecordedLink, there: Device, expected: list[str]) -> None:
    plan = release(link, [device(3), there], record(recorded(3), job_id="b"))
    assert steps(plan) == expected
    assert plan.touched == [there]
    assert plan.successors == {}
    (held,) = plan.held
    lost = LOST if "eth1 restore fd00:1::1/64" in expected else ()
    assert held == dataclasses.replace(link, restore=lost)


def test_a_card_that_is_gone_needs_nothing() -> None:
    plan = release(recorded(1, "10.0.0.1/24"), [device(2)])
    assert (plan.steps, plan.touched, plan.held) == ([], [], [])


@pytest.mark.parametrize(
    ("of_link", "of_heir", "inherited"), [(1500, None, 1500), (1500, 1450, 1450), (None, None, None)]
)
@pytest.mark.parametrize(("link_up", "heir_up"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_card_that_another_run_uses_passes_to_it(
    of_link: int | None, of_heir: int | None, inherited: int | None, link_up: bool, heir_up: bool
) -> None:
    link = recorded(1, "10.0.0.1/24", was_up=link_up, mtu_before=of_link, restore=LOST)
    successor, unrelated = recorded(1, "10.0.0.2/24", was_up=heir_up, mtu_before=of_heir), recorded(2)
    there = device(1, "10.0.0.1/24", "10.0.0.2/24", mtu=1400)
    plan = release(link, [there], record(unrelated, successor, job_id="b"))
    assert steps(plan) == ["eth1 delete 10.0.0.1/24", "eth1 restore fd00:1::1/64"]
    assert plan.held == [link]
    new = dataclasses.replace(successor, was_up=link_up and heir_up, mtu_before=inherited)
    assert plan.successors == {OTHER: record(unrelated, new, job_id="b")}


def test_two_cards_pass_to_the_same_run() -> None:
    plan = links._Plan()
    neighbours = {OTHER: record(recorded(1), recorded(2), job_id="b")}
    for index in (1, 2):
        links._plan_removal(plan, recorded(index, was_up=False), [device(index)], neighbours)
    assert [link.was_up for link in plan.successors[OTHER].links] == [False, False]


# What is refused


HELD = record(recorded(1, "10.8.0.1/24", mtu=1400), job_id="b")


@pytest.mark.parametrize(
    ("want", "other", "said"),
    [
        (wanted(ONE, mtu=67), None, "takes an MTU from 68 to 9000, not 67"),
        (wanted(ONE, mtu=9001), None, "takes an MTU from 68 to 9000, not 9001"),
        (wanted(ONE, mtu=68), None, None),
        (wanted(ONE, mtu=9000), None, None),
        (wanted(ONE, "10.9.0.1/24"), None, "10.9.0.1 is already on eth3 (02:00:00:00:00:03), so it cannot be on eth1 "),
        (wanted(ONE, "10.9.0.2/24"), None, None),
        (wanted(ONE, "10.8.0.1/24"), HELD, "Run b holds 10.8.0.1 on eth1 "),
        (wanted(TWO, "10.8.0.1/32"), HELD, "Run b holds 10.8.0.1 on eth1 "),
        (wanted(ONE, "10.8.0.2/24"), HELD, None),
        (wanted(ONE, mtu=1300), HELD, "Run b holds eth1 (02:00:00:00:00:01) at MTU 1400, so it cannot have 1300"),
        (wanted(ONE, mtu=1400), HELD, None),
        (wanted(ONE, mtu=1300), record(recorded(1), job_id="b"), None),
        (wanted(TWO, mtu=1300), HELD, None),
    ],
)
def test_what_cannot_be_had(want: WantedLink, other: Record | None, said: str | None) -> None:
    devices = [device(1), device(2), device(3, "10.9.0.1/16", Address("10.9.0.2/16", scope="link"))]
    if said is None:
        assert present([want], devices, other=other).links
        return
    with pytest.raises(NodeError) as refusal:
        present([want], devices, other=other)
    assert said in str(refusal.value)


def test_a_card_without_a_highest_mtu_takes_any() -> None:
    there = dataclasses.replace(device(1), mtu_range=(68, 0))
    assert steps(present([wanted(ONE, mtu=90000)], [there])) == ["eth1 mtu 90000"]
    with pytest.raises(NodeError):
        present([wanted(ONE, mtu=60)], [there])


def test_one_card_by_two_names() -> None:
    there = dataclasses.replace(device(1), permanent_mac=TWO)
    with pytest.raises(NodeError, match=f"{ONE} and {TWO} are one device, eth1 .*; name it once"):
        present([wanted(ONE), wanted(TWO)], [there])


# What it would come to


def test_the_forecast() -> None:
    one, two = device(1, "10.0.0.1/24", OWN_IPV6, up=True), device(2, up=False)

    def after(*some: tuple[Device, str, str]) -> list[Device]:
        return links._predict([one, two], [links.Step(*step) for step in some])

    assert after() == [one, two]
    assert after((two, "up", "")) == [one, dataclasses.replace(two, up=True)]
    assert after((two, "mtu", "1400")) == [one, dataclasses.replace(two, mtu=1400)]
    assert after((one, "down", "")) == [dataclasses.replace(one, up=False, addresses=one.addresses[:1]), two]
    assert after((one, "delete", "10.0.0.1/24")) == [dataclasses.replace(one, addresses=(OWN_IPV6,)), two]
    for verb in ("add", "restore"):
        (_one, changed) = after((two, "up", ""), (two, verb, "10.0.0.5/24"))
        assert changed == dataclasses.replace(two, up=True, addresses=(Address("10.0.0.5/24"),))


def test_what_is_shown() -> None:
    one = device(1, "10.0.0.9/24", "10.0.0.1/24", Address("fe80::1/64", scope="link"))
    shown = {"mac": ONE, "up": True, "mtu": 1500, "addresses": ["10.0.0.1/24", "10.0.0.9/24"]}
    assert links._view([one, device(2)], [dataclasses.replace(one, up=False)]) == {"eth1": shown}


def test_what_is_answered() -> None:
    one = device(1, "10.0.0.1/24", "10.0.0.9/24", mtu=1400)
    change = links.LinkChange(True)
    held = recorded(1, "10.0.0.1/24", addresses=("10.0.0.1/24", "10.0.0.9/24"))
    links._describe(change, [recorded(7), held], [one], [one, device(2)])
    assert change.after == links._view([one], [one])
    assert change.devices == [
        {
            "mac": ONE,
            "device": "eth1",
            "addresses": ["10.0.0.1/24", "10.0.0.9/24"],
            "added": ["10.0.0.1/24"],
            "up": True,
            "carrier": True,
            "mtu": 1400,
        }
    ]


def test_each_step_has_its_inverse() -> None:
    one = device(1, mtu=1450)
    pairs = {"up": "down", "down": "up", "add": "delete", "delete": "add"}
    for verb, inverse in pairs.items():
        assert links.Step(one, verb, "x").inverse == links.Step(one, inverse, "x")
    assert links.Step(one, "mtu", "1400").inverse == links.Step(one, "mtu", "1450")
