# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Locks between processes, on files and folders that are there anyway, so that none has to be left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t

PAUSE = 0.02


def take(path: str | os.PathLike[str], timeout: float | None = None) -> int | None:
    """Lock a file or a folder. Returns the descriptor with the lock, which is free again when that is open nowhere.

    :param timeout: None is returned when it is not free after so many seconds; without, it is waited for.
    :raises OSError: it cannot be opened; FileNotFoundError also when it goes away meanwhile.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if deadline is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            os.close(handle)
        if deadline is not None and time.monotonic() >= deadline:
            return None
        time.sleep(PAUSE)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], timeout: float | None = None) -> t.Iterator[None]:
    """Hold a lock while the block runs.

    :raises TimeoutError: it is not free after ``timeout`` seconds.
    """
    handle = take(path, timeout)
    if handle is None:
        raise TimeoutError(f"{os.fspath(path)} is locked")
    try:
        yield
    finally:
        os.close(handle)
