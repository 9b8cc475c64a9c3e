# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stage of "make test": one checker or one set of tests, its process, its log and what it counted."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from xml.etree import ElementTree

from environments import CACHE, REPOSITORY, Environment

LOGS = CACHE / "logs"
# An environment is compiled where it is used, and each of hundreds of relays is a new copy of the collection's files.
BYTECODE = CACHE / "bytecode"
KEEP_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BYTECODE)}


@dataclasses.dataclass(frozen=True)
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Skip(Exception):
    """The stage cannot run here; the text says why."""


@dataclasses.dataclass
class Stage:
    name: str
    group: str
    work: c.Callable[[Run], Count]
    # Stages with the same word here never run at the same time.
    alone: str | None = None
    minutes: float = 20

    def chosen(self, words: c.Collection[str]) -> bool:
        return not words or self.name in words or self.group in words


class Run:
    """One run of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.log = LOGS / f"{stage.name}.log"
        self.started = time.monotonic()
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = threading.Event()
        self._folder: pathlib.Path | None = None
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def folder(self) -> pathlib.Path:
        """A folder of this run's own, removed at its end."""
        if self._folder is None:
            self._folder = pathlib.Path(tempfile.mkdtemp(prefix="multidevice-"))
        return self._folder

    def clean_up(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, text: str) -> None:
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(text.rstrip("\n") + "\n")

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def last_line(self) -> str:
        lines = [line.strip() for line in self.output()[-4000:].splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def tree(self) -> pathlib.Path:
        """A copy of the collection as git sees it, where ansible-test wants to find a collection."""
        root = self.folder / "ansible_collections" / "lab" / "multidevice"
        if not root.exists():
            for name in tracked_files():
                target = root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, target, follow_symlinks=False)
            for command in (["init", "--quiet"], ["add", "--all"]):
                subprocess.run(["git", *command], cwd=root, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        return root

    def call(
        self,
        environment: Environment,
        command: c.Sequence[str | os.PathLike[str]],
        folder: pathlib.Path,
        **variables: str,
    ) -> int:
        """Runs a command to its end, its output in the log; after the stage's time the command is killed."""
        self.write(f"$ {' '.join(str(word) for word in command)}")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment.variables(), **KEEP_BYTECODE, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return self.process.wait(max(1.0, self.stage.minutes * 60 - self.seconds))
            except subprocess.TimeoutExpired:
                self.kill()
                self.write(f"killed: not done after {self.stage.minutes:g} minutes")
                return 124
            finally:
                self.process = None

    def kill(self) -> None:
        process = self.process
        if process is None:
            return
        # pytest cleans up after an interrupt, and after nothing else.
        for number, seconds in ((signal.SIGINT, 60), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(process.pid, number)
                process.wait(seconds)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def check(
        self,
        environment: Environment,
        command: c.Sequence[str | os.PathLike[str]],
        folder: pathlib.Path,
        **variables: str,
    ) -> Count:
        """A command that counts as one test."""
        return Count(failed=1) if self.call(environment, command, folder, **variables) else Count(passed=1)


def tracked_files() -> list[str]:
    """The files that are committed or would be: neither what is ignored nor the collection's link to itself."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    answer = subprocess.run(
        command, cwd=REPOSITORY, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    names = sorted(set(answer.stdout.split("\0")) - {""})
    return [
        name for name in names if not name.startswith("playbooks/collections/") and os.path.lexists(REPOSITORY / name)
    ]


def count_junit(reports: c.Iterable[pathlib.Path], exit_code: int) -> Count:
    """What the reports count; a command that failed without a failure in its reports counts as one."""
    total = Count()
    for report in reports:
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            tests, failures, errors, skipped = (
                int(suite.get(name) or 0) for name in ("tests", "failures", "errors", "skipped")
            )
            total += Count(tests - failures - errors - skipped, failures + errors, skipped)
    if exit_code and not total.failed:
        total += Count(failed=1)
    return total
