# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Packed files on their way between controller and machines."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import tarfile
import typing as t
from pathlib import Path

PIECE = 1048576


@contextlib.contextmanager
def packing(stream: t.IO[bytes], *, level: int) -> t.Iterator[tarfile.TarFile]:
    """Write a compressed archive to a stream, from which nothing is read; the same content gives the same bytes.

    :param level: how hard to compress, from 1 to 9.
    """
    compressed = gzip.GzipFile("", "wb", compresslevel=level, fileobj=stream, mtime=0)
    with compressed, tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as packed:
        yield packed


def file_digest(path: Path) -> str:
    """The SHA-256 of a file of any size."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
