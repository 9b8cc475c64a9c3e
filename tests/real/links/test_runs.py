# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several runs on one machine."""

from __future__ import annotations

import re

import pytest

from links.links_bench import Machine, Refused

ONE, TWO = "02:00:00:00:01:01", "02:00:00:00:01:02"
SHARED = [{"mac": ONE, "ip": "192.168.222.1/24"}]
SHARED_WITH_MTU = [{**SHARED[0], "mtu": 1400}]
OTHER_ADDRESS = [{"mac": ONE, "ip": ["192.168.222.2/24", "fd00:222::2/64"]}]


def test_two_runs_share_a_card(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    before = near.state()
    near.apply(SHARED_WITH_MTU, run="a.1.1")
    near.apply(OTHER_ADDRESS, run="b.1.1")
    assert near.remove(run="a.1.1")["changed"]
    assert near.addresses("eth1") == ["192.168.222.2/24", "fd00:222::2/64"]
    assert near.up("eth1")
    assert near.state()["eth1"]["mtu"] == 1400
    near.remove(run="b.1.1")
    assert near.state() == before
    assert near.left_behind() == []


@pytest.mark.parametrize("order", ["abc", "acb", "bac", "bca", "cab", "cba"])
def test_the_last_of_three_runs_puts_the_card_back(wired: tuple[Machine, Machine], order: str) -> None:
    near, _far = wired
    before = near.state()
    for number, run in enumerate("abc", 1):
        near.apply([{"mac": ONE, "ip": f"192.168.222.{number}/24", "mtu": 1400}], run=run)
    for run in order:
        assert near.up("eth1")
        assert near.state()["eth1"]["mtu"] == 1400
        near.remove(run=run)
    assert near.state() == before


def test_a_run_that_gives_up_its_mtu_leaves_it_to_the_other(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    before = near.state()
    near.apply(SHARED_WITH_MTU, run="a.1.1")
    near.apply([{**OTHER_ADDRESS[0], "mtu": 1400}], run="b.1.1")
    assert not near.apply(SHARED, run="a.1.1")["changed"]
    assert near.state()["eth1"]["mtu"] == 1400
    near.remove(run="b.1.1")
    near.remove(run="a.1.1")
    assert near.state() == before


@pytest.mark.parametrize("mac", [ONE, TWO])
def test_the_same_address_is_refused_and_the_run_named(wired: tuple[Machine, Machine], mac: str) -> None:
    near, _far = wired
    near.apply(SHARED, run="a.1.1")
    between = near.state()
    said = f"Run a.1.1 holds 192.168.222.1 on eth1 ({ONE}) of this machine; remove the links of that run first"
    for check_mode in (True, False):
        with pytest.raises(Refused, match=re.escape(said)):
            near.apply([{"mac": mac, "ip": "192.168.222.1/16"}], run="b.1.1", check_mode=check_mode)
    with pytest.raises(Refused, match=re.escape(said)):
        near.call("remove_addresses", [{"mac": mac, "ip": "192.168.222.1/24"}], record_dir=str(near.records))
    assert near.state() == between
    assert near.left_behind() == ["a.1.1.links.json"]


def test_another_mtu_is_refused_and_the_run_named(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.apply(SHARED_WITH_MTU, run="a.1.1")
    with pytest.raises(Refused, match=re.escape("Run a.1.1 holds eth1 (02:00:00:00:01:01) at MTU 1400")):
        near.apply([{**OTHER_ADDRESS[0], "mtu": 1300}], run="b.1.1")


def test_the_record_of_a_card_that_is_gone_hinders_nobody(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    near.apply(SHARED, run="a.1.1")
    near.ip("link", "del", "eth1")
    near.ip("link", "add", "eth1", "address", ONE, "type", "veth", "peer", "name", "eth9")
    before = near.state()
    near.apply(SHARED, run="b.1.1")
    assert not near.remove(run="a.1.1")["changed"]
    assert near.addresses("eth1") == ["192.168.222.1/24"]
    near.remove(run="b.1.1")
    assert near.state() == before


def test_ten_runs_at_the_same_time(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    before = near.state()
    runs = [f"{number}.1.1" for number in range(1, 11)]
    calls = [
        near.start("apply", [{"mac": ONE, "ip": f"192.168.222.{number}/24"}], record=str(near.record(run)))
        for number, run in enumerate(runs, 1)
    ]
    assert all(call.answer()["changed"] for call in calls)
    assert len(near.addresses("eth1")) == 10
    calls = [near.start("remove", record=str(near.record(run))) for run in runs]
    assert all(call.answer()["changed"] for call in calls)
    assert near.state() == before
    assert near.left_behind() == []


def test_one_of_two_that_ask_at_the_same_time_is_refused(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    calls = [near.start("apply", SHARED, record=str(near.record(run))) for run in ("a.1.1", "b.1.1")]
    outcomes = []
    for call in calls:
        try:
            outcomes.append(call.answer()["changed"])
        except Refused as refusal:
            outcomes.append(str(refusal)[:18])
    assert outcomes in ([True, "Run a.1.1 holds 19"], ["Run b.1.1 holds 19", True])
