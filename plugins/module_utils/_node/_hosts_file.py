# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders


def add_entries(hosts_file: Path, run: str, entries: t.Iterable[tuple[str, str]], *, base: Path) -> bool:
    """Write one marked block with ``address name`` lines for a run, in place of an older one. Tells whether it changed.

    :param entries: pairs of an address and a name.
    :param base: the folder of all runs of the machine, which serves as lock.
    """
    lines = [f"{address} {name}\n" for address, name in entries]
    block = [_begin(run), *lines, _end(run)] if lines else []
    return _replace(hosts_file, run, block, base)


def remove_entries(hosts_file: Path, run: str, *, base: Path) -> bool:
    """Take the block of a run out again. All other lines stay as they are."""
    return _replace(hosts_file, run, [], base)


def _begin(run: str) -> str:
    return f"# BEGIN multidevice {run}\n"


def _end(run: str) -> str:
    return f"# END multidevice {run}\n"


def _replace(hosts_file: Path, run: str, block: list[str], base: Path) -> bool:
    with _folders.locked(base):
        old = _read(hosts_file)
        kept: list[str] = []
        inside = False
        for line in old.splitlines(keepends=True):
            if line == _begin(run):
                inside = True
            elif line == _end(run):
                inside = False
            elif not inside:
                kept.append(line)
        if block and kept and not kept[-1].endswith("\n"):
            kept[-1] += "\n"
        new = "".join(kept + block)
        if new == old:
            return False
        _write(hosts_file, new)
        return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    data = text.encode("utf-8", errors="surrogateescape")
    target = path.resolve()
    try:
        _write_beside(target, data)
    except OSError:
        # A bind-mounted file, as in containers, cannot be renamed over.
        with open(target, "r+b") as stream:
            stream.write(data)
            stream.truncate()


def _write_beside(target: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".hosts-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        if target.exists():
            status = target.stat()
            os.chmod(name, stat.S_IMODE(status.st_mode))
            os.chown(name, status.st_uid, status.st_gid)
        else:
            os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
