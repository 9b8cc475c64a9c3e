# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# Direct links: addresses on network cards that are named by their MAC, set for the time of a run and taken back.
#
# What a run adds is written to its record before anything is touched, so that whoever is left, the module, the
# supervisor or an operator, can take it back at any time with remove_links(). Runs that share a machine have a record
# each, in the same folder. All changes in a network namespace happen under one lock.

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._links import records
from ansible_collections.lab.multidevice.plugins.module_utils._links.checks import Checks, End
from ansible_collections.lab.multidevice.plugins.module_utils._links.devices import (
    AGGREGATES,
    Address,
    Device,
    choose_device,
    read_devices,
    run_ip,
)
from ansible_collections.lab.multidevice.plugins.module_utils._links.options import WantedLink, parse_links, parse_peers
from ansible_collections.lab.multidevice.plugins.module_utils._links.probes import announce
from ansible_collections.lab.multidevice.plugins.module_utils._links.records import Record, RecordedLink

DEFAULT_RECORD_DIR = Path("/run/multidevice")


_INVERSES = {"up": "down", "down": "up", "add": "delete", "delete": "add"}


@dataclass(frozen=True)
class Step:
    device: Device
    verb: str
    value: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def inverse(self) -> Step:
        if self.verb == "mtu":
            return replace(self, value=str(self.device.mtu))
        return replace(self, verb=_INVERSES[self.verb])


