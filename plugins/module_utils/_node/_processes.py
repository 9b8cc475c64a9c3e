# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import ctypes
import os
import signal
import time
import typing as t

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
# More than any kernel has; it refuses those that it does not know.
CAPABILITIES = 64
LIBC = ctypes.CDLL(None, use_errno=True)
JOB_VARIABLE = "MULTIDEVICE_JOB"
SCRIPT_VARIABLE = "MULTIDEVICE_SCRIPT"


def become_subreaper() -> None:
    """Keep every descendant as a child of this process, those that fork away as daemons included (prctl(2))."""
    if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def drop_capabilities() -> None:
    """Keep nothing of root's rights that somebody else's process was given, such as a service's (capabilities(7))."""
    if os.geteuid() != 0:
        LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        for number in range(CAPABILITIES):
            LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies. For use between fork and exec."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def start_time(pid: int) -> int | None:
    """The start time of a process in clock ticks since boot (proc(5), stat field 22), None when it is gone."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def session(pid: int) -> int | None:
    """The session of a process (proc(5), stat field 6), which its children inherit; None when it is gone."""
    fields = _stat_fields(pid)
    return int(fields[3]) if fields else None


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    fields = _stat_fields(pid)
    return fields is not None and fields[0] not in ("Z", "X")


def has_children() -> bool:
    """Whether this process has a child, dead or alive. A subreaper without children has no descendants."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def reap() -> t.Iterator[tuple[int, int]]:
    """Each child that has ended, with its exit code; the negative number of the signal that ended it."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def end_descendants(*, grace: float) -> list[int]:
    """TERM, and after a grace KILL, all that descends from this process, which is a subreaper; ``kill_all`` says more."""

    def find() -> list[int]:
        for _ended in reap():
            pass
        return descendants(os.getpid()) if has_children() else []

    return kill_all(find, grace=grace)


def descendants(root: int, *, dead: bool = False) -> list[int]:
    """All living processes below a process, parents before children; ``dead``: also those that nobody has reaped yet.

    A process that comes into being meanwhile may be missing, but not together with the one that has made it.
    """
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for pid in _all_processes():
        fields = _stat_fields(pid)
        if fields is None:
            continue
        children.setdefault(int(fields[1]), []).append(pid)
        if fields[0] in ("Z", "X"):
            zombies.add(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            waiting.append(child)
            if dead or child not in zombies:
                found.append(child)
    return found


def marked(variable: str, value: str) -> list[int]:
    """All living processes of this machine whose environment, as they were started, holds variable=value."""
    return [pid for pid in _all_processes() if has_mark(pid, variable, value)]


def marked_below(root: int, variable: str, value: str) -> list[int]:
    """The same among the descendants of a process."""
    return [pid for pid in descendants(root) if has_mark(pid, variable, value)]


def send_signal(pids: t.Iterable[int], number: int) -> None:
    """Send a signal to each process; those that have ended meanwhile are no error."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            continue


def kill_all(find: t.Callable[[], list[int]], *, grace: float) -> list[int]:
    """TERM what ``find`` finds, then, after ``grace`` seconds, KILL until nothing is found. At most 5 s more.

    Returns the processes that are still there, which is none unless the kernel cannot end them.
    """
    send_signal(find(), signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and find():
        time.sleep(0.02)
    deadline = time.monotonic() + 5
    while (left := find()) and time.monotonic() < deadline:
        send_signal(left, signal.SIGKILL)
        time.sleep(0.02)
    return left


def variable(pid: int, name: str) -> str | None:
    """A variable of the environment with which a process was started; None when it has none, or nobody can tell."""
    for entry in _environment(pid):
        if entry.startswith(f"{name}=".encode()):
            return entry.partition(b"=")[2].decode(errors="replace")
    return None


def has_mark(pid: int, variable: str, value: str) -> bool:
    """Whether a process lives, and the environment with which it was started has variable=value."""
    return f"{variable}={value}".encode() in _environment(pid) and is_alive(pid)


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            return stream.read().split(b"\0")
    except OSError:
        return []


def _all_processes() -> t.Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def _stat_fields(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # The command name is in parentheses and may hold spaces and parentheses itself.
            return stream.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
