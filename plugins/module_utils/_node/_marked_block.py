# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _locks as locks
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError

BEGIN = "# BEGIN multidevice "
END = "# END multidevice "
IN_PLACE = (errno.EBUSY, errno.EXDEV, errno.EROFS, errno.EACCES, errno.EPERM)


def put(path: Path, run: str, lines: t.Sequence[str], *, base: Path, on_top: bool = False, mode: int = 0o644) -> bool:
    """Write the marked block of a run into a file, in place of an older one. Tells whether the file changed.

    :param base: the folder of all runs of the machine, which serves as lock.
    :param on_top: before all other lines, not behind them.
    :param mode: for a file that is not there yet.
    :raises InputError: a line would be several, or end the block.
    """
    for line in lines:
        if not line.isprintable() or line.startswith((BEGIN, END)):
            raise InputError(f"{path}: {line[:100]!r} cannot be a line of the file")
    block = [f"{line}\n" for line in lines]
    return _replace(path, run, [_begin(run), *block, _end(run)] if block else [], base, on_top=on_top, mode=mode)


def remove(path: Path, run: str, *, base: Path) -> bool:
    """Take the block of a run out again. All other lines stay as they are."""
    return _replace(path, run, [], base)


def holds_blocks_only(path: Path) -> bool:
    """Whether a file is not there, or is there for the sake of runs' blocks only."""
    if not path.exists():
        return True
    inside, lines = False, _read(path).splitlines(keepends=True)
    for line in lines:
        inside = inside or line.startswith(BEGIN)
        if not inside:
            return False
        inside = not line.startswith(END)
    return bool(lines)


def _begin(run: str) -> str:
    return f"{BEGIN}{run}\n"


def _end(run: str) -> str:
    return f"{END}{run}\n"


def _replace(path: Path, run: str, block: list[str], base: Path, *, on_top: bool = False, mode: int = 0o644) -> bool:
    with locks.locked(base):
        old = _read(path)
        kept: list[str] = []
        inside = False
        for line in old.splitlines(keepends=True):
            if line == _begin(run):
                inside = True
            elif line == _end(run):
                inside = False
            elif not inside:
                kept.append(line)
        if block and kept and not kept[-1].endswith("\n") and not on_top:
            kept[-1] += "\n"
        new = "".join(block + kept if on_top else kept + block)
        if new == old:
            return False
        _write(path, new, shrinks=not block, mode=mode)
        return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str, *, shrinks: bool, mode: int) -> None:
    data = text.encode("utf-8", errors="surrogateescape")
    target = path.resolve()
    try:
        _write_beside(target, data, mode)
    except OSError as error:
        # In its place only where nothing can be lost: a bind-mounted file, as in containers, cannot be renamed over, and
        # on a full disk there is still room for less than there was.
        if error.errno not in IN_PLACE and not shrinks:
            raise
        with open(target, "r+b") as stream:
            stream.write(data)
            stream.truncate()


def _write_beside(target: Path, data: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        if target.exists():
            status = target.stat()
            os.chmod(name, stat.S_IMODE(status.st_mode))
            os.chown(name, status.st_uid, status.st_gid)
        else:
            os.chmod(name, mode)
        os.replace(name, target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
