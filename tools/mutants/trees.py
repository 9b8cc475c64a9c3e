# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the collection in which faults are planted, and the tests that run in them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
import typing as t

import apart
from copies import Copy
from environments import Environment
from mutants.faults import Mutant

BASELINE_SECONDS = 1200
LUA_MODULE = "plugins/module_utils/_coordination/_lua.py"
# pytest's exit codes: a test failed; or what the tests import could not be imported.
PASSED, FAILED, INTERRUPTED, USAGE = 0, 1, 2, 4
NOT_IMPORTED = "ImportError while loading conftest"


class BrokenTests(Exception):
    """The tests fail without a fault, or could not be run."""


@dataclasses.dataclass(frozen=True)
class Baseline:
    """The tests of a file without a fault."""

    seconds: float
    of_tests: dict[str, float]

    @property
    def limit(self) -> float:
        """For all tests. What is started on a busy machine may take a few times as long."""
        return 60 + 4 * self.seconds

    @property
    def limit_of_test(self) -> float:
        return 20 + 4 * max(self.of_tests.values(), default=0)


class Tree(Copy):
    """A copy in which one fault at a time is planted."""

    def __init__(self, environment: Environment) -> None:
        super().__init__()
        self.environment = environment
        self._planted = 0
        self._process: subprocess.Popen[bytes] | None = None

    def remove(self) -> None:
        if self._process is not None:
            apart.kill(self._process)
        super().remove()

    @contextlib.contextmanager
    def planted(self, name: str, mutant: Mutant) -> t.Iterator[None]:
        # What is in lua/ reaches the tests by the module that is written from it.
        names = [name, LUA_MODULE] if name.endswith(".lua") else [name]
        before = {self.root / name: (self.root / name).read_text(encoding="utf-8") for name in names}
        (self.root / name).write_text(mutant.text, encoding="utf-8")
        if LUA_MODULE in names:
            subprocess.run([sys.executable, "tools/lua.py"], cwd=self.root, check=True, stdout=subprocess.DEVNULL)
        # By its second and its size Python knows whether what it has compiled is still the same.
        self._planted += 1
        for path in before:
            os.utime(path, (self._planted, self._planted))
        try:
            yield
        finally:
            for path, text in before.items():
                path.write_text(text, encoding="utf-8")

    def measure(self, tests: list[str]) -> Baseline:
        started = time.monotonic()
        code, output, notes = self.pytest(tests, BASELINE_SECONDS, [])
        if code != PASSED:
            raise BrokenTests(f"without a fault, pytest {' '.join(tests)} ended with {code}:\n{output[-6000:]}")
        return Baseline(time.monotonic() - started, notes["seconds"])

    def notice(self, tests: list[str], baseline: Baseline, first: list[str]) -> str | None:
        """What notices the fault that is planted: a test, or the time; None if nothing does."""
        hint = {"first": first, "seconds": baseline.of_tests}
        limit = ["--exitfirst", f"--timeout={baseline.limit_of_test:.0f}"]
        code, output, notes = self.pytest([*limit, *tests], baseline.limit, hint)
        if code is None:
            return "timed out"
        if code == PASSED:
            return None
        if code in (FAILED, INTERRUPTED) or (code == USAGE and NOT_IMPORTED in output):
            return str(next(iter(notes.get("failed", [])), "not imported"))
        raise BrokenTests(f"pytest {' '.join(tests)} ended with {code}:\n{output[-6000:]}")

    def pytest(self, words: list[str], limit: float, hint: t.Any) -> tuple[int | None, str, dict[str, t.Any]]:
        """Its exit code, or None when it was killed; its output; and what its plugin noted."""
        path = self.base / "notes.json"
        path.write_text(json.dumps(hint or {}), encoding="utf-8")
        log = self.base / "log"
        python = str(self.environment.bin / "python")
        options = ["--color=no", "-q", "--tb=short", "-p", "mutants.pytest_order", f"--basetemp={self.base / 't'}"]
        # The same examples each time: whether a fault is noticed is no matter of luck.
        options += ["--hypothesis-seed=0"]
        variables = {**self.environment.variables(), **self.variables(), "MUTANTS_NOTES": str(path)}
        # By itself it takes as long as all other tests of the coordination together, three times over.
        variables["MULTIDEVICE_STATE_MACHINE_STEPS"] = "200"
        variables["PYTHONPATH"] += f"{os.pathsep}{self.root / 'tools'}"
        with open(log, "wb") as file:
            process = self._process = subprocess.Popen(
                apart.command([python, "-m", "pytest", *options, *words]),
                cwd=self.root,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                apart.kill(process)
        notes = json.loads(path.read_text(encoding="utf-8")) if code is not None else {}
        return code, log.read_text(encoding="utf-8", errors="replace"), notes
