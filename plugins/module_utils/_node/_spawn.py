# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _processes as processes
from ansible_collections.lab.multidevice.plugins.module_utils._node._account import Account

CANNOT_RUN, NOT_FOUND = 126, 127


def fork_at_gate(
    argv: list[str],
    *,
    environment: dict[str, str],
    folder: Path,
    out: Path,
    err: Path,
    account: Account | None = None,
) -> tuple[int, int]:
    """Make a process in a session of its own that is complete but for its program.

    It reads nothing, and dies with this process. It waits at a gate: the descriptor that is returned beside its pid. A
    byte written to it, which is all that is left to do on the way, has the process run its program. When the descriptor
    is closed without that, the process ends. A program that cannot be run ends it with 126 or 127, like a shell.
    """
    parent = os.getpid()
    reader, gate = os.pipe()
    # The child must not take a signal with the handlers of this process.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become(argv, environment, folder, reader, (out, err), parent, account)
    except OSError:
        os.close(gate)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reader)
    return pid, gate


def open_gate(gate: int) -> None:
    """Let the process run its program."""
    with contextlib.suppress(BrokenPipeError):
        os.write(gate, b"\n")
    os.close(gate)


def fork_work(work: t.Callable[[], t.Any]) -> tuple[int, int]:
    """Do some work in a process of its own, so that nobody waits. Returns its pid and where its answer can be read.

    That is JSON, and whole when the end is reached: ``{"answer"}``, or ``{"error"}`` for what can be told to a user.
    """
    reader, writer = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _do(work, writer)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(writer)
    return pid, reader


def _do(work: t.Callable[[], t.Any], writer: int) -> t.NoReturn:
    try:
        _forget_handlers()
        processes.die_with_parent()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        try:
            answer = {"answer": work()}
        except (MultideviceError, OSError) as error:
            answer = {"error": str(error)}
        with os.fdopen(writer, "w", encoding="utf-8") as stream:
            json.dump(answer, stream)
    finally:
        os._exit(0)


def _forget_handlers() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def _become(
    argv: list[str],
    environment: dict[str, str],
    folder: Path,
    reader: int,
    output: tuple[Path, Path],
    parent: int,
    account: Account | None,
) -> t.NoReturn:
    status = CANNOT_RUN
    try:
        os.setsid()
        if account is not None:
            account.become()
        processes.drop_capabilities()
        # The kernel forgets this when the user changes.
        processes.die_with_parent()
        _forget_handlers()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _close_all_but(reader)
        os.chdir(folder)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if os.getppid() == parent and os.read(reader, 1):
            for number, path in enumerate(output, 1):
                os.dup2(_open_output(path), number)
            _execute(argv, environment)
    except OSError as error:
        status = NOT_FOUND if error.errno == errno.ENOENT else CANNOT_RUN
        with contextlib.suppress(OSError):
            os.write(2, f"{argv[0]} cannot be run: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(status)


def _open_output(path: Path) -> int:
    """Of a script's output. What lies there, a pipe or a link of another script, is not written to."""
    if path == Path(os.devnull):
        return os.open(path, os.O_WRONLY)
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)


def _execute(argv: list[str], environment: dict[str, str]) -> None:
    try:
        os.execve(argv[0], argv, environment)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # Without a first line that names its interpreter, a script is the shell's.
        os.execve("/bin/sh", ["/bin/sh", *argv], environment)


def _close_all_but(kept: int) -> None:
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2 and number != kept:
            with contextlib.suppress(OSError):
                os.close(number)
