# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# What the runs on a machine hold, one file each, and the lock under which all changes happen.

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import typing as t
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _locks as locks
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._links.devices import Device

LOCK_SECONDS = 60.0

_SUFFIX = ".links.json"
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_SO_NETNS_COOKIE = 71


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
    # Other addresses that the kernel drops while the device is brought down: how each is set again.
    restore: tuple[tuple[str, ...], ...] = ()
    # Whether the kernel may have been told to promote the device's later addresses, which it does not do otherwise.
    promoted: bool = False

    def find(self, devices: t.Iterable[Device]) -> Device | None:
        """A number is never given twice, but a device can change its MAC, or its name, under the hands of a test."""
        for device in devices:
            if device.index == self.index and (device.name == self.device or self.mac in device.macs):
                return device
        return None


@dataclass(frozen=True)
class Record:
    job_id: str
    boot: str
    namespace: str
    links: tuple[RecordedLink, ...]


def record_path(record_dir: Path, job_id: str) -> Path:
    if not _JOB_ID.match(job_id):
        raise InputError(f"job_id: {job_id!r} is no run's id; it is made of letters, digits, '.', '_' and '-'.")
    return record_dir / f"{job_id}{_SUFFIX}"


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


def load(path: Path) -> Record | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        links = tuple(
            RecordedLink(
                **{
                    **link,
                    "addresses": tuple(link["addresses"]),
                    "added": tuple(link["added"]),
                    "restore": tuple(tuple(arguments) for arguments in link["restore"]),
                }
            )
            for link in content["links"]
        )
        return Record(content["job_id"], content["boot"], content["namespace"], links)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NodeError(f"Cannot read the record of direct links {path}: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError(f"{path} is no record of direct links; remove it and its addresses by hand.") from error


def save(path: Path, record: Record) -> None:
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


def drop(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def other_records(record_dir: Path, own: Path | None, devices: t.Sequence[Device]) -> dict[Path, Record]:
    """What other runs hold here. Links whose device is gone hold nothing any more."""
    boot, namespace = _boot(), _namespace()
    found: dict[Path, Record] = {}
    for path in sorted(record_dir.glob(f"*{_SUFFIX}")):
        record = None if path == own else load(path)
        if record is None or (record.boot, record.namespace) != (boot, namespace):
            continue
        if any(link.find(devices) for link in record.links):
            found[path] = record
    return found


@contextlib.contextmanager
def locked(check_mode: bool) -> t.Iterator[None]:
    """One changer at a time in a network namespace. The lock is the namespace itself, so no file is left behind."""
    if check_mode:
        yield
        return
    descriptor = locks.take("/proc/self/ns/net", LOCK_SECONDS)
    if descriptor is None:
        raise NodeError(f"Another run has been changing this machine's direct links for {LOCK_SECONDS:.0f} seconds.")
    try:
        yield
    finally:
        os.close(descriptor)


def own_record(path: Path) -> Record | None:
    record = load(path)
    if record is None or record.boot != _boot():
        # A reboot has already taken back all that the record holds.
        return None
    if record.namespace != _namespace():
        raise NodeError(f"{path} was written in another network namespace of this machine; undo it from there.")
    return record


def new_record(path: Path, links: t.Iterable[RecordedLink]) -> Record:
    return Record(path.name[: -len(_SUFFIX)], _boot(), _namespace(), tuple(links))


def union(path: Path, links: t.Sequence[RecordedLink], given_up: t.Iterable[RecordedLink]) -> Record:
    """What may be there while a change is under way: the old and the new."""
    old = {link.index: link for link in given_up}
    merged: list[RecordedLink] = []
    for link in links:
        before = old.pop(link.index, link)
        merged.append(
            replace(
                link,
                added=tuple(dict.fromkeys(before.added + link.added)),
                restore=before.restore,
                promoted=before.promoted,
                mtu_before=link.mtu_before if link.mtu_before is not None else before.mtu_before,
            )
        )
    return new_record(path, [*merged, *old.values()])
