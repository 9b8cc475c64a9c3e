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
import fcntl
import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import time
import typing as t
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _link_probes as probes
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, MultideviceError, NodeError

Interface = t.Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]

DEFAULT_RECORD_DIR = Path("/run/multidevice")
LOCK_SECONDS = 60.0
DUPLICATE_SECONDS = 1.0

_RECORD_SUFFIX = ".links.json"
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\Z")
_FOREVER = 4294967295
_SO_NETNS_COOKIE = 71
# Devices that are built on top of a card and often carry its MAC.
_UPPER_KINDS = frozenset(
    (
        "bareudp",
        "batadv",
        "bond",
        "bridge",
        "dsa",
        "geneve",
        "hsr",
        "ipvlan",
        "ipvtap",
        "macsec",
        "macvlan",
        "macvtap",
        "openvswitch",
        "team",
        "vlan",
        "vrf",
        "vxlan",
    )
)
# A port of one of these hands what it receives to the device above it.
_AGGREGATES = frozenset(("bond", "bridge", "openvswitch", "team"))


@dataclass(frozen=True)
class WantedLink:
    mac: str
    addresses: tuple[Interface, ...]
    mtu: int | None = None


@dataclass(frozen=True)
class Peer:
    """The other end of a direct link; with its MAC known, an answer from any other card does not count."""

    ip: probes.IPAddress
    mac: str | None = None
    node: str | None = None

    def __str__(self) -> str:
        known = [part for part in (self.node, self.mac) if part]
        return f"{self.ip} ({', '.join(known)})" if known else str(self.ip)


@dataclass(frozen=True)
class Address:
    interface: str
    scope: str = "global"
    secondary: bool = False
    duplicate: bool = False
    # What it takes to set it again, should the kernel drop it.
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    index: int
    name: str
    mac: str
    permanent_mac: str
    kind: str
    port_of: str
    port_kind: str
    up: bool
    carrier: bool
    mtu: int
    mtu_range: tuple[int, int]
    addresses: tuple[Address, ...]

    @property
    def interfaces(self) -> set[str]:
        return {address.interface for address in self.addresses}

    def __str__(self) -> str:
        permanent = f", permanent {self.permanent_mac}" if self.permanent_mac != self.mac else ""
        return f"{self.name} ({self.mac}{permanent})"


@dataclass(frozen=True)
class RecordedLink:
    """What a run holds on a device: its addresses, those of them that it added, and what to go back to."""

    mac: str
    index: int
    device: str
    addresses: tuple[str, ...]
    added: tuple[str, ...]
    was_up: bool
    mtu: int | None = None
    mtu_before: int | None = None

    @property
    def key(self) -> tuple[int, str]:
        return self.index, self.mac


@dataclass(frozen=True)
class Record:
    job_id: str
    boot: str
    namespace: str
    links: tuple[RecordedLink, ...]


@dataclass(frozen=True)
class Step:
    device: Device
    verb: str
    value: str = ""

    @property
    def inverse(self) -> Step:
        if self.verb == "mtu":
            return replace(self, value=str(self.device.mtu))
        return replace(self, verb={"up": "down", "down": "up", "add": "delete", "delete": "add"}[self.verb])


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
    touched: list[Device] = field(default_factory=list)
    # Records of other runs that take over a duty, by their path.
    heirs: dict[Path, Record] = field(default_factory=dict)


# ---------------------------------------------------------------------------------------------------------------------
# What the user says


