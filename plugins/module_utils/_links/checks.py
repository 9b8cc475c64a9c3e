# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# Whether the wires are as the run needs them.

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._links.devices import Device, read_devices, run_ip
from ansible_collections.lab.multidevice.plugins.module_utils._links.options import Interface, IPAddress, Peer
from ansible_collections.lab.multidevice.plugins.module_utils._links.probes import Question, Sighting, ask

DUPLICATE_SECONDS = 1.0


@dataclass(frozen=True)
class End:
    """One of this machine's cards, with the addresses that it is to have."""

    device: Device
    addresses: tuple[Interface, ...]

    def __str__(self) -> str:
        return f"{self.device.name} ({', '.join([self.device.mac, *(str(address.ip) for address in self.addresses)])})"


@dataclass(frozen=True)
class Checks:
    ends: t.Sequence[End]
    peers: t.Sequence[Peer]
    duplicates: bool
    carrier_timeout: float
    peer_timeout: float

    def refuse_strangers(self) -> None:
        for peer in self.peers:
            if not self.ends_towards(peer):
                networks = ", ".join(str(address.network) for end in self.ends for address in end.addresses)
                raise InputError(f"check_peers: {peer} is in none of the networks of the direct links ({networks}).")

    def ends_towards(self, peer: Peer) -> list[tuple[End, Interface]]:
        return [(end, address) for end in self.ends for address in end.addresses if peer.ip in address.network]

    def before_adding(self) -> list[str]:
        if self.carrier_timeout > 0:
            self._wait_for_carrier()
        self._refuse_refused_addresses()
        return self._look_for_duplicates() if self.duplicates else []

    def after_adding(self) -> list[dict[str, t.Any]]:
        return self._look_for_peers() if self.peers else []

    def _dark(self) -> list[End]:
        lit = {device.index for device in read_devices() if device.carrier}
        return [end for end in self.ends if end.device.index not in lit]

    def _wait_for_carrier(self) -> None:
        deadline = time.monotonic() + self.carrier_timeout
        while True:
            dark = self._dark()
            if not dark:
                return
            if time.monotonic() > deadline:
                names = ", ".join(str(end) for end in dark)
                raise NodeError(
                    f"No carrier within {self.carrier_timeout:g} seconds on {names}; "
                    "check the cable and that the other end is up."
                )
            time.sleep(0.05)

    def _refuse_refused_addresses(self) -> None:
        for end in self.ends:
            wanted = {str(address) for address in end.addresses}
            for address in end.device.addresses:
                if address.duplicate and address.interface in wanted:
                    raise NodeError(f"Duplicate address {address.interface} on {end}: the kernel has seen its owner.")

    def _look_for_duplicates(self) -> list[str]:
        own_macs = {device.mac for device in read_devices()}
        questions = [
            Question(end.device.name, end.device.mac, address.ip) for end in self.ends for address in end.addresses
        ]
        asked = {(question.device, question.target) for question in questions}
        found: list[Sighting] = []

        def seen(sighting: Sighting) -> bool:
            if (sighting.device, sighting.ip) in asked and sighting.mac not in own_macs:
                found.append(sighting)
            return bool(found)

        ask(questions, DUPLICATE_SECONDS, seen)
        for sighting in found:
            end = next(end for end in self.ends if end.device.name == sighting.device)
            verb = "has it too" if sighting.has_it else "is about to take it too"
            raise NodeError(f"Duplicate address {sighting.ip} on the wire of {end}: the card {sighting.mac} {verb}.")
        return [f"{end} has no carrier, so no duplicate of its addresses could be seen." for end in self._dark()]

    def _look_for_peers(self) -> list[dict[str, t.Any]]:
        questions = [
            Question(end.device.name, end.device.mac, peer.ip, own.ip)
            for peer in self.peers
            for end, own in self.ends_towards(peer)
        ]
        asked = {(question.device, question.target) for question in questions}
        expected = {peer.ip: peer.mac for peer in self.peers}
        reached: dict[IPAddress, Sighting] = {}
        strangers: dict[IPAddress, str] = {}

        def seen(sighting: Sighting) -> bool:
            if (sighting.device, sighting.ip) in asked and sighting.has_it:
                if expected[sighting.ip] in (None, sighting.mac):
                    reached.setdefault(sighting.ip, sighting)
                else:
                    strangers[sighting.ip] = sighting.mac
            return len(reached) == len(expected)

        ask(questions, self.peer_timeout, seen)
        lost = [peer for peer in self.peers if peer.ip not in reached]
        if lost:
            raise NodeError("; ".join(self._lost(peer, strangers.get(peer.ip)) for peer in lost) + ".")
        for peer in self.peers:
            self._refuse_detour(peer)
        return [
            {"ip": str(peer.ip), "mac": reached[peer.ip].mac, "device": reached[peer.ip].device} for peer in self.peers
        ]

    def _lost(self, peer: Peer, stranger: str | None) -> str:
        ends = [end for end, _own in self.ends_towards(peer)]
        text = f"{' and '.join(map(str, ends))} gets no answer from {peer} within {self.peer_timeout:g} seconds"
        dark = [end.device.name for end in self._dark() if end in ends]
        if stranger:
            return f"{text}, but one from the card {stranger}: wrong cable, or an address in use twice"
        if dark:
            return f"{text}: no carrier on {', '.join(dark)}, check the cable and that the other end is up"
        return f"{text}: check the cable and that the other end has its address"

    def _refuse_detour(self, peer: Peer) -> None:
        route = json.loads(run_ip("-json", "route", "get", str(peer.ip)))[0].get("dev", "")
        ends = [end for end, _own in self.ends_towards(peer)]
        if route not in {end.device.name for end in ends}:
            raise NodeError(
                f"{peer} answers on {' and '.join(map(str, ends))}, but this machine sends what is meant for it "
                f"through {route}: two of its cards are in that network."
            )