@dataclass
class LinkChange:
    changed: bool
    before: dict[str, t.Any] = field(default_factory=dict)
    after: dict[str, t.Any] = field(default_factory=dict)
    devices: list[dict[str, t.Any]] = field(default_factory=list)
    peers: list[dict[str, t.Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class _Plan:
    steps: list[Step] = field(default_factory=list)
    links: list[RecordedLink] = field(default_factory=list)
    # What the run held before, with all that is needed to take it back even after a crash in the middle of that.
    held: list[RecordedLink] = field(default_factory=list)
    touched: list[Device] = field(default_factory=list)
    # Records of other runs that take over a duty, by their path.
    successors: dict[Path, Record] = field(default_factory=dict)


def apply_links(
    links: t.Sequence[t.Mapping[str, t.Any]],
    *,
    record: Path | None,
    record_dir: Path = DEFAULT_RECORD_DIR,
    check_mode: bool = False,
    check_duplicates: bool = False,
    check_peers: t.Sequence[str | t.Mapping[str, t.Any]] = (),
    carrier_timeout: float = 0.0,
    peer_timeout: float = 5.0,
) -> LinkChange:
    """Gives every card its addresses and brings it up.

    The links are all that the run wants: what an earlier call for the same record added and this one does not name is
    taken away again. Without a record, addresses are only added, and only remove_addresses() takes them away.
    """
    wanted = parse_links(links)
    peers = parse_peers(check_peers)
    own_ips = {address.ip for link in wanted for address in link.addresses}
    if not wanted and not (record and record.exists()):
        return LinkChange(False)
    _require_root()
    with records.locked(check_mode):
        devices = read_devices()
        previous = records.own_record(record) if record else None
        neighbours = records.other_records(record.parent if record else record_dir, record, devices)
        plan = _plan_present(wanted, devices, previous, neighbours)
        ends = [End(choose_device(link.mac, devices), link.addresses) for link in wanted]
        checks = Checks(
            ends, [peer for peer in peers if peer.ip not in own_ips], check_duplicates, carrier_timeout, peer_timeout
        )
        checks.refuse_strangers()
        change = LinkChange(bool(plan.steps), before=_view(devices, plan.touched))
        change.warnings = [
            f"{end} is a port of {end.device.port_of}, which takes what arrives there; "
            "take it out of that, or name another card."
            for end in ends
            if end.device.port_kind in AGGREGATES
        ]
        if check_mode:
            _describe(change, plan.links, plan.touched, _predict(devices, plan.steps))
            return change
        if plan.steps:
            _execute(plan, record, previous, checks, change)
        elif record:
            _settle(plan, record, previous)
    if not plan.steps:
        # Nothing to take back if they fail, so other runs need not wait for them.
        change.warnings += checks.before_adding()
        change.peers = checks.after_adding()
    _describe(change, plan.links, plan.touched, read_devices())
    return change


def remove_links(record: Path, *, check_mode: bool = False) -> LinkChange:
    """Takes back what the record holds and nothing else. Can be called at any time, by anyone, any number of times."""
    if not record.exists():
        return LinkChange(False)
    _require_root()
    with records.locked(check_mode):
        own = records.own_record(record)
        if own is None:
            if not check_mode:
                records.drop(record)
            return LinkChange(False)
        devices = read_devices()
        neighbours = records.other_records(record.parent, record, devices)
        plan = _Plan()
        for link in own.links:
            _plan_removal(plan, link, devices, neighbours)
        change = LinkChange(bool(plan.steps), before=_view(devices, plan.touched))
        if check_mode:
            _describe(change, own.links, plan.touched, _predict(devices, plan.steps))
            return change
        if tuple(plan.held) != own.links:
            records.save(record, replace(own, links=tuple(plan.held)))
        failures = _take_back(plan.steps)
        if failures:
            raise NodeError(f"Not all of what {record} holds could be taken back: {' '.join(failures)}")
        for path, successor in plan.successors.items():
            records.save(path, successor)
        records.drop(record)
    _describe(change, own.links, plan.touched, read_devices())
    return change


def remove_addresses(
    links: t.Sequence[t.Mapping[str, t.Any]], *, record_dir: Path = DEFAULT_RECORD_DIR, check_mode: bool = False
) -> LinkChange:
    """Removes just these addresses from these cards, for links that no run holds."""
    wanted = parse_links(links)
    _require_root()
    with records.locked(check_mode):
        devices = read_devices()
        neighbours = records.other_records(record_dir, None, devices)
        steps: list[Step] = []
        touched: list[Device] = []
        for link in wanted:
            if not any(link.mac in device.macs for device in devices):
                continue
            device = choose_device(link.mac, devices)
            _refuse_held(link, neighbours)
            touched.append(device)
            steps += [Step(device, "delete", str(a)) for a in link.addresses if str(a) in device.interfaces]
        change = LinkChange(bool(steps), before=_view(devices, touched))
        if not check_mode:
            failures = _take_back(steps)
            if failures:
                raise NodeError(" ".join(failures))
    _describe(change, (), touched, _predict(devices, steps) if check_mode else read_devices())
    return change


def _execute(plan: _Plan, record: Path | None, previous: Record | None, checks: Checks, change: LinkChange) -> None:
    begun: list[Step] = []

    def run(steps: t.Iterable[Step]) -> None:
        for step in steps:
            begun.append(step)
            _run_step(step)

    if record:
        records.save(record, records.union(record, plan.links, plan.held))
    try:
        run(step for step in plan.steps if step.verb != "add")
        change.warnings += checks.before_adding()
        run(step for step in plan.steps if step.verb == "add")
        for end in checks.ends:
            announce(end.device.name, end.device.mac, [address.ip for address in end.addresses])
        change.peers = checks.after_adding()
    except BaseException as error:
        failures = _take_back(step.inverse for step in reversed(begun) if step.verb not in ("restore", "promote"))
        failures += _give_back(plan.touched)
        if failures and isinstance(error, MultideviceError):
            raise NodeError(f"{error} Taking back what was done failed too: {' '.join(failures)}") from error
        if record and not failures:
            if previous:
                records.save(record, previous)
            else:
                records.drop(record)
        raise
    if record:
        _settle(plan, record, previous)


def _settle(plan: _Plan, record: Path, previous: Record | None) -> None:
    for path, successor in plan.successors.items():
        records.save(path, successor)
    settled = records.new_record(record, plan.links)
    if plan.steps or settled != previous:
        records.save(record, settled)


def _describe(
    change: LinkChange, links: t.Iterable[RecordedLink], touched: t.Sequence[Device], devices: t.Sequence[Device]
) -> None:
    change.after = _view(devices, touched)
    for link in links:
        device = link.find(devices)
        if device is not None:
            change.devices.append(
                {
                    "mac": link.mac,
                    "device": device.name,
                    "addresses": list(link.addresses),
                    "added": list(link.added),
                    "up": device.up,
                    "carrier": device.carrier,
                    "mtu": device.mtu,
                }
            )


# ---------------------------------------------------------------------------------------------------------------------
# Planning (pure)


def _plan_present(
    wanted: t.Sequence[WantedLink],
    devices: t.Sequence[Device],
    previous: Record | None,
    neighbours: t.Mapping[Path, Record],
) -> _Plan:
    plan = _Plan()
    held = {link.index: link for link in previous.links if link.find(devices)} if previous else {}
    chosen = [(link, choose_device(link.mac, devices)) for link in wanted]
    _refuse_same_device(chosen)
    kept = {device.index for _link, device in chosen}
    for index, old in held.items():
        if index not in kept:
            _plan_removal(plan, old, devices, neighbours)
    for link, device in chosen:
        ours = held[device.index].added if device.index in held else ()
        wanted_texts = {str(address) for address in link.addresses}
        plan.steps += [Step(device, "delete", text) for text in ours if text in device.interfaces - wanted_texts]
        plan.steps += _promoting_no_more(held.get(device.index), device)
    freed = _predict(devices, plan.steps)
    for link, device in chosen:
        _refuse_conflicts(link, device, freed, neighbours)
        _plan_link(plan, link, device, held.get(device.index), neighbours)
    return plan


def _plan_link(
    plan: _Plan,
    link: WantedLink,
    device: Device,
    old: RecordedLink | None,
    neighbours: t.Mapping[Path, Record],
) -> None:
    wanted = tuple(str(address) for address in link.addresses)
    ours = old.added if old else ()
    mtu_before = old.mtu_before if old else None
    goal = link.mtu
    if goal is None and old and mtu_before is not None:
        goal = None if _hand_over(plan, replace(old, was_up=True), neighbours) else mtu_before
        mtu_before = None
    elif mtu_before is None and goal is not None and goal != device.mtu:
        mtu_before = device.mtu
    plan.touched.append(device)
    if goal is not None and goal != device.mtu:
        plan.steps.append(Step(device, "mtu", str(goal)))
    if old:
        plan.steps += _restoring(old, device)
    if not device.up:
        plan.steps.append(Step(device, "up"))
    plan.steps += [Step(device, "add", address) for address in wanted if address not in device.interfaces]
    settled = RecordedLink(
        mac=link.mac,
        index=device.index,
        device=device.name,
        addresses=wanted,
        added=tuple(address for address in wanted if address in ours or address not in device.interfaces),
        was_up=old.was_up if old else device.up,
        mtu=link.mtu,
        mtu_before=mtu_before,
    )
    plan.links.append(settled)
    held = _noting_promotion(old or settled, device)
    plan.held.append(held if device.up else replace(held, restore=_endangered(held, device)))


def _plan_removal(
    plan: _Plan, link: RecordedLink, devices: t.Sequence[Device], neighbours: t.Mapping[Path, Record]
) -> None:
    """Back to what was before, unless another run still uses the device: then the duty passes to that run."""
    device = link.find(devices)
    if device is None:
        return
    plan.touched.append(device)
    plan.steps += [Step(device, "delete", address) for address in link.added if address in device.interfaces]
    plan.steps += _promoting_no_more(link, device)
    link = _noting_promotion(link, device)
    if _hand_over(plan, link, neighbours):
        plan.steps += _restoring(link, device)
        plan.held.append(link)
        return
    if not link.was_up and device.up:
        link = replace(link, restore=_endangered(link, device))
        plan.steps.append(Step(device, "down"))
        plan.steps += _restoring(link, replace(device, addresses=()))
    else:
        plan.steps += _restoring(link, device)
    plan.held.append(link)
    if link.mtu_before is not None and link.mtu_before != device.mtu:
        plan.steps.append(Step(device, "mtu", str(link.mtu_before)))


def _endangered(link: RecordedLink, device: Device) -> tuple[tuple[str, ...], ...]:
    """How to set again what the kernel forgets when the device goes down, together with what an earlier crash has lost."""
    addresses = [address for address in device.addresses if address.interface not in link.added]
    lost = [address.arguments for address in addresses if address.lost_when_down]
    return tuple(dict.fromkeys((*link.restore, *lost)))


def _restoring(link: RecordedLink, device: Device) -> list[Step]:
    interfaces = [(next(word for word in arguments if "/" in word), arguments) for arguments in link.restore]
    return [
        Step(device, "restore", interface, arguments)
        for interface, arguments in interfaces
        if interface not in device.interfaces
    ]


def _noting_promotion(link: RecordedLink, device: Device) -> RecordedLink:
    """With a note that ``_delete`` may have the kernel promote addresses of the device, which it does not do otherwise."""
    has_later_ones = any(address.secondary for address in device.addresses)
    return replace(link, promoted=link.promoted or (has_later_ones and not _is_promoting(device)))


def _promoting_no_more(link: RecordedLink | None, device: Device) -> list[Step]:
    """What is left to do where a process was killed while the kernel was told to promote."""
    return [Step(device, "promote", "0")] if link and link.promoted and _is_promoting(device) else []


def _hand_over(plan: _Plan, link: RecordedLink, neighbours: t.Mapping[Path, Record]) -> bool:
    for path, record in neighbours.items():
        record = plan.successors.get(path, record)
        for successor in record.links:
            if successor.index == link.index:
                with_duty = replace(
                    successor,
                    was_up=successor.was_up and link.was_up,
                    mtu_before=successor.mtu_before if successor.mtu_before is not None else link.mtu_before,
                )
                links = tuple(with_duty if other is successor else other for other in record.links)
                plan.successors[path] = replace(record, links=links)
                return True
    return False


def _refuse_same_device(chosen: t.Sequence[tuple[WantedLink, Device]]) -> None:
    taken: dict[int, str] = {}
    for link, device in chosen:
        if device.index in taken:
            raise NodeError(f"{taken[device.index]} and {link.mac} are one device, {device}; name it once.")
        taken[device.index] = link.mac


def _refuse_held(link: WantedLink, neighbours: t.Mapping[Path, Record]) -> None:
    ips = {str(address.ip) for address in link.addresses}
    for path, record in neighbours.items():
        for other in record.links:
            for ip in (interface.partition("/")[0] for interface in other.addresses):
                if ip in ips:
                    raise NodeError(
                        f"Run {record.job_id} holds {ip} on {other.device} ({other.mac}) of this machine; "
                        f"remove the links of that run first (its record is {path})."
                    )


def _refuse_conflicts(
    link: WantedLink, device: Device, devices: t.Sequence[Device], neighbours: t.Mapping[Path, Record]
) -> None:
    _refuse_held(link, neighbours)
    for record in neighbours.values():
        for other in record.links:
            if other.index == device.index and link.mtu and other.mtu and link.mtu != other.mtu:
                raise NodeError(f"Run {record.job_id} holds {device} at MTU {other.mtu}, so it cannot have {link.mtu}.")
    ips = {str(address.ip) for address in link.addresses}
    for other_device in devices:
        for address in other_device.addresses:
            ip = address.interface.partition("/")[0]
            if other_device.index != device.index and address.scope != "link" and ip in ips:
                raise NodeError(f"{ip} is already on {other_device}, so it cannot be on {device} too.")
    lowest, highest = device.mtu_range
    if link.mtu is not None and not (lowest <= link.mtu <= (highest or link.mtu)):
        raise NodeError(f"{device} takes an MTU from {lowest} to {highest}, not {link.mtu}.")
    if any(address.version == 6 for address in link.addresses) and _ipv6_is_off(device.name):
        raise NodeError(f"IPv6 is switched off on {device} (net.ipv6.conf.{device.name}.disable_ipv6).")


def _ipv6_is_off(device: str) -> bool:
    try:
        return Path("/proc/sys/net/ipv6/conf", device, "disable_ipv6").read_text(encoding="ascii").strip() != "0"
    except FileNotFoundError:
        return not Path("/proc/sys/net/ipv6").exists()


def _predict(devices: t.Sequence[Device], steps: t.Iterable[Step]) -> list[Device]:
    future = {device.index: device for device in devices}
    for step in steps:
        device = future[step.device.index]
        if step.verb == "mtu":
            device = replace(device, mtu=int(step.value))
        elif step.verb == "up":
            device = replace(device, up=True)
        elif step.verb == "promote":
            continue
        elif step.verb == "down":
            left = tuple(address for address in device.addresses if not address.lost_when_down)
            device = replace(device, up=False, addresses=left)
        elif step.verb in ("add", "restore"):
            device = replace(device, addresses=(*device.addresses, Address(step.value)))
        else:
            left = tuple(address for address in device.addresses if address.interface != step.value)
            device = replace(device, addresses=left)
        future[device.index] = device
    return list(future.values())


def _view(devices: t.Sequence[Device], touched: t.Iterable[Device]) -> dict[str, t.Any]:
    """For the user's eyes: without the link-local addresses that come and go with the link by themselves."""
    indexes = {device.index for device in touched}
    return {
        device.name: {
            "mac": device.mac,
            "up": device.up,
            "mtu": device.mtu,
            "addresses": sorted(address.interface for address in device.addresses if address.scope != "link"),
        }
        for device in devices
        if device.index in indexes
    }


# ---------------------------------------------------------------------------------------------------------------------
# Changing


def _run_step(step: Step) -> None:
    name = step.device.name
    if step.verb == "mtu":
        run_ip("link", "set", "dev", name, "mtu", step.value)
    elif step.verb in ("up", "down"):
        run_ip("link", "set", "dev", name, step.verb)
    elif step.verb == "promote":
        try:
            _promotion(step.device).write_text(step.value, encoding="ascii")
        except OSError as error:
            raise NodeError(f"promote_secondaries of {step.device} cannot be set: {error.strerror}.") from error
    elif step.verb == "restore":
        run_ip("address", "replace", *step.arguments, "dev", name)
    elif step.verb == "add":
        # Duplicates are looked for on the wire before; the kernel's own detection would make every daemon wait.
        extra: list[str] = []
        if ":" in step.value:
            extra = ["nodad"]
        elif not step.value.endswith(("/31", "/32")):
            extra = ["broadcast", "+"]
        run_ip("address", "add", step.value, *extra, "dev", name)
    else:
        _delete(step.device, step.value)


def _delete(device: Device, interface: str) -> None:
    """The kernel drops a network's later IPv4 addresses with its first one, unless it is told to promote them."""
    current = _current(device)
    others = [address for address in current.addresses if address.interface != interface]
    with _promoting(device) if any(address.secondary for address in others) else contextlib.nullcontext():
        run_ip("address", "del", interface, "dev", device.name)
    _set_again(device, others)


@contextlib.contextmanager
def _promoting(device: Device) -> t.Iterator[None]:
    """Where that is not allowed, what is dropped has to be set again."""
    told = False
    if not _is_promoting(device):
        with contextlib.suppress(OSError):
            _promotion(device).write_text("1", encoding="ascii")
            told = True
    try:
        yield
    finally:
        if told:
            with contextlib.suppress(OSError):
                _promotion(device).write_text("0", encoding="ascii")


def _promotion(device: Device) -> Path:
    return Path("/proc/sys/net/ipv4/conf", device.name, "promote_secondaries")


def _is_promoting(device: Device) -> bool:
    try:
        return _promotion(device).read_text(encoding="ascii").strip() != "0"
    except OSError:
        # Without IPv4, or with the device gone, there is nothing to be told.
        return True


def _set_again(device: Device, addresses: t.Iterable[Address]) -> None:
    present = _current(device).interfaces
    for address in addresses:
        if address.interface not in present:
            run_ip("address", "replace", *address.arguments, "dev", device.name)


def _current(device: Device) -> Device:
    for candidate in read_devices():
        if candidate.index == device.index:
            return candidate
    raise NodeError(f"{device} has disappeared.")


def _still_needed(step: Step) -> bool:
    device = next((device for device in read_devices() if device.index == step.device.index), None)
    if device is None:
        return False
    if step.verb in ("add", "delete", "restore"):
        return (step.value in device.interfaces) == (step.verb == "delete")
    return True


def _take_back(steps: t.Iterable[Step]) -> list[str]:
    """Does all that can be done; what has gone away by itself is no failure."""
    failures: list[str] = []
    for step in steps:
        try:
            if _still_needed(step):
                _run_step(step)
        except MultideviceError as error:
            if _still_needed(step):
                failures.append(str(error))
    return failures


def _give_back(devices: t.Iterable[Device]) -> list[str]:
    failures: list[str] = []
    for device in devices:
        try:
            _set_again(device, [address for address in device.addresses if address.lost_when_down])
        except MultideviceError as error:
            failures.append(str(error))
    return failures


def _require_root() -> None:
    if os.geteuid() != 0:
        raise NodeError("Setting direct links needs root on this machine; use become.")