def parse_links(links: t.Sequence[t.Mapping[str, t.Any]]) -> list[WantedLink]:
    wanted: list[WantedLink] = []
    ips: dict[probes.IPAddress, str] = {}
    for number, link in enumerate(links):
        where = f"links[{number}]"
        mac = parse_mac(link.get("mac"), f"{where}.mac")
        if any(mac == other.mac for other in wanted):
            raise InputError(f"{where}.mac: {mac} is named twice; list all of its addresses in one entry.")
        given = link.get("ip") or []
        texts = [given] if isinstance(given, str) else list(given)
        if not texts:
            raise InputError(f"{where}.ip: {mac} has no address; give at least one, like 192.168.222.1/24.")
        addresses = tuple(_parse_interface(text, f"{where}.ip") for text in texts)
        for address in addresses:
            if address.ip in ips:
                raise InputError(f"{where}.ip: {address.ip} is asked for twice, for {ips[address.ip]} and for {mac}.")
            ips[address.ip] = mac
        mtu = link.get("mtu")
        if mtu is not None and int(mtu) < 1280 and any(address.version == 6 for address in addresses):
            raise InputError(f"{where}.mtu: {mtu} is too small for IPv6, which needs 1280.")
        wanted.append(WantedLink(mac, addresses, None if mtu is None else int(mtu)))
    return wanted


def parse_peers(peers: t.Sequence[str | t.Mapping[str, t.Any]]) -> list[Peer]:
    parsed: list[Peer] = []
    for number, peer in enumerate(peers):
        where = f"check_peers[{number}]"
        entry: t.Mapping[str, t.Any] = {"ip": peer} if isinstance(peer, str) else peer
        unknown = sorted(set(entry) - {"ip", "mac", "node"})
        if unknown:
            raise InputError(f"{where}: {', '.join(unknown)} is no key of a peer; the keys are ip, mac and node.")
        try:
            ip = ipaddress.ip_address(str(entry.get("ip")).partition("/")[0])
        except ValueError:
            raise InputError(f"{where}.ip: {entry.get('ip')!r} is no IP address.") from None
        mac = None if entry.get("mac") is None else parse_mac(entry["mac"], f"{where}.mac")
        parsed.append(Peer(ip, mac, entry.get("node")))
    return parsed


def parse_mac(value: t.Any, where: str) -> str:
    text = str(value).strip().lower()
    if not _MAC.match(text):
        raise InputError(
            f"{where}: {value!r} is no MAC address; it is six pairs of hex digits, like 02:00:00:00:00:01."
        )
    mac = text.replace("-", ":")
    if mac == "00:00:00:00:00:00" or int(mac[:2], 16) & 1:
        raise InputError(f"{where}: {mac} is no address of a single network card.")
    return mac


def _parse_interface(text: t.Any, where: str) -> Interface:
    address, slash, _length = str(text).strip().partition("/")
    try:
        interface = ipaddress.ip_interface(str(text).strip())
    except ValueError:
        raise InputError(f"{where}: {text!r} is no IP address with its prefix length, like 192.168.222.1/24.") from None
    if not slash:
        raise InputError(f"{where}: {address} lacks its prefix length; write it like {address}/24.")
    network = interface.network
    if interface.is_multicast or interface.is_loopback or interface.is_unspecified:
        raise InputError(f"{where}: {interface} is no address that a network card can have.")
    ends = (network.network_address, network.broadcast_address)
    if interface.version == 4 and network.prefixlen < 31 and interface.ip in ends:
        raise InputError(f"{where}: {interface} is the network or broadcast address of {network}.")
    return interface


def record_path(record_dir: Path, job_id: str) -> Path:
    if not _JOB_ID.match(job_id):
        raise InputError(f"job_id: {job_id!r} is no run's id; it is made of letters, digits, '.', '_' and '-'.")
    return record_dir / f"{job_id}{_RECORD_SUFFIX}"


# ---------------------------------------------------------------------------------------------------------------------
# What the machine says


def parse_devices(text: str) -> list[Device]:
    return [_parse_device(entry) for entry in json.loads(text) if entry.get("ifname")]


def _parse_device(entry: dict[str, t.Any]) -> Device:
    info = entry.get("linkinfo", {})
    mac = entry.get("address", "").lower()
    # Before kernel 5.6 only the bond itself remembers a port's own MAC.
    permanent = entry.get("permaddr") or info.get("info_slave_data", {}).get("perm_hwaddr") or mac
    flags = entry.get("flags", [])
    return Device(
        index=entry["ifindex"],
        name=entry["ifname"],
        mac=mac if entry.get("link_type") == "ether" else "",
        permanent_mac=permanent.lower(),
        kind=info.get("info_kind", ""),
        port_of=entry.get("master", ""),
        port_kind=info.get("info_slave_kind", ""),
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
        mtu=entry["mtu"],
        mtu_range=(entry.get("min_mtu", 0), entry.get("max_mtu", 0)),
        addresses=tuple(_parse_address(entry["ifname"], address) for address in entry.get("addr_info", []) if address),
    )


