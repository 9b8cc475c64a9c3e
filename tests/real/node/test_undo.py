# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run has changed on a machine is taken back, whoever does it and however far the last attempt came."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._links import records
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders, _marked_block
from ansible_collections.lab.multidevice.plugins.module_utils._node._undo import put_block, undo

NOBODY = 65534
TREE = "a" * 64


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def new_run(base: Path, job_id: str = "job.1.1", keep: Path | None = None) -> Path:
    """The folder of a run that has results."""
    folder = _folders.create(base, job_id, {})
    (_folders.results(folder) / "test-it").mkdir()
    (_folders.results(folder) / "test-it" / "stdout").write_text(f"said in {job_id}")
    if keep:
        _folders.keep_results(folder, keep)
    return folder


def kept_text(target: Path) -> str:
    return (target / "test-it" / "stdout").read_text()


# Files of the machine


@pytest.mark.parametrize("before", [b"127.0.0.1 localhost\n", b"no end of line", b"", b"\xff\xfe latin\n", None])
def test_a_file_is_as_it_was_before(base: Path, tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "hosts"
    if before is not None:
        path.write_bytes(before)
    folder = new_run(base)
    assert put_block(folder, path, ["192.0.2.1 server"])
    assert b"192.0.2.1 server\n" in path.read_bytes()
    assert put_block(folder, path, ["192.0.2.2 server"])
    assert path.read_bytes().count(b"server") == 1
    assert undo(folder) == []
    after = path.read_bytes() if path.exists() else None
    # A file whose last line had no end has one now: there was no other way to add to it.
    assert after == (before if before != b"no end of line" else before + b"\n")
    assert not base.exists()
    assert undo(folder) == []


def test_lines_that_were_added_meanwhile_stay(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    folder = new_run(base)
    put_block(folder, path, ["192.0.2.1 server"])
    with open(path, "a") as stream:
        stream.write("mine\n")
    assert undo(folder) == []
    assert path.read_text() == "mine\n"


def test_a_block_that_is_not_noted_is_never_written(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    folder = new_run(base)
    (folder / "changed-files.part").mkdir()
    with pytest.raises(OSError):
        put_block(folder, path, ["192.0.2.1 server"])
    assert path.read_text() == "127.0.0.1 localhost\n"


def test_a_folder_that_the_run_made_goes_again(base: Path, tmp_path: Path) -> None:
    path = tmp_path / ".ssh" / "config"
    folder = new_run(base)
    put_block(folder, path, ["Host server"], mode=0o600)
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    assert undo(folder) == []
    assert not path.parent.exists()


def test_a_folder_that_was_there_stays(base: Path, tmp_path: Path) -> None:
    path = tmp_path / ".ssh" / "config"
    path.parent.mkdir()
    folder = new_run(base)
    put_block(folder, path, ["Host server"])
    put_block(folder, path.with_name("authorized_keys"), ["a key"])
    assert undo(folder) == []
    assert list(path.parent.iterdir()) == []


def test_a_folder_into_which_somebody_has_put_something_stays(base: Path, tmp_path: Path) -> None:
    path = tmp_path / ".ssh" / "config"
    folder = new_run(base)
    put_block(folder, path, ["Host server"])
    path.with_name("known_hosts").write_text("mine")
    assert undo(folder) == []
    assert [left.name for left in path.parent.iterdir()] == ["known_hosts"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_last_of_two_runs_removes_what_the_first_has_made(
    base: Path, tmp_path: Path, order: tuple[int, int]
) -> None:
    path = tmp_path / ".ssh" / "config"
    folders = [new_run(base, f"job.{number}") for number in (1, 2)]
    for folder in folders:
        put_block(folder, path, [f"Host of {folder.name}"])
    first, last = (folders[number] for number in order)
    assert undo(first) == []
    assert first.name not in path.read_text()
    assert f"Host of {last.name}" in path.read_text()
    assert undo(last) == []
    assert not path.parent.exists()


def test_a_file_that_cannot_be_changed_is_named_and_the_others_are_taken_back(base: Path, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad" / "file", tmp_path / "good" / "file"
    folder = new_run(base)
    for path in (bad, good):
        put_block(folder, path, ["of the run"])
    bad.unlink()
    bad.symlink_to(bad)
    (note,) = undo(folder)
    assert note.startswith(f"the lines of the run cannot be removed from {bad}: ")
    assert not good.exists()
    assert not folder.exists()


def test_what_is_gone_by_itself_is_no_failure(base: Path, tmp_path: Path) -> None:
    gone, other = tmp_path / "made" / "file", tmp_path / "other" / "file"
    folder = new_run(base)
    for path in (gone, other):
        put_block(folder, path, ["of the run"])
    gone.unlink()
    assert undo(folder) == []
    assert not gone.parent.exists() and not other.parent.exists()


def test_a_folder_that_is_no_run_is_left_alone(base: Path, tmp_path: Path) -> None:
    folder = new_run(base, keep=tmp_path / "kept")
    (folder / _folders.MARK).unlink()
    assert undo(folder) == []
    assert _folders.results(folder).is_dir()
    assert not (tmp_path / "kept").exists()


def test_links_that_cannot_be_taken_back_are_said_and_the_rest_is_done(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.lab.multidevice.plugins.module_utils._links.changes.DEFAULT_RECORD_DIR", tmp_path
    )
    folder = new_run(base)
    record = records.record_path(tmp_path, folder.name)
    record.write_text("no record")
    (note,) = undo(folder)
    assert str(record) in note
    assert not folder.exists()


# Script trees


@pytest.mark.parametrize("keep", [False, True])
def test_a_script_tree_stays_when_the_next_run_is_to_find_it(base: Path, keep: bool) -> None:
    folder = new_run(base)
    _folders.use_tree(folder, TREE)
    _folders.tree(folder, TREE).mkdir()
    assert undo(folder, keep_trees=keep) == []
    assert _folders.tree(folder, TREE).exists() is keep
    assert _folders.trees(base).exists() is keep
    assert not folder.exists()


def test_a_script_tree_stays_for_a_run_that_uses_it(base: Path) -> None:
    one, two = (new_run(base, name) for name in ("one", "two"))
    for folder in (one, two):
        _folders.use_tree(folder, TREE)
    _folders.tree(one, TREE).mkdir()
    assert undo(one) == []
    assert _folders.tree(two, TREE).is_dir()
    assert undo(two) == []
    assert not base.exists()


# Results that are kept on the machine


def test_results_are_kept_for_the_owner_of_the_folder(base: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to somebody else")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("root's")
    owner = tmp_path / "owner"
    owner.mkdir()
    os.chown(owner, NOBODY, NOBODY)
    folder = new_run(base, keep=owner / "kept")
    for name, target in (("file", precious / "file"), ("folder", precious)):
        (_folders.results(folder) / "test-it" / name).symlink_to(target)
    assert undo(folder) == []
    assert [path.name for path in owner.iterdir()] == ["kept"]
    assert kept_text(owner / "kept") == "said in job.1.1"
    owners = {path.lstat().st_uid for path in (owner / "kept", *(owner / "kept").rglob("*"))}
    groups = {path.lstat().st_gid for path in (owner / "kept", *(owner / "kept").rglob("*"))}
    assert owners == groups == {NOBODY}
    assert {path.stat().st_uid for path in (precious, precious / "file")} == {0}


def test_results_that_were_kept_before_are_not_overwritten(base: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    assert undo(new_run(base, "first", keep=target)) == []
    assert undo(new_run(base, "second", keep=target)) == []
    assert kept_text(target) == "said in first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


def test_without_a_place_to_keep_them_results_go_with_the_run(base: Path, tmp_path: Path) -> None:
    assert undo(new_run(base)) == []
    assert list(tmp_path.iterdir()) == []


def test_results_that_cannot_be_kept_where_they_should_be_are_said_and_not_lost(base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = new_run(base, keep=tmp_path / "file" / "kept")
    (note,) = undo(folder)
    assert note.startswith("the results cannot be saved: ")
    assert str(base / "job.1.1.results") in note
    assert kept_text(base / "job.1.1.results") == "said in job.1.1"
    assert not folder.exists()


@pytest.fixture
def other_disk(tmp_path: Path) -> t.Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("a file system of its own takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_results_are_kept_on_another_disk(base: Path, other_disk: Path) -> None:
    folder = new_run(base, keep=other_disk / "kept")
    (_folders.results(folder) / "link").symlink_to("/nowhere")
    assert undo(folder) == []
    assert kept_text(other_disk / "kept") == "said in job.1.1"
    assert (other_disk / "kept" / "link").is_symlink()
    assert [path.name for path in other_disk.iterdir()] == ["kept"]
    assert not base.exists()


def test_results_for_which_there_is_no_place_stay_where_they_are(base: Path, other_disk: Path) -> None:
    os.chown(other_disk, NOBODY, NOBODY)
    folder = new_run(base, keep=other_disk / "kept")
    (_folders.results(folder) / "large").write_bytes(b"x" * 100000)
    assert undo(folder) == []
    assert kept_text(other_disk / "kept") == "said in job.1.1"
    assert [path.name for path in other_disk.iterdir()] == ["kept"]
    assert (other_disk / "kept").resolve() == base / "job.1.1.results"
    assert {path.lstat().st_uid for path in (base / "job.1.1.results").rglob("*")} == {NOBODY}
    assert not folder.exists()


# An attempt that was killed in the middle of it: what it can have left, and the next attempt.


def test_results_half_copied_are_copied_again(base: Path, tmp_path: Path) -> None:
    folder = new_run(base, keep=tmp_path / "kept")
    (tmp_path / ".kept.part" / "test-it").mkdir(parents=True)
    (tmp_path / ".kept.part" / "test-it" / "stdout").write_text("said")
    assert undo(folder) == []
    assert kept_text(tmp_path / "kept") == "said in job.1.1"
    assert not (tmp_path / ".kept.part").exists()


@pytest.mark.parametrize("where", ["there", "here", "here, with a link there"])
def test_results_that_were_moved_but_have_no_name_get_it(base: Path, tmp_path: Path, where: str) -> None:
    folder = new_run(base, keep=tmp_path / "kept")
    partial, here = tmp_path / ".kept.part", base / f"{folder.name}.results"
    _folders.results(folder).rename(partial if where == "there" else here)
    if "link" in where:
        partial.symlink_to(here)
    assert undo(folder) == []
    assert kept_text(tmp_path / "kept") == "said in job.1.1"
    assert not os.path.lexists(partial)


def test_a_link_to_results_that_are_not_there_yet_is_made_again(base: Path, tmp_path: Path) -> None:
    folder = new_run(base, keep=tmp_path / "kept")
    (tmp_path / ".kept.part").symlink_to(base / f"{folder.name}.results")
    assert undo(folder) == []
    assert kept_text(tmp_path / "kept") == "said in job.1.1"
    assert not (tmp_path / "kept").is_symlink()


def test_results_of_a_run_that_has_them_kept_already_do_not_come_back(base: Path, tmp_path: Path) -> None:
    """Killed between the name and the folder of the run: results that were copied are there twice."""
    folder = new_run(base, keep=tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    assert undo(folder) == []
    assert list((tmp_path / "kept").iterdir()) == []
    assert not folder.exists()


# Marked blocks


def test_a_block_is_written_once_and_goes_on_top_when_asked(base: Path, tmp_path: Path) -> None:
    base.mkdir()
    path = tmp_path / "config"
    path.write_text("mine")
    assert _marked_block.put(path, "a", ["one", "two"], base=base, on_top=True)
    block = "# BEGIN multidevice a\none\ntwo\n# END multidevice a\n"
    assert path.read_text() == f"{block}mine"
    assert not _marked_block.put(path, "a", ["one", "two"], base=base, on_top=True)
    assert _marked_block.put(path, "b", ["three"], base=base)
    assert path.read_text() == f"{block}mine\n# BEGIN multidevice b\nthree\n# END multidevice b\n"
    assert _marked_block.remove(path, "a", base=base)
    assert not _marked_block.remove(path, "a", base=base)
    assert path.read_text() == "mine\n# BEGIN multidevice b\nthree\n# END multidevice b\n"


def test_a_file_keeps_its_owner_its_mode_and_its_links(base: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to somebody else")
    base.mkdir()
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("mine\n")
    real.chmod(0o640)
    os.chown(real, NOBODY, NOBODY)
    link.symlink_to(real)
    _marked_block.put(link, "a", ["one"], base=base)
    status = real.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (NOBODY, NOBODY, 0o640)
    assert link.is_symlink()
    assert "one" in real.read_text()


@pytest.mark.parametrize(
    ("text", "only"),
    [
        (None, True),
        ("", False),
        ("# BEGIN multidevice a\none\n# END multidevice a\n", True),
        ("# BEGIN multidevice a\none\n# END multidevice a\nmine\n", False),
        ("mine\n# BEGIN multidevice a\none\n# END multidevice a\n", False),
        ("# BEGIN multidevice a\n# END multidevice a\n# BEGIN multidevice b\n# END multidevice b\n", True),
    ],
)
def test_whether_a_file_is_there_for_runs_only(tmp_path: Path, text: str | None, only: bool) -> None:
    path = tmp_path / "hosts"
    if text is not None:
        path.write_text(text)
    assert _marked_block.holds_blocks_only(path) is only


def test_a_file_that_cannot_be_renamed_over_is_written_in_its_place(base: Path, tmp_path: Path) -> None:
    """As /etc/hosts in a container."""
    if os.geteuid() != 0:
        pytest.skip("a mount takes root")
    base.mkdir()
    real, mounted = tmp_path / "real", tmp_path / "mounted"
    real.write_text("mine\n")
    mounted.touch()
    subprocess.run(["mount", "--bind", real, mounted], check=True)
    try:
        assert _marked_block.put(mounted, "a", ["one"], base=base)
        assert real.read_text() == "mine\n# BEGIN multidevice a\none\n# END multidevice a\n"
        assert _marked_block.remove(mounted, "a", base=base)
        assert real.read_text() == "mine\n"
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mounted", "real", "runs"]
