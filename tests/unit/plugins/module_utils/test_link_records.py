# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._links import records
from ansible_collections.lab.multidevice.plugins.module_utils._links.devices import Device
from ansible_collections.lab.multidevice.plugins.module_utils._links.records import RecordedLink

MAC = "02:00:00:00:00:01"
LINK = RecordedLink(
    mac=MAC,
    index=7,
    device="eth1",
    addresses=("10.0.0.1/24", "fd00::1/64"),
    added=("10.0.0.1/24",),
    was_up=False,
    mtu=9000,
    mtu_before=1500,
    restore=(("fd00::9/64", "scope", "global", "nodad"),),
)


def device(index: int = 7, name: str = "eth1", mac: str = MAC, permanent_mac: str = MAC) -> Device:
    return Device(index, name, mac, permanent_mac, "", "", "", True, True, 1500, (68, 9000), ())


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = records.record_path(tmp_path / "new" / "folder", "20261123T181530-k3f9.1.1")
    assert path.name == "20261123T181530-k3f9.1.1.links.json"
    assert records.load(path) is None
    record = records.new_record(path, [LINK])
    records.save(path, record)
    assert records.load(path) == records.own_record(path) == record
    assert record.job_id == "20261123T181530-k3f9.1.1"
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    records.drop(path)
    records.drop(path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("job_id", ["", "../a", "a/b", ".hidden", "a b", "-a", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(InputError, match="is no run's id"):
        records.record_path(tmp_path, job_id)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"links": [{"mac": "x"}]}', '{"links": 5}'])
def test_what_is_no_record_is_named(tmp_path: Path, content: str) -> None:
    path = records.record_path(tmp_path, "a")
    path.write_text(content)
    with pytest.raises(NodeError, match="a.links.json is no record of direct links"):
        records.load(path)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (device(), True),
        (device(name="renamed0"), True),
        (device(mac="02:00:00:00:0f:0f", permanent_mac="02:00:00:00:0f:0f"), True),
        (device(name="renamed0", mac="02:00:00:00:0f:0f"), True),
        (device(name="other0", mac="02:00:00:00:0f:0f", permanent_mac="02:00:00:00:0f:0f"), False),
        (device(index=8), False),
    ],
)
def test_the_device_of_a_record(there: Device, found: bool) -> None:
    assert LINK.find([device(index=1, name="lo", mac=""), there]) == (there if found else None)


def test_only_what_holds_something_here_and_now_counts(tmp_path: Path) -> None:
    saved = {}
    cases: dict[str, dict[str, t.Any]] = {
        "mine": {},
        "other": {},
        "rebooted": {"boot": "another"},
        "elsewhere": {"namespace": "another"},
        "gone": {"links": (dataclasses.replace(LINK, index=99),)},
    }
    for name, changes in cases.items():
        path = records.record_path(tmp_path, name)
        saved[name] = dataclasses.replace(records.new_record(path, [LINK]), **changes)
        records.save(path, saved[name])
    (tmp_path / "unrelated.json").write_text("not ours")
    mine, other = (records.record_path(tmp_path, name) for name in ("mine", "other"))
    assert records.other_records(tmp_path, mine, [device()]) == {other: saved["other"]}
    assert records.other_records(tmp_path / "nowhere", None, [device()]) == {}


def test_a_rebooted_machine_holds_nothing_and_another_namespace_is_refused(tmp_path: Path) -> None:
    path = records.record_path(tmp_path, "a")
    record = records.new_record(path, [LINK])
    records.save(path, dataclasses.replace(record, boot="another"))
    assert records.own_record(path) is None
    records.save(path, dataclasses.replace(record, namespace="another"))
    with pytest.raises(NodeError, match="written in another network namespace"):
        records.own_record(path)