def _parse_address(device: str, info: dict[str, t.Any]) -> Address:
    interface = f"{info['local']}/{info['prefixlen']}"
    arguments = [interface, "dev", device, "scope", str(info.get("scope", "global"))]
    if "address" in info:
        arguments[:1] = [info["local"], "peer", f"{info['address']}/{info['prefixlen']}"]
    for key, option in (("broadcast", "broadcast"), ("label", "label"), ("metric", "metric")):
        if key in info:
            arguments += [option, str(info[key])]
    for flag in ("home", "noprefixroute", "mngtmpaddr"):
        if info.get(flag):
            arguments.append(flag)
    if info.get("family") == "inet6":
        arguments.append("nodad")
    if info.get("valid_life_time", _FOREVER) != _FOREVER:
        lifetimes = [str(info["valid_life_time"]), str(info.get("preferred_life_time", 0))]
        arguments += ["valid_lft", lifetimes[0], "preferred_lft", lifetimes[1]]
    return Address(
        interface=interface,
        scope=str(info.get("scope", "global")),
        secondary=bool(info.get("secondary")),
        duplicate=bool(info.get("dadfailed")),
        arguments=tuple(arguments),
    )


def read_devices() -> list[Device]:
    output = _ip("-details", "-json", "address", "show")
    try:
        return parse_devices(output)
    except (KeyError, TypeError, ValueError):
        raise NodeError("The ip command of this machine gives no JSON; iproute2 4.18 or later is needed.") from None


def choose_device(mac: str, devices: t.Sequence[Device]) -> Device:
    """The network card that the MAC names, not what was built on top of it."""
    mac = mac.lower()
    cards = [device for device in devices if device.mac and device.kind not in _UPPER_KINDS]
    named = [device for device in cards if device.permanent_mac == mac]
    named = named or [device for device in cards if device.mac == mac and device.port_kind not in _AGGREGATES]
    named = named or [device for device in devices if device.kind in _UPPER_KINDS and device.mac == mac]
    # A failover pair, like a virtual machine's card and its accelerated twin: the upper of the two is the one to use.
    names = {device.name for device in named}
    named = [device for device in named if device.port_of not in names]
    if len(named) == 1:
        return named[0]
    if named:
        raise NodeError(f"The MAC address {mac} belongs to more than one device: {_listing(named)}.")
    others = _listing([device for device in devices if device.mac])
    raise NodeError(f"No device has the MAC address {mac}; this machine has {others or 'no network card'}.")


def _listing(devices: t.Iterable[Device]) -> str:
    return ", ".join(str(device) for device in devices)


