# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import json
import os
import shutil
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._links import changes as links
from ansible_collections.lab.multidevice.plugins.module_utils._links import records as link_records
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders as folders
from ansible_collections.lab.multidevice.plugins.module_utils._node import _marked_block as marked_block


def put_block(folder: Path, path: Path, lines: t.Sequence[str], *, on_top: bool = False, mode: int = 0o644) -> bool:
    """Write a run's marked block into a file of the machine, once it is noted that it has to be taken back."""
    noted = _noted(folder)
    if str(path) not in noted:
        noted[str(path)] = not marked_block.holds_blocks_only(path)
        noted.setdefault(str(path.parent), path.parent.is_dir() and not _is_made_by_a_run(path.parent, folder.parent))
        fresh = _notes(folder).with_suffix(".part")
        fresh.write_text(json.dumps(noted), encoding="utf-8")
        os.replace(fresh, _notes(folder))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return marked_block.put(path, folder.name, lines, base=folder.parent, on_top=on_top, mode=mode)


def undo(folder: Path, *, keep_trees: bool = False) -> list[str]:
    """Take back what a run changed on this machine, and remove its folder. Says in sentences what could not be done.

    Needs no supervisor, so what a killed one left is cleaned with it too. Every step is tried.
    """
    notes: list[str] = []
    if not folders.is_run(folder):
        return notes
    try:
        _save_results(folder)
    except OSError as error:
        notes.append(f"the results cannot be saved: {error}")
    try:
        links.remove_links(link_records.record_path(links.DEFAULT_RECORD_DIR, folder.name))
    except (MultideviceError, OSError) as error:
        notes.append(str(error))
    noted = _noted(folder)
    for name, was_there in noted.items():
        try:
            path = Path(name)
            if path.is_dir():
                continue
            marked_block.remove(path, folder.name, base=folder.parent)
            if not was_there and path.stat().st_size == 0:
                path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            notes.append(f"the lines of the run cannot be removed from {name}: {error.strerror}")
    for name, was_there in noted.items():
        if not was_there and Path(name).is_dir():
            with contextlib.suppress(OSError):
                Path(name).rmdir()
    folders.give_up_trees(folder, keep=keep_trees)
    if not folders.remove(folder):
        notes.append(f"the folder {folder} cannot be removed")
    return notes


def _save_results(folder: Path) -> None:
    try:
        target = Path((folder / folders.KEEP_RESULTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if not target.exists():
        partial = target.with_name(f".{target.name}.part")
        kept = folder.with_name(f"{folder.name}.results")
        results = folders.results(folder)
        # Otherwise somebody was stopped who had moved them already.
        if results.is_dir():
            _move(results, partial, kept)
        if kept.is_dir() and not os.path.lexists(partial):
            partial.symlink_to(kept)
        # They are for whoever has asked for them, who may not be root.
        owner = target.parent.stat()
        if os.getuid() != owner.st_uid:
            saved = partial.resolve()
            for path in [saved, *saved.rglob("*")]:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        partial.rename(target)
    (folder / folders.KEEP_RESULTS).unlink()


def _move(results: Path, partial: Path, kept: Path) -> None:
    _remove(partial)
    try:
        try:
            results.rename(partial)
        except OSError:
            # To another disk. Until the copy has its name, the run keeps what was copied.
            shutil.copytree(results, partial, symlinks=True)
    except OSError:
        # There may be no place for them there. It takes none to keep them where they are.
        _remove(partial)
        shutil.rmtree(kept, ignore_errors=True)
        results.rename(kept)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _is_made_by_a_run(path: Path, base: Path) -> bool:
    """Whether a folder of the machine is there for the sake of runs only, of which the last is to remove it."""
    return any(_noted(run).get(str(path)) is False for run in folders.runs(base))


def _notes(folder: Path) -> Path:
    return folder / "changed-files.json"


def _noted(folder: Path) -> dict[str, bool]:
    """The files that have a block of the run, and their folders, and whether they are there for more than that."""
    try:
        noted: dict[str, bool] = json.loads(_notes(folder).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return noted
