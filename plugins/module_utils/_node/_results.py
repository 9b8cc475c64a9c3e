# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

CUT = 1048576


def pack(results: Path, archive: Path, *, limit: int) -> list[str]:
    """Pack a node's results into a compressed archive and say in sentences what was cut.

    :param limit: bytes of file content at most; a file that does not fit is cut to its last megabyte at most, so that
        the end of a long output is kept.
    """
    notes: list[str] = []
    left = limit
    files = sorted(_files(results), key=lambda path: (path.name != "result.json", path.stat().st_size))
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        for path in files:
            name = path.relative_to(results)
            size = path.stat().st_size
            keep = size if size <= left else min(CUT, left)
            if keep < size:
                notes.append(f"{name}: cut to its last {keep} of {size} bytes, the limit for a node is {limit} bytes")
            entry = tarfile.TarInfo(str(name))
            entry.size, entry.mtime, entry.mode = keep, int(path.stat().st_mtime), 0o644
            with open(path, "rb") as stream:
                stream.seek(size - keep)
                packed.addfile(entry, stream)
            left -= keep
    return notes


def _files(results: Path) -> list[Path]:
    found: list[Path] = []
    for folder, _folders, names in os.walk(results):
        for name in names:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):
                found.append(path)
    return found
