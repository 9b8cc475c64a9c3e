# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that die or fail in the middle: at every single change, just before it and just after it."""

from __future__ import annotations

import re
import signal
import time
import typing as t
from pathlib import Path

import pytest

from links.links_bench import IP, Links, Machine, Refused, set_value, value_of

ONE, TWO = "02:00:00:00:01:01", "02:00:00:00:01:02"
LINKS: Links = [
    {"mac": ONE, "ip": ["192.168.222.1/24", "fd00:222::1/64"], "mtu": 1400},
    {"mac": TWO, "ip": "192.168.223.1/24"},
]
OTHER_LINKS: Links = [{"mac": ONE, "ip": ["192.168.222.5/24"]}]
# Both cards up, one MTU, three addresses.
CHANGES = 6
# One MTU, one card down and its own address set again, three addresses away, one set.
CHANGES_OF_A_CHANGE = 7
# Three addresses away, both cards down and their own addresses set again, one MTU.
CHANGES_OF_A_REMOVAL = 8

PROMOTES = "/proc/sys/net/ipv4/conf/eth1/promote_secondaries"

SABOTAGE = """#!/bin/sh
case " $* " in
*" show "*) exec {ip} "$@" ;;
esac
echo x >> {count}
if [ "$(wc -l < {count})" -eq {at} ]; then
    {deed}
fi
exec {ip} "$@"
"""
DEEDS = {
    "killed before": "kill -KILL $PPID; exit 1",
    "killed after": '{ip} "$@"; kill -KILL $PPID; exit 1',
    "refused": "echo 'RTNETLINK answers: Device or resource busy' >&2; exit 2",
}


