# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-playbook as somebody types it: what it prints, what it writes, what it leaves on the controller."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from contextlib import suppress
from pathlib import Path

from support.repository import REPOSITORY
from support.waiting import wait_until

PROGRAM = Path(sys.executable).parent / "ansible-playbook"
MARK = "MULTIDEVICE_TEST"
KEPT = ("PATH", "PYENV_ROOT", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")

_numbers = itertools.count(1)


def user_environment(home: Path, mark: str) -> dict[str, str]:
    """What an ordinary login has, and a mark that everything started from it inherits."""
    kept = {key: value for key, value in os.environ.items() if key in KEPT or key.startswith("PIP_")}
    return {**kept, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", MARK: mark}


def new_mark() -> str:
    return f"{os.getpid()}-{next(_numbers)}"


def marked_processes(mark: str) -> dict[int, str]:
    """The command lines of the processes that were started from an environment with this mark, by pid.

    The connections that ssh keeps open for Ansible's later tasks are Ansible's and its user's.
    """
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path("/proc", entry, "environ").read_bytes()
            command = Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environment.split(b"\0") and not command.endswith("[mux]"):
            found[int(entry)] = command
    return found


class Play:
    """One ansible-playbook process, in a process group of its own like a command that is typed into a shell."""

    def __init__(
        self, folder: Path, *arguments: str | Path, cwd: Path, variables: t.Mapping[str, t.Any], **environment: str
    ) -> None:
        """:param variables: extra ones, which outrank all others; those that are None are not set."""
        # A unix socket's path can have 107 characters, pytest's folders are often too deep.
        self.home = Path(tempfile.mkdtemp(prefix="md-play-", dir="/tmp"))
        self.mark = new_mark()
        self.results = folder / f"results-{self.mark}"
        self.log = folder / f"output-{self.mark}"
        self.variables = variables
        given = {"multidevice_results_dir": str(self.results), **variables}
        extra = json.dumps({name: value for name, value in given.items() if value is not None})
        self.started = time.time()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, *arguments, "-e", extra],
                cwd=cwd,
                env={
                    **user_environment(self.home, self.mark),
                    "ANSIBLE_NOCOLOR": "1",
                    "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
                    "ANSIBLE_LOCALHOST_WARNING": "False",
                    "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, seconds: float = 180) -> int:
        """Its exit code."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"ansible-playbook has not ended after {seconds:g} s:\n{self.output}") from None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def submission(self) -> Path:
        """The result folder of the one submission."""
        folders = list(self.results.iterdir()) if self.results.exists() else []
        assert len(folders) == 1, self.output
        return folders[0]

    @property
    def summary(self) -> dict[str, t.Any]:
        path = self.submission / "summary.json"
        assert path.exists(), self.output
        summary: dict[str, t.Any] = json.loads(path.read_text())
        return summary

    def interrupt(self, presses: int = 3, seconds: float = 8) -> float:
        """Ctrl-C, until it has ended: the terminal sends the signal to every process of the group.

        Python forgets an interrupt that comes in the middle of a fork, as Ansible makes one for each task; somebody at the
        terminal presses again.

        :returns: the moment of the last press, by the monotonic clock.
        """
        for _press in range(presses):
            pressed = time.monotonic()
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(seconds)
                return pressed
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError(f"ansible-playbook has not ended after Ctrl-C was pressed {presses} times:\n{self.output}")

    def kill(self) -> None:
        """As the kernel does when memory runs out: one process, without a chance to say a word."""
        self.process.kill()

    def left_behind(self) -> list[str]:
        """What is still there on the controller: processes, and folders of the relay."""
        folders = self.home.glob("multidevice-controller-*/*-*")
        return [*marked_processes(self.mark).values(), *(str(folder) for folder in folders)]

    def end(self) -> None:
        """Whatever has become of the test: no process and no folder stays."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)
        with suppress(AssertionError):
            wait_until("its processes have ended", lambda: not marked_processes(self.mark), 20)
        for pid in marked_processes(self.mark):
            os.kill(pid, signal.SIGKILL)
        # A playbook that brings a lab up, and fails before it takes it down.
        for lab in self.home.glob("lab.multidevice-*/*/state.json"):
            variables = json.dumps({"virtual_lab_name": lab.parent.name, "virtual_lab_dir": str(self.home)})
            command = [str(PROGRAM), "lab_down.yml", "-e", variables]
            environment = user_environment(self.home, self.mark)
            subprocess.run(
                command, cwd=REPOSITORY / "playbooks", env=environment, timeout=60, check=True, capture_output=True
            )
        shutil.rmtree(self.home)
