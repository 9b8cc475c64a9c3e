# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError

PIECE = 1048576


def unpack(archive: Path, dest: Path) -> None:
    """Only files, and only below ``dest``: a node is trusted with no more. Python 3.11.2 has no filter for that yet.

    :raises NodeError: the archive holds something else, or is damaged, or there is no place for it; a sentence that
        begins with the results as "they".
    """
    try:
        dest.mkdir(parents=True, exist_ok=True)
        root = dest.resolve()
        with gzip.open(archive) as content, tarfile.open(fileobj=content, mode="r:") as packed:
            for member in packed:
                _unpack_file(packed, member, root)
            # The checksum is behind the end of the archive, where nobody has looked so far.
            while content.read(PIECE):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise NodeError(f"their archive is damaged: {error}") from error
    except OSError as error:
        raise NodeError(f"they cannot be written to {dest}: {error.strerror}") from error


def _unpack_file(packed: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    path = (root / member.name).resolve()
    content = packed.extractfile(member) if member.isreg() else None
    if content is None or not path.is_relative_to(root):
        raise NodeError(f"they hold {member.name!r}, which is no file below their folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as target:
        shutil.copyfileobj(content, target)