def sabotage(machine: Machine, folder: Path, deed: str, at: int) -> None:
    """Puts an ip command in the way that is the real one, but for the change with this number."""
    wrapper = folder / "sabotage" / "ip"
    wrapper.parent.mkdir(exist_ok=True)
    count = folder / "count"
    count.unlink(missing_ok=True)
    wrapper.write_text(SABOTAGE.format(ip=IP, count=count, at=at, deed=DEEDS[deed].format(ip=IP)))
    wrapper.chmod(0o755)
    machine.environment = {"PATH": f"{wrapper.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}


def changes_until_now(folder: Path) -> int:
    return len((folder / "count").read_text().splitlines())


def change_addresses(machine: Machine) -> None:
    machine.apply(OTHER_LINKS)


def set_again_and_remove(machine: Machine) -> None:
    machine.apply(OTHER_LINKS)
    assert value_of(machine, PROMOTES) == 0
    machine.remove()


def points(changes: int) -> list[tuple[str, int]]:
    """After the last change but before the next is the same as just before the next."""
    return [("killed before", 1), *(("killed after", at) for at in range(1, changes + 1))]


def prepare(near: Machine) -> dict[str, t.Any]:
    near.ip("address", "add", "192.168.222.77/24", "dev", "eth1")
    near.ip("address", "add", "fd00:1::1/64", "dev", "eth1", "nodad")
    near.ip("address", "add", "fd00:2::1/64", "dev", "eth2", "nodad", "noprefixroute")
    return near.state()


@pytest.mark.parametrize(("deed", "at"), points(CHANGES))
def test_killed_while_setting(wired: tuple[Machine, Machine], tmp_path: Path, deed: str, at: int) -> None:
    near, _far = wired
    before = prepare(near)
    sabotage(near, tmp_path, deed, at)
    with pytest.raises(ChildProcessError):
        near.apply(LINKS)
    near.environment = {}
    near.remove()
    assert near.state() == before
    assert near.left_behind() == []


def test_there_are_as_many_changes_as_these_tests_believe(wired: tuple[Machine, Machine], tmp_path: Path) -> None:
    near, _far = wired
    prepare(near)
    sabotage(near, tmp_path, "refused", 1000)
    near.apply(LINKS)
    assert changes_until_now(tmp_path) == CHANGES
    near.remove()
    assert changes_until_now(tmp_path) == CHANGES + CHANGES_OF_A_REMOVAL
    near.apply(LINKS)
    near.apply(OTHER_LINKS)
    assert changes_until_now(tmp_path) == 2 * CHANGES + CHANGES_OF_A_REMOVAL + CHANGES_OF_A_CHANGE


@pytest.mark.parametrize("at", [1, 4, CHANGES])
def test_killed_while_setting_and_set_again(wired: tuple[Machine, Machine], tmp_path: Path, at: int) -> None:
    near, _far = wired
    before = prepare(near)
    sabotage(near, tmp_path, "killed after", at)
    with pytest.raises(ChildProcessError):
        near.apply(LINKS)
    near.environment = {}
    near.apply(LINKS)
    assert not near.apply(LINKS)["changed"]
    near.remove()
    assert near.state() == before


def check_killed(near: Machine, tmp_path: Path, deed: str, at: int, call: t.Callable[[], object]) -> None:
    """What a call that is killed leaves of links that were there before, the next removal takes back."""
    before = prepare(near)
    near.apply(LINKS)
    sabotage(near, tmp_path, deed, at)
    with pytest.raises(ChildProcessError):
        call()
    near.environment = {}
    near.remove()
    assert near.state() == before
    assert near.left_behind() == []


@pytest.mark.parametrize(("deed", "at"), points(CHANGES_OF_A_CHANGE))
def test_killed_while_changing(wired: tuple[Machine, Machine], tmp_path: Path, deed: str, at: int) -> None:
    near, _far = wired
    check_killed(near, tmp_path, deed, at, lambda: near.apply(OTHER_LINKS))


@pytest.mark.parametrize(("deed", "at"), points(CHANGES_OF_A_REMOVAL))
def test_killed_while_removing(wired: tuple[Machine, Machine], tmp_path: Path, deed: str, at: int) -> None:
    near, _far = wired
    check_killed(near, tmp_path, deed, at, near.remove)


@pytest.mark.parametrize(
    "deeds", [["killed before"], ["killed after"], ["killed before", "killed after"]], ids=", then ".join
)
@pytest.mark.parametrize("neighbours", [[], ["b.1.1"]], ids=["alone", "beside another run"])
@pytest.mark.parametrize("change", [Machine.remove, change_addresses], ids=["removing", "changing"])
@pytest.mark.parametrize("end", [Machine.remove, set_again_and_remove], ids=["removed", "set again"])
def test_killed_while_the_kernel_is_told_to_keep_later_addresses(
    wired: tuple[Machine, Machine],
    tmp_path: Path,
    deeds: list[str],
    neighbours: list[str],
    change: t.Callable[[Machine], object],
    end: t.Callable[[Machine], object],
) -> None:
    near, _far = wired
    set_value(near, PROMOTES, 0)
    near.ip("link", "set", "eth1", "up")
    near.apply([{"mac": ONE, "ip": "192.168.222.1/24"}])
    near.ip("address", "add", "192.168.222.50/24", "dev", "eth1")
    for run in neighbours:
        near.apply([{"mac": ONE, "ip": "192.168.222.60/24"}], run=run)
    for deed in deeds:
        sabotage(near, tmp_path, deed, 1)
        with pytest.raises(ChildProcessError):
            change(near)
        near.environment = {}
    end(near)
    for run in neighbours:
        near.remove(run=run)
    assert near.addresses("eth1") == ["192.168.222.50/24"]
    assert value_of(near, PROMOTES) == 0
    assert near.left_behind() == []


@pytest.mark.parametrize("at", range(1, CHANGES + 1))
def test_a_refused_change_takes_the_others_back(wired: tuple[Machine, Machine], tmp_path: Path, at: int) -> None:
    near, _far = wired
    before = prepare(near)
    sabotage(near, tmp_path, "refused", at)
    with pytest.raises(Refused, match="Device or resource busy"):
        near.apply(LINKS)
    assert near.state() == before
    assert near.left_behind() == []


@pytest.mark.parametrize("at", range(1, CHANGES_OF_A_CHANGE + 1))
def test_a_refused_change_leaves_the_earlier_call_as_it_was(
    wired: tuple[Machine, Machine], tmp_path: Path, at: int
) -> None:
    near, _far = wired
    before = prepare(near)
    near.apply(LINKS)
    between, record = near.state(), near.record().read_text()
    sabotage(near, tmp_path, "refused", at)
    with pytest.raises(Refused):
        near.apply(OTHER_LINKS)
    near.environment = {}
    assert near.state() == between
    assert near.record().read_text() == record
    near.remove()
    assert near.state() == before


def test_what_could_not_be_removed_is_said_and_kept(wired: tuple[Machine, Machine], tmp_path: Path) -> None:
    near, _far = wired
    before = prepare(near)
    near.apply(LINKS)
    sabotage(near, tmp_path, "refused", 1)
    with pytest.raises(
        Refused, match=r"'ip address del \S+ dev eth1' failed: RTNETLINK answers: Device or resource busy"
    ):
        near.remove()
    assert near.addresses("eth2") == ["fd00:2::1/64"]
    near.remove()
    assert near.state() == before


def test_without_a_place_for_the_record_nothing_is_touched(wired: tuple[Machine, Machine], tmp_path: Path) -> None:
    near, _far = wired
    before = near.state()
    near.records = Path("/proc/no-folder")
    with pytest.raises(Refused, match="Cannot write the record of direct links"):
        near.apply(LINKS)
    assert near.state() == before


def test_a_broken_record_is_named(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.records.mkdir()
    near.record().write_text("{")
    for call in (near.remove, lambda: near.apply(LINKS), lambda: near.apply(LINKS, run="b.1.1")):
        with pytest.raises(Refused, match=f"{re.escape(str(near.record()))} is no record of direct links"):
            call()


def test_a_record_from_before_a_reboot_holds_nothing(wired: tuple[Machine, Machine]) -> None:
    near, _far = wired
    near.apply(LINKS)
    near.record().write_text(re.sub('"boot": "[^"]*"', '"boot": "another"', near.record().read_text()))
    between = near.state()
    near.apply([{"mac": TWO, "ip": "10.0.0.1/24"}], run="b.1.1")
    assert not near.remove()["changed"]
    near.remove(run="b.1.1")
    assert near.state() == between
    assert near.left_behind() == []


def test_a_record_of_another_namespace_is_not_undone_here(wired: tuple[Machine, Machine]) -> None:
    near, far = wired
    near.apply(LINKS)
    far.records = near.records
    before = far.state()
    with pytest.raises(Refused, match="written in another network namespace"):
        far.remove()
    far.apply([{"mac": "02:00:00:00:02:01", "ip": "192.168.222.1/24"}], run="b.1.1")
    far.remove(run="b.1.1")
    assert far.state() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_call_frees_the_lock(wired: tuple[Machine, Machine], number: signal.Signals) -> None:
    near, _far = wired
    before = near.state()
    call = near.start("apply", LINKS, record=str(near.record()), check_duplicates=True)
    for _attempt in range(200):
        if near.up("eth1"):
            break
        time.sleep(0.02)
    call.kill(number)
    with pytest.raises(ChildProcessError):
        call.answer()
    near.remove()
    assert near.state() == before
