# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The record of a virtual lab that is up: where it is kept, whether it still holds, how to enter a machine."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import tempfile
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.settings import LabSettings

STATE_FILE = "state.json"
MACHINE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STREAM_MARK = "VIRTUAL_LAB_STREAM"


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    start_time: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Process:
        start_time = _start_time(pid)
        if start_time is None:
            raise NodeError(f"process {pid} of the virtual lab has ended while the lab came up")
        return cls(pid, start_time, _boot_id())

    def alive(self) -> bool:
        return self.boot == _boot_id() and _start_time(self.pid) == self.start_time

    def ended(self, *, within: float) -> bool:
        """Wait for the end of the process."""
        return self._with_descriptor(lambda descriptor: _poll(descriptor, within))

    def kill(self, *, within: float) -> bool:
        """End the process; False if it has not ended in time."""

        def kill_and_wait(descriptor: int) -> bool:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            return _poll(descriptor, within)

        return self._with_descriptor(kill_and_wait)

    def _with_descriptor(self, action: t.Callable[[int], bool]) -> bool:
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            # Only now is it certain that the pid cannot pass to another process.
            return action(descriptor) if self.alive() else True
        finally:
            os.close(descriptor)

    def as_list(self) -> list[t.Any]:
        return [self.pid, self.start_time, self.boot]


def _poll(descriptor: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _start_time(pid: int) -> int | None:
    """In clock ticks since boot; None for a process that has ended, zombies included."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name in brackets may hold spaces and brackets itself.
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


@dataclass(frozen=True)
class LabState:
    """A lab that has been brought up; whether it still is, only alive() tells."""

    folder: str
    settings: LabSettings
    user_namespace: bool
    switch: Process
    machines: dict[str, Process]

    @property
    def file(self) -> str:
        return os.path.join(self.folder, STATE_FILE)

    def alive(self) -> bool:
        return self.switch.alive()

    def missing(self) -> list[str]:
        return [name for name, process in self.machines.items() if not process.alive()]

    def cut_mark(self, node: str) -> str:
        """A file that says that the node's management link is cut."""
        return os.path.join(self.folder, "cut", node)

    def reachable(self, node: str) -> bool:
        return self.machines[node].alive() and not os.path.exists(self.cut_mark(node))

    def enter(self, process: Process, *, namespaces: t.Sequence[str]) -> list[str]:
        """The beginning of a command line that runs the rest inside a process's namespaces."""
        command = ["nsenter", f"--target={process.pid}", *(f"--{namespace}" for namespace in namespaces)]
        if self.user_namespace:
            command += ["--user", "--preserve-credentials"]
        return [*command, "--"]

    def machine_command(self, node: str, argv: t.Sequence[str], *, stream: bool = False) -> list[str]:
        """The command line that runs argv on a node as a login of its root user would: nothing of the caller's
        environment, in the home folder."""
        process = self.machines.get(node)
        if process is None:
            raise NodeError(f"the virtual lab {self.settings.name} has no node {node!r}")
        environment = {
            "HOME": "/root",
            "USER": "root",
            "LOGNAME": "root",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "PATH": MACHINE_PATH,
        }
        own_session = []
        if stream:
            environment[STREAM_MARK] = "1"
            # Its own session is what tests stop to cut it. nsenter must not be the parent of what is stopped: it would stop
            # itself, and with it the end of the lab, which waits until nsenter has collected its child.
            own_session = ["setsid", "--fork", "--wait"]
        return [
            *self.enter(process, namespaces=("mount", "uts", "ipc", "net", "pid")),
            *("env", "--ignore-environment", "--chdir=/root"),
            *(f"{name}={value}" for name, value in environment.items()),
            *own_session,
            *argv,
        ]

    def write(self) -> None:
        data = {
            "settings": self.settings.as_dict(),
            "user_namespace": self.user_namespace,
            "switch": self.switch.as_list(),
            "machines": {name: process.as_list() for name, process in self.machines.items()},
        }
        temporary = f"{self.file}.new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
        os.replace(temporary, self.file)

    @classmethod
    def read(cls, path: str) -> LabState | None:
        try:
            with open(path, encoding="utf-8") as file:
                data = json.load(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"the virtual lab's state {path} cannot be read: {error}") from error
        try:
            return cls(
                folder=os.path.dirname(path),
                settings=LabSettings.from_dict(data["settings"]),
                user_namespace=data["user_namespace"],
                switch=Process(*data["switch"]),
                machines={name: Process(*process) for name, process in data["machines"].items()},
            )
        except (KeyError, TypeError) as error:
            raise InputError(
                f"the virtual lab's state {path} was written by another version of this collection"
            ) from error


def state_homes() -> list[str]:
    """Folders that may hold this user's labs, the preferred one first."""
    homes = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_ours(runtime):
        homes.append(os.path.join(runtime, "lab.multidevice"))
    # /tmp as well, for a lab that came up before TMPDIR was set.
    homes += [os.path.join(folder, f"lab.multidevice-{os.geteuid()}") for folder in (tempfile.gettempdir(), "/tmp")]
    return list(dict.fromkeys(homes))


def find_lab(name: str) -> LabState | None:
    """The lab of that name, wherever an earlier session of this user has recorded it; a living one wins."""
    found = []
    for home in state_homes():
        if _is_ours(home):
            state = LabState.read(os.path.join(home, name, STATE_FILE))
            if state is not None:
                found.append(state)
    return next((state for state in found if state.alive()), found[0] if found else None)


def live_labs() -> list[LabState]:
    """All labs of this user that are up, but for those of another version of this collection."""
    homes = [home for home in state_homes() if _is_ours(home)]
    labs = []
    for name in sorted({name for home in homes for name in os.listdir(home)}):
        with contextlib.suppress(InputError):
            lab = find_lab(name)
            if lab is not None and lab.alive():
                labs.append(lab)
    return labs


def make_state_home() -> str:
    home = state_homes()[0]
    os.makedirs(home, mode=0o700, exist_ok=True)
    if not _is_ours(home):
        raise InputError(
            f"{home} belongs to somebody else or is open to others: set XDG_RUNTIME_DIR to a folder of your own"
        )
    return home


def _is_ours(folder: str) -> bool:
    """Others could otherwise make us signal or enter processes of their choice."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
