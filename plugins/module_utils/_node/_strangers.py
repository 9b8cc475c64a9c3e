# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import errno
import os
import stat
import typing as t
from pathlib import Path


def open_file(root: Path, name: Path) -> t.BinaryIO:
    """Open a file below a folder for reading, where a stranger may put what he likes, at any moment.

    No link is followed on the way, and nothing but a regular file is opened: a pipe would have us wait for ever, and a
    link could lead to what only we may read.

    :raises OSError: there is no such file, or something else is in its place.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in name.parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        handle = os.open(name.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no file", str(root / name))
    return os.fdopen(handle, "rb")