def test_while_a_change_is_under_way_the_old_and_the_new_are_held(tmp_path: Path) -> None:
    path = records.record_path(tmp_path, "a")
    new = dataclasses.replace(LINK, added=("10.0.0.2/24",), mtu=None, mtu_before=None, restore=())
    dropped = dataclasses.replace(LINK, index=8, device="eth2")
    fresh = dataclasses.replace(new, index=9, device="eth3")
    merged = records.union(path, [new, fresh], [LINK, dropped])
    assert merged.links == (
        dataclasses.replace(new, added=("10.0.0.1/24", "10.0.0.2/24"), mtu_before=1500, restore=LINK.restore),
        fresh,
        dropped,
    )


def test_a_link_whose_mtu_a_change_does_not_touch_keeps_what_it_was_before(tmp_path: Path) -> None:
    path = records.record_path(tmp_path, "a")
    new = dataclasses.replace(LINK, mtu_before=1400, restore=(("10.0.0.9/24",),), was_up=True)
    (merged,) = records.union(path, [new], [LINK]).links
    assert (merged.mtu_before, merged.restore, merged.was_up) == (1400, LINK.restore, True)
    assert records.union(path, [new], []).links == (new,)


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = records.record_path(tmp_path / "folder", "a")
    records.save(path, records.new_record(path, [LINK]))
    before = path.read_bytes()
    assert path.parent.stat().st_mode & 0o022 == 0
    with pytest.raises(TypeError):
        records.save(path, records.new_record(path, [dataclasses.replace(LINK, mtu=t.cast(int, {1, 2}))]))
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_record_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = records.record_path(tmp_path / "file" / "folder", "a")
    with pytest.raises(NodeError, match=r"Cannot write the record of direct links .*a\.links\.json: Not a directory\."):
        records.save(path, records.new_record(path, []))
    with pytest.raises(NodeError, match=r"Cannot read the record of direct links .*a\.links\.json: Not a directory\."):
        records.load(path)


def test_a_record_names_this_boot_and_this_namespace(tmp_path: Path) -> None:
    path = records.record_path(tmp_path, "a")
    records.save(path, records.new_record(path, [LINK]))
    content = json.loads(path.read_text())
    assert content["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kind, number = content["namespace"].split("-")
    assert kind in ("cookie", "inode") and int(number) > 0
    assert kind == "cookie" or int(number) == os.stat("/proc/self/ns/net").st_ino


@contextlib.contextmanager
def somebody_elses_lock() -> t.Iterator[int]:
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def free_after(seconds: float, descriptor: int) -> threading.Timer:
    timer = threading.Timer(seconds, fcntl.flock, (descriptor, fcntl.LOCK_UN))
    timer.start()
    return timer


def test_the_lock_is_waited_for_as_long_as_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOCK_SECONDS", 0.2)
    begin = time.monotonic()
    with somebody_elses_lock() as descriptor:
        # Whoever waits without a limit gets it in the end.
        timer = free_after(20, descriptor)
        try:
            with pytest.raises(NodeError, match="Another run has been changing this machine's direct links for 0 sec"):
                records.locked(False).__enter__()
        finally:
            timer.cancel()
    assert time.monotonic() - begin >= 0.2


def test_the_lock_is_had_once_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOCK_SECONDS", 60.0)
    with somebody_elses_lock() as descriptor:
        timer = free_after(0.2, descriptor)
        with records.locked(False), pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        timer.join()
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_check_mode_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOCK_SECONDS", 0.0)
    with somebody_elses_lock(), records.locked(True):
        pass


def test_a_record_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = records.record_path(tmp_path, "a")
    synced: list[tuple[bool, int, bool]] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        is_folder = os.readlink(f"/proc/self/fd/{descriptor}") == str(tmp_path)
        synced.append((is_folder, 0 if is_folder else os.fstat(descriptor).st_size, path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    records.save(path, records.new_record(path, [LINK]))
    assert synced == [(False, path.stat().st_size, False), (True, 0, True)]
    records.drop(path)
    assert synced[2:] == [(True, 0, False)]
