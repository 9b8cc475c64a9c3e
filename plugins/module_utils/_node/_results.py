# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tarfile
import threading
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._archives import packing
from ansible_collections.lab.multidevice.plugins.module_utils._node._strangers import open_file

CUT = 1048576
# As much as a pipe may hold for any user.
PIPE = 1048576


class Packing:
    """Packs a node's results in a thread, through a pipe: no place on the disk is needed, and nobody waits.

    :param limit: bytes of file content at most; a file that does not fit is cut to its last megabyte at most, so that
        the end of a long output is kept.
    """

    def __init__(self, results: Path, *, limit: int) -> None:
        self.notes: list[str] = []
        self._read = 0
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(writer, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE)
        threading.Thread(target=self._work, args=(results, writer, limit), daemon=True).start()

    def read(self) -> tuple[int, bytes] | None:
        """The next piece of the archive behind its offset, empty at the end; None when it is not ready yet."""
        try:
            piece = os.read(self.reader, PIPE)
        except BlockingIOError:
            return None
        offset = self._read
        self._read += len(piece)
        return offset, piece

    def close(self) -> None:
        """Leave it, finished or not."""
        os.close(self.reader)

    def _work(self, results: Path, writer: int, limit: int) -> None:
        # Nobody reads any more: there is nobody to tell either.
        with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as stream:
            self.notes += pack(results, stream, limit=limit)


def pack(results: Path, stream: t.IO[bytes], *, limit: int) -> list[str]:
    """Write a compressed archive of the results to a stream, and say in sentences what was cut or left out."""
    notes: list[str] = []
    left = limit
    with packing(stream, level=1) as packed:
        for path, size, changed in _files(results):
            name = path.relative_to(results)
            keep = size if size <= left else min(CUT, left)
            if keep < size:
                notes.append(f"{name}: cut to its last {keep} of {size} bytes, the limit for a node is {limit} bytes")
            try:
                content = open_file(results, name)
            except OSError as error:
                notes.append(f"{name}: left out: {error.strerror}")
                continue
            with content:
                content.seek(size - keep)
                entry = tarfile.TarInfo(str(name))
                entry.size, entry.mtime, entry.mode = keep, changed, 0o644
                packed.addfile(entry, t.cast(t.IO[bytes], _Filled(content)))
            left -= keep
    return notes


class _Filled:
    """A file that goes on with zeros at its end: one that shrinks meanwhile must not spoil the archive."""

    def __init__(self, content: t.IO[bytes]) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size).ljust(max(size, 0), b"\0")


def _files(results: Path) -> list[tuple[Path, int, int]]:
    """Regular files with their size and time: records first, then the small ones, so that a limit spares them."""
    found: list[tuple[Path, int, int]] = []
    for folder, _folders, names in os.walk(results):
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found.append((path, status.st_size, int(status.st_mtime)))
    return sorted(found, key=lambda file: (file[0].name != "result.json", file[1], file[0]))
