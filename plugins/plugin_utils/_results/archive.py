# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import gzip
import shutil
import tarfile
import typing as t
import zlib
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RESULTS_LIMIT
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError

PIECE = 1048576
FILES_LIMIT = 100000
# What an archive may take besides the content of its files: a beginning, and the headers of each file.
HEADERS = 16 * 1048576
HEADERS_OF_A_FILE = 8192


def unpack(archive: Path, dest: Path, *, limit: int = DEFAULT_RESULTS_LIMIT) -> None:
    """Only files, and only below ``dest``: a node is trusted with no more. Python 3.11.2 has no filter for that yet.

    :param limit: bytes of all files. They are counted while they come: what is said of them costs a sender nothing.
    :raises NodeError: the archive holds something else or more, or is damaged, or there is no place for it; a sentence
        that begins with the results as "they".
    """
    try:
        dest.mkdir(parents=True, exist_ok=True)
        root = dest.resolve()
        with gzip.open(archive) as compressed:
            content = _Counted(compressed, limit + HEADERS)
            files = left = 0
            with tarfile.open(fileobj=t.cast(t.IO[bytes], content), mode="r|") as packed:
                for member in packed:
                    files += 1
                    content.allowed += HEADERS_OF_A_FILE
                    left += member.size
                    if files > FILES_LIMIT or left > limit:
                        raise NodeError(
                            f"they are more than {FILES_LIMIT} files or {limit} bytes, the limit for a node"
                        )
                    _unpack_file(packed, member, root)
            # The checksum is behind the end of the archive, where nobody has looked so far.
            while content.read(PIECE):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise NodeError(f"their archive is damaged: {error}") from error
    except OSError as error:
        raise NodeError(f"they cannot be written to {dest}: {error.strerror}") from error


class _Counted:
    """A stream of which no more is read than was allowed: a megabyte can unpack to a gigabyte."""

    def __init__(self, content: gzip.GzipFile, allowed: int) -> None:
        self._content = content
        self.allowed = allowed

    def read(self, size: int = -1) -> bytes:
        piece = self._content.read(size)
        self.allowed -= len(piece)
        if self.allowed < 0:
            raise NodeError("they unpack to more than the limit for a node")
        return piece


def _unpack_file(packed: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    path = (root / member.name).resolve()
    # A sparse file is as large as it says, whatever came of it.
    content = packed.extractfile(member) if member.isreg() and not member.issparse() else None
    if content is None or not path.is_relative_to(root):
        raise NodeError(f"they hold {member.name!r}, which is no file below their folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as target:
        shutil.copyfileobj(content, target)