def _ip(*arguments: str) -> str:
    program = shutil.which("ip", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    if program is None:
        raise NodeError("The ip command is not on this machine; install iproute2.")
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise NodeError(f"'ip {' '.join(arguments)}' failed: {said}")
    return done.stdout


# ---------------------------------------------------------------------------------------------------------------------
# Records


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _namespace() -> str:
    """Names this network namespace; the cookie is never used again before a reboot, an inode number is."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as any_socket:
            cookie = any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        return f"cookie-{int.from_bytes(cookie, 'little')}"
    except OSError:
        return f"inode-{os.stat('/proc/self/ns/net').st_ino}"


def _load(path: Path) -> Record | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        links = tuple(
            RecordedLink(**{**link, "addresses": tuple(link["addresses"]), "added": tuple(link["added"])})
            for link in content["links"]
        )
        return Record(content["job_id"], content["boot"], content["namespace"], links)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NodeError(f"Cannot read the record of direct links {path}: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError(f"{path} is no record of direct links; remove it and its addresses by hand.") from error


def _save(path: Path, record: Record) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            with open(temporary, "w", encoding="utf-8") as stream:
                json.dump(asdict(record), stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise NodeError(f"Cannot write the record of direct links {path}: {error.strerror}.") from error


def _drop(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _other_records(record_dir: Path, own: Path | None, devices: t.Sequence[Device]) -> dict[Path, Record]:
    """What other runs hold here. Links whose device is gone hold nothing any more."""
    present = {(device.index, mac) for device in devices for mac in (device.mac, device.permanent_mac)}
    boot, namespace = _boot(), _namespace()
    found: dict[Path, Record] = {}
    for path in sorted(record_dir.glob(f"*{_RECORD_SUFFIX}")):
        record = None if path == own else _load(path)
        if record is None or (record.boot, record.namespace) != (boot, namespace):
            continue
        if any(link.key in present for link in record.links):
            found[path] = record
    return found


@contextlib.contextmanager
def _locked(check_mode: bool) -> t.Iterator[None]:
    """One changer at a time in a network namespace. The lock is the namespace itself, so no file is left behind."""
    if check_mode:
        yield
        return
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NodeError(
                        f"Another run has been changing this machine's direct links for {LOCK_SECONDS:.0f} seconds."
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------------------------------------------------------------
# Planning (pure)


def _plan_present(
    wanted: t.Sequence[WantedLink],
    devices: t.Sequence[Device],
    previous: Record | None,
    neighbours: t.Mapping[Path, Record],
) -> _Plan:
    plan = _Plan()
    held = {link.key: link for link in previous.links} if previous else {}
    chosen = [(link, choose_device(link.mac, devices)) for link in wanted]
    _refuse_same_device(chosen)
    kept = {(device.index, link.mac) for link, device in chosen}
    for key, old in held.items():
        if key not in kept:
            _plan_release(plan, old, devices, neighbours)
    for link, device in chosen:
        ours = held[device.index, link.mac].added if (device.index, link.mac) in held else ()
        wanted_texts = {str(address) for address in link.addresses}
        plan.steps += [Step(device, "delete", text) for text in ours if text in device.interfaces - wanted_texts]
    freed = _predict(devices, plan.steps)
    for link, device in chosen:
        _refuse_conflicts(link, device, freed, neighbours)
        _plan_link(plan, link, device, held.get((device.index, link.mac)), neighbours)
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
        goal = None if _bequeath(plan, replace(old, was_up=True), neighbours) else mtu_before
        mtu_before = None
    elif mtu_before is None and goal is not None and goal != device.mtu:
        mtu_before = device.mtu
    plan.touched.append(device)
    if goal is not None and goal != device.mtu:
        plan.steps.append(Step(device, "mtu", str(goal)))
    if not device.up:
        plan.steps.append(Step(device, "up"))
    plan.steps += [Step(device, "add", address) for address in wanted if address not in device.interfaces]
    plan.links.append(
        RecordedLink(
            mac=link.mac,
            index=device.index,
            device=device.name,
            addresses=wanted,
            added=tuple(address for address in wanted if address in ours or address not in device.interfaces),
            was_up=old.was_up if old else device.up,
            mtu=link.mtu,
            mtu_before=mtu_before,
        )
    )


def _plan_release(
    plan: _Plan, link: RecordedLink, devices: t.Sequence[Device], neighbours: t.Mapping[Path, Record]
) -> None:
    """Back to what was before, unless another run still uses the device: then the duty passes to that run."""
    device = _recorded_device(link, devices)
    if device is None:
        return
    plan.touched.append(device)
    plan.steps += [Step(device, "delete", address) for address in link.added if address in device.interfaces]
    if _bequeath(plan, link, neighbours):
        return
    if not link.was_up and device.up:
        plan.steps.append(Step(device, "down"))
    if link.mtu_before is not None and link.mtu_before != device.mtu:
        plan.steps.append(Step(device, "mtu", str(link.mtu_before)))


def _bequeath(plan: _Plan, link: RecordedLink, neighbours: t.Mapping[Path, Record]) -> bool:
    for path, record in neighbours.items():
        record = plan.heirs.get(path, record)
        for heir in record.links:
            if heir.key == link.key:
                inherited = replace(
                    heir,
                    was_up=heir.was_up and link.was_up,
                    mtu_before=heir.mtu_before if heir.mtu_before is not None else link.mtu_before,
                )
                links = tuple(inherited if other is heir else other for other in record.links)
                plan.heirs[path] = replace(record, links=links)
                return True
    return False


def _recorded_device(link: RecordedLink, devices: t.Sequence[Device]) -> Device | None:
    for device in devices:
        if device.index == link.index and link.mac in (device.mac, device.permanent_mac):
            return device
    return None


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
            if other.key == (device.index, link.mac) and link.mtu and other.mtu and link.mtu != other.mtu:
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
        elif step.verb in ("up", "down"):
            device = replace(device, up=step.verb == "up")
        elif step.verb == "add":
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
        _ip("link", "set", "dev", name, "mtu", step.value)
    elif step.verb == "up":
        _ip("link", "set", "dev", name, "up")
    elif step.verb == "down":
        _set_down(step.device)
    elif step.verb == "add":
        # Duplicates are looked for on the wire before; the kernel's own detection would make every daemon wait.
        extra = ["nodad"] if ":" in step.value else ["broadcast", "+"]
        if step.value.endswith(("/31", "/32")):
            extra = []
        _ip("address", "add", step.value, *extra, "dev", name)
    else:
        _delete(step.device, step.value)


def _set_down(device: Device) -> None:
    """The kernel forgets IPv6 addresses when a link goes down, also those that were set before it came up."""
    before = _current(device)
    _ip("link", "set", "dev", device.name, "down")
    _set_again(device, [address for address in before.addresses if address.scope != "link"])


def _delete(device: Device, interface: str) -> None:
    """The kernel drops a network's later IPv4 addresses with its first one, unless it is told to promote them."""
    current = _current(device)
    others = [address for address in current.addresses if address.interface != interface]
    if any(address.secondary for address in others):
        setting = Path("/proc/sys/net/ipv4/conf", device.name, "promote_secondaries")
        with contextlib.suppress(OSError):
            old = setting.read_text(encoding="ascii")
            setting.write_text("1", encoding="ascii")
            try:
                _ip("address", "del", interface, "dev", device.name)
            finally:
                setting.write_text(old, encoding="ascii")
            _set_again(device, others)
            return
    _ip("address", "del", interface, "dev", device.name)
    _set_again(device, others)


def _set_again(device: Device, addresses: t.Iterable[Address]) -> None:
    present = _current(device).interfaces
    for address in addresses:
        if address.interface not in present:
            _ip("address", "add", *address.arguments)


def _current(device: Device) -> Device:
    for candidate in read_devices():
        if candidate.index == device.index:
            return candidate
    raise NodeError(f"{device} has disappeared.")


def _still_needed(step: Step) -> bool:
    device = next((device for device in read_devices() if device.index == step.device.index), None)
    if device is None:
        return False
    if step.verb in ("add", "delete"):
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


def _require_root() -> None:
    if os.geteuid() != 0:
        raise NodeError("Setting direct links needs root on this machine; use become.")


def _own_record(path: Path) -> Record | None:
    record = _load(path)
    if record is None or record.boot != _boot():
        # A reboot has already taken back all that the record holds.
        return None
    if record.namespace != _namespace():
        raise NodeError(f"{path} was written in another network namespace of this machine; undo it from there.")
    return record


def _new_record(path: Path, links: t.Iterable[RecordedLink]) -> Record:
    return Record(path.name[: -len(_RECORD_SUFFIX)], _boot(), _namespace(), tuple(links))


def _union(path: Path, links: t.Sequence[RecordedLink], previous: Record | None) -> Record:
    """What may be there while a change is under way: the old and the new."""
    old = {link.key: link for link in previous.links} if previous else {}
    merged: list[RecordedLink] = []
    for link in links:
        before = old.pop(link.key, link)
        merged.append(
            replace(
                link,
                added=tuple(dict.fromkeys(before.added + link.added)),
                mtu_before=link.mtu_before if link.mtu_before is not None else before.mtu_before,
            )
        )
    return _new_record(path, [*merged, *old.values()])


# ---------------------------------------------------------------------------------------------------------------------
# Looking at the wire


@dataclass(frozen=True)
class _End:
    """One of this machine's cards, with the addresses that it is to have."""

    device: Device
    addresses: tuple[Interface, ...]

    def __str__(self) -> str:
        return f"{self.device.name} ({', '.join([self.device.mac, *(str(address.ip) for address in self.addresses)])})"


@dataclass(frozen=True)
class _Checks:
    ends: t.Sequence[_End]
    peers: t.Sequence[Peer]
    duplicates: bool
    carrier_timeout: float
    peer_timeout: float

    def refuse_strangers(self) -> None:
        for peer in self.peers:
            if not self.ends_towards(peer):
                networks = ", ".join(str(address.network) for end in self.ends for address in end.addresses)
                raise InputError(f"check_peers: {peer} is in none of the networks of the direct links ({networks}).")

    def ends_towards(self, peer: Peer) -> list[tuple[_End, Interface]]:
        return [(end, address) for end in self.ends for address in end.addresses if peer.ip in address.network]

    def before_adding(self) -> list[str]:
        if self.carrier_timeout > 0:
            self._wait_for_carrier()
        return self._look_for_duplicates() if self.duplicates else []

    def after_adding(self) -> list[dict[str, t.Any]]:
        return self._look_for_peers() if self.peers else []

    def _dark(self) -> list[_End]:
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

    def _look_for_duplicates(self) -> list[str]:
        current = read_devices()
        own_macs = {device.mac for device in current}
        questions = [
            probes.Question(end.device.name, end.device.mac, address.ip)
            for end in self.ends
            for address in end.addresses
        ]
        asked = {(question.device, question.target) for question in questions}
        found: list[probes.Sighting] = []

        def seen(sighting: probes.Sighting) -> bool:
            if (sighting.device, sighting.ip) in asked and sighting.mac not in own_macs:
                found.append(sighting)
            return bool(found)

        probes.ask(questions, DUPLICATE_SECONDS, seen)
        for sighting in found:
            end = next(end for end in self.ends if end.device.name == sighting.device)
            verb = "has it too" if sighting.has_it else "is about to take it too"
            raise NodeError(f"Duplicate address {sighting.ip} on the wire of {end}: the card {sighting.mac} {verb}.")
        for end in self.ends:
            kernel = next((device for device in current if device.index == end.device.index), end.device)
            for known in kernel.addresses:
                if known.duplicate and known.interface in {str(address) for address in end.addresses}:
                    raise NodeError(
                        f"Duplicate address {known.interface} on {end}: the kernel has found another owner."
                    )
        return [f"{end} has no carrier, so no duplicate of its addresses could be seen." for end in self._dark()]

    def _look_for_peers(self) -> list[dict[str, t.Any]]:
        questions = [
            probes.Question(end.device.name, end.device.mac, peer.ip, own.ip)
            for peer in self.peers
            for end, own in self.ends_towards(peer)
        ]
        asked = {(question.device, question.target) for question in questions}
        expected = {peer.ip: peer.mac for peer in self.peers}
        reached: dict[probes.IPAddress, probes.Sighting] = {}
        strangers: dict[probes.IPAddress, str] = {}

        def seen(sighting: probes.Sighting) -> bool:
            if (sighting.device, sighting.ip) in asked and sighting.has_it:
                if expected[sighting.ip] in (None, sighting.mac):
                    reached.setdefault(sighting.ip, sighting)
                else:
                    strangers[sighting.ip] = sighting.mac
            return len(reached) == len(expected)

        probes.ask(questions, self.peer_timeout, seen)
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
        route = json.loads(_ip("-json", "route", "get", str(peer.ip)))[0].get("dev", "")
        ends = [end for end, _own in self.ends_towards(peer)]
        if route not in {end.device.name for end in ends}:
            raise NodeError(
                f"{peer} answers on {' and '.join(map(str, ends))}, but this machine sends what is meant for it "
                f"through {route}: two of its cards are in that network."
            )


# ---------------------------------------------------------------------------------------------------------------------
# The three things to be done with links


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
    _require_root()
    with _locked(check_mode):
        devices = read_devices()
        previous = _own_record(record) if record else None
        neighbours = _other_records(record.parent if record else record_dir, record, devices)
        plan = _plan_present(wanted, devices, previous, neighbours)
        ends = [_End(choose_device(link.mac, devices), link.addresses) for link in wanted]
        checks = _Checks(
            ends, [peer for peer in peers if peer.ip not in own_ips], check_duplicates, carrier_timeout, peer_timeout
        )
        checks.refuse_strangers()
        change = LinkChange(bool(plan.steps), before=_view(devices, plan.touched))
        change.warnings = [
            f"{end} is a port of {end.device.port_of}, which takes what arrives there; "
            "take it out of that, or name another card."
            for end in ends
            if end.device.port_kind in _AGGREGATES
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
    with _locked(check_mode):
        own = _own_record(record)
        if own is None:
            if not check_mode:
                _drop(record)
            return LinkChange(False)
        devices = read_devices()
        neighbours = _other_records(record.parent, record, devices)
        plan = _Plan()
        for link in own.links:
            _plan_release(plan, link, devices, neighbours)
        change = LinkChange(bool(plan.steps), before=_view(devices, plan.touched))
        if check_mode:
            _describe(change, own.links, plan.touched, _predict(devices, plan.steps))
            return change
        failures = _take_back(plan.steps)
        if failures:
            raise NodeError(f"Not all of what {record} holds could be taken back: {' '.join(failures)}")
        for path, heir in plan.heirs.items():
            _save(path, heir)
        _drop(record)
    _describe(change, own.links, plan.touched, read_devices())
    return change


def remove_addresses(
    links: t.Sequence[t.Mapping[str, t.Any]], *, record_dir: Path = DEFAULT_RECORD_DIR, check_mode: bool = False
) -> LinkChange:
    """Removes just these addresses from these cards, for links that no run holds."""
    wanted = parse_links(links)
    _require_root()
    with _locked(check_mode):
        devices = read_devices()
        neighbours = _other_records(record_dir, None, devices)
        steps: list[Step] = []
        touched: list[Device] = []
        for link in wanted:
            if not any(link.mac in (device.mac, device.permanent_mac) for device in devices):
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


def _execute(plan: _Plan, record: Path | None, previous: Record | None, checks: _Checks, change: LinkChange) -> None:
    begun: list[Step] = []

    def run(steps: t.Iterable[Step]) -> None:
        for step in steps:
            begun.append(step)
            _run_step(step)

    if record:
        _save(record, _union(record, plan.links, previous))
    try:
        run(step for step in plan.steps if step.verb != "add")
        change.warnings += checks.before_adding()
        run(step for step in plan.steps if step.verb == "add")
        for end in checks.ends:
            probes.announce(end.device.name, end.device.mac, [address.ip for address in end.addresses])
        change.peers = checks.after_adding()
    except BaseException as error:
        failures = _take_back(step.inverse for step in reversed(begun))
        if failures and isinstance(error, MultideviceError):
            raise NodeError(f"{error} Taking back what was done failed too: {' '.join(failures)}") from error
        if record and not failures:
            if previous:
                _save(record, previous)
            else:
                _drop(record)
        raise
    if record:
        _settle(plan, record, previous)


def _settle(plan: _Plan, record: Path, previous: Record | None) -> None:
    for path, heir in plan.heirs.items():
        _save(path, heir)
    settled = _new_record(record, plan.links)
    if plan.steps or settled != previous:
        _save(record, settled)


def _describe(
    change: LinkChange, links: t.Iterable[RecordedLink], touched: t.Sequence[Device], devices: t.Sequence[Device]
) -> None:
    change.after = _view(devices, touched)
    for link in links:
        device = _recorded_device(link, devices)
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
