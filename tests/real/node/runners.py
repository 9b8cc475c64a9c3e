# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A runner without a supervisor around it, in a process that adopts all that is started in it."""

from __future__ import annotations

import functools
import os
import signal
import time
import traceback
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders, _processes
from ansible_collections.lab.multidevice.plugins.module_utils._node._account import Account
from ansible_collections.lab.multidevice.plugins.module_utils._node._runner import Runner

from node.supervised import Message

SECONDS = 12
SKIPPED = "skipped: "
P = t.ParamSpec("P")


def in_a_process_of_its_own(test: t.Callable[P, None]) -> t.Callable[P, None]:
    """Runs a test in a fork of this process that is a subreaper, and ends what the test has left."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            _work(functools.partial(test, *args, **kwargs), writer)
        os.close(writer)
        with os.fdopen(reader) as stream:
            said = stream.read()
        _pid, status = os.waitpid(pid, 0)
        if said.startswith(SKIPPED):
            pytest.skip(said[len(SKIPPED) :])
        if said or status:
            pytest.fail(said or f"ended with status {status}", pytrace=False)

    return run


def _work(test: t.Callable[[], None], writer: int) -> t.NoReturn:
    with os.fdopen(writer, "w") as stream:
        try:
            _processes.become_subreaper()
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
            signal.signal(signal.SIGALRM, _take_too_long)
            signal.alarm(2 * SECONDS)
            try:
                test()
            finally:
                left = _processes.end_descendants(grace=0)
            assert not left, f"cannot be ended: {left}"
        except pytest.skip.Exception as skipped:
            stream.write(f"{SKIPPED}{skipped}")
        except BaseException:
            stream.write(traceback.format_exc())
        stream.flush()
        os._exit(0)


def _take_too_long(number: int, frame: t.Any) -> t.NoReturn:
    raise TimeoutError("the test takes too long")


class Node:
    """Drives a runner as the supervisor does, and keeps what it tells."""

    def __init__(self, folder: Path, *, account: Account | None = None) -> None:
        self.results = _folders.results(folder)
        self.tmp = _folders.tmp(folder)
        self.events: list[Message] = []
        environment = {"PATH": "/usr/bin:/bin", "A": "all", "B": "all", "HOME": "/"}
        self.runner = Runner(folder, environment, self._tell, account)

    def _tell(self, event: str, **data: t.Any) -> None:
        self.events.append({"event": event, **data})

    def until(self, holds: t.Callable[[], object], seconds: float = SECONDS) -> None:
        """Go on until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"{self.events}\n{self.runner.status()}"
            pause = self.runner.pause()
            signal.sigtimedwait([signal.SIGCHLD], 0.03 if pause is None else min(pause, 0.03))
            self.runner.step()

    def run(self, *plans: Message, phase: str = "test") -> Message:
        """Run a phase; how it ends."""
        assert self.runner.start(phase, list(plans), armed=False)
        return self.end_of(phase)

    def end_of(self, phase: str) -> Message:
        self.until(lambda: self.told("phase", phase=phase))
        return self.told("phase", phase=phase)[0]

    def stop(self, grace: float = 5.0) -> None:
        """End everything, like the supervisor."""
        self.runner.stop(grace)
        self.until(self.runner.is_idle)

    def told(self, event: str, **having: t.Any) -> list[Message]:
        """The events of that name that have these values."""
        return [told for told in self.events if told["event"] == event and having.items() <= told.items()]

    def told_of(self, script: str) -> list[Message]:
        """The events on a script."""
        return [told for told in self.told("script") if told["script"]["id"] == script]

    def record(self, script: str) -> Message:
        """What is known of a script now."""
        return next(record for record in self.runner.status()["scripts"] if record["id"] == script)

    def says(self, script: str) -> str:
        """What a script has written so far."""
        try:
            return (self.results / script / "stdout").read_text()
        except FileNotFoundError:
            return ""

    def pid(self, script: str) -> int:
        """The process id that a script has said, alone in a line."""
        self.until(lambda: self.says(script).endswith("\n"))
        return int(self.says(script).split()[-1])

    def give(self, script: str, name: str) -> None:
        """Make a file in a script's folder, which it waits for."""
        (self.results / script / name).touch()


def wait_for(name: str) -> str:
    """Lines of a script that wait for a file."""
    return f"until [ -e {name} ]; do sleep 0.02; done"
