# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._links.probes import (
    Question,
    Sighting,
    announcement_frame,
    question_frame,
    read_frame,
)

MAC = "02:00:00:00:00:0a"


def test_an_arp_request_byte_by_byte() -> None:
    question = Question("eth1", MAC, ipaddress.ip_address("192.168.222.2"), ipaddress.ip_address("192.168.222.1"))
    assert (
        question_frame(question).hex()
        == (
            "ffffffffffff" + "02000000000a" + "0806"  # to everyone, ARP
            "0001" + "0800" + "06" + "04" + "0001"  # Ethernet, IPv4, request
            "02000000000a" + "c0a8de01" + "000000000000" + "c0a8de02"
        )
    )


def test_a_neighbour_solicitation_byte_by_byte() -> None:
    question = Question("eth1", MAC, ipaddress.ip_address("fd00::2"), ipaddress.ip_address("fd00::1"))
    assert (
        question_frame(question).hex()
        == (
            "3333ff000002" + "02000000000a" + "86dd"  # to the solicited-node group
            "60000000" + "0020" + "3a" + "ff"  # 32 bytes of ICMPv6, hop limit 255
            "fd000000000000000000000000000001" + "ff0200000000000000000001ff000002"
            "87" + "00" + "7d8e" + "00000000"  # the checksum that the kernel has in the same packet
            "fd000000000000000000000000000002" + "01" + "01" + "02000000000a"
        )
    )


@pytest.mark.parametrize("target", ["192.168.222.1", "fd00:222::1"])
def test_a_probe_and_an_announcement_are_understood(target: str) -> None:
    ip = ipaddress.ip_address(target)
    probe = question_frame(Question("eth1", MAC, ip))
    assert read_frame("eth2", probe) == Sighting("eth2", MAC, ip, has_it=False)
    assert read_frame("eth2", announcement_frame(MAC, ip)) == Sighting("eth2", MAC, ip, has_it=True)


def test_an_advertisement_names_the_card_in_its_option() -> None:
    frame = bytearray(announcement_frame(MAC, ipaddress.ip_address("fd00::1")))
    frame[6:12] = bytes.fromhex("020000000bad")
    assert read_frame("eth1", bytes(frame)) == Sighting("eth1", MAC, ipaddress.ip_address("fd00::1"))


def test_a_routed_advertisement_does_not_count() -> None:
    frame = bytearray(announcement_frame(MAC, ipaddress.ip_address("fd00::1")))
    frame[14 + 7] = 254
    assert read_frame("eth1", bytes(frame)) is None


@pytest.mark.parametrize("ip", ["192.168.222.1", "fd00:222::1"])
def test_cut_frames_are_no_sightings(ip: str) -> None:
    whole = announcement_frame(MAC, ipaddress.ip_address(ip))
    smallest = 42 if ":" not in ip else 78
    for length in range(smallest):
        assert read_frame("eth1", whole[:length]) is None


def test_other_traffic_is_no_sighting() -> None:
    ethernet = bytes(12)
    assert read_frame("eth1", ethernet + b"\x08\x00" + bytes(60)) is None
    assert read_frame("eth1", ethernet + b"\x86\xdd" + bytes(100)) is None
    assert read_frame("eth1", ethernet + b"\x08\x06" + bytes(28)) is None


def test_a_malformed_option_ends_the_search() -> None:
    frame = announcement_frame(MAC, ipaddress.ip_address("fd00::1"))[:-8] + bytes(8)
    assert read_frame("eth1", frame) == Sighting("eth1", MAC, ipaddress.ip_address("fd00::1"))
