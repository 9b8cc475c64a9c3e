# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import hashlib
import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._archives import file_digest, packing
from ansible_collections.lab.multidevice.plugins.module_utils._locks import locked
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ScriptKind

# What a folder of scripts may hold that its scripts use; a job file may lie in a folder with much else.
_USED_BY_SCRIPTS = ("bin", "distro", "etc", "include", "lib", "sbin", "stats", "tools")
PARTS = sorted(("programs", *(kind.properties.folder for kind in ScriptKind), *_USED_BY_SCRIPTS))


def pack(root: Path, cache: Path) -> tuple[str, Path]:
    """Pack a folder of scripts once per controller process. Returns the archive's SHA-256 and its path.

    The same content gives the same checksum: names are sorted, times and owners left out. Links that lead out of the
    folder are left out.
    """
    archive = cache / f"tree-{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.tar.gz"
    with locked(cache):
        if not archive.exists():
            partial = archive.with_suffix(".part")
            _write(root.resolve(), partial)
            partial.rename(archive)
    return file_digest(archive), archive


def _write(root: Path, archive: Path) -> None:
    with open(archive, "wb") as stream, packing(stream, level=3) as packed:
        for path in _paths(root):
            entry = packed.gettarinfo(path, str(path.relative_to(root)))
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
            if entry.isreg():
                with open(path, "rb") as content:
                    packed.addfile(entry, content)
            else:
                packed.addfile(entry)


def _paths(root: Path) -> t.Iterator[Path]:
    for part in PARTS:
        if not (root / part).is_dir():
            continue
        for folder, folders, names in os.walk(root / part):
            folders.sort()
            yield Path(folder)
            linked = [name for name in folders if Path(folder, name).is_symlink()]
            for name in sorted(names + linked):
                path = Path(folder, name)
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and path.resolve().is_relative_to(root)):
                    yield path
