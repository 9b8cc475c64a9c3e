# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tests that depend on time over and over on a machine under load, and tells which runs failed.

RUNS is how many (20), TESTS what each of them runs, COPIES how many run at a time (3), BURNERS how many processes keep a
processor busy beside them (3): together a load of about 6. Each run has its own copy of the files, and its own network,
processes, /run and /etc. The output of those that fail is kept in .cache/loaded/.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t

import apart
import environments
from copies import Copy

LOGS = environments.CACHE / "loaded"
TESTS = "tests/real/coordination tests/real/workers tests/real/node"
# Three at a time beside burners have less than a third of a processor each.
MINUTES_OF_A_RUN = 90
BURNER = [sys.executable, "-c", "while True: pass"]


@contextlib.contextmanager
def burners(number: int) -> t.Iterator[None]:
    processes = [subprocess.Popen(BURNER, stdin=subprocess.DEVNULL, start_new_session=True) for one in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Runs:
    def __init__(self, copies: int, tests: list[str]) -> None:
        self.environment = environments.core(environments.available_cores()[-1])
        self.tests = tests
        self.copies = [Copy() for one in range(copies)]
        self.free: queue.Queue[Copy] = queue.Queue()
        for copy in self.copies:
            self.free.put(copy)
        self.stopping = threading.Event()
        self.running: set[subprocess.Popen[bytes]] = set()

    def run(self, number: int) -> bool:
        """Whether it passed."""
        if self.stopping.is_set():
            return False
        copy = self.free.get()
        log = LOGS / f"run-{number}.log"
        started = time.monotonic()
        try:
            code = self.pytest(copy, log)
        finally:
            self.free.put(copy)
        if self.stopping.is_set():
            return False
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1].strip("= ") if lines else ""
        load = os.getloadavg()[0]
        verdict = "passed" if code == 0 else "not done in time" if code is None else "FAILED"
        minutes = (time.monotonic() - started) / 60
        print(f"run {number} {verdict} after {minutes:.0f} minutes, load {load:.1f}: {last}", flush=True)
        if code == 0:
            log.unlink()
        else:
            print(
                *(f"  {line}" for line in lines if line.startswith(("FAILED", "ERROR"))),
                f"  (all of it: {log})",
                sep="\n",
            )
        return code == 0

    def pytest(self, copy: Copy, log: os.PathLike[str]) -> int | None:
        words = [str(self.environment.bin / "python"), "-m", "pytest", "--color=no", f"--basetemp={copy.base / 't'}"]
        with open(log, "wb") as file:
            process = subprocess.Popen(
                apart.command([*words, *self.tests]),
                cwd=copy.root,
                env={**self.environment.variables(), **copy.variables()},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.running.add(process)
            try:
                return process.wait(MINUTES_OF_A_RUN * 60)
            except subprocess.TimeoutExpired:
                return None
            finally:
                apart.kill(process)
                self.running.discard(process)

    def stop(self) -> None:
        self.stopping.set()
        for process in list(self.running):
            apart.kill(process)

    def remove(self) -> None:
        for copy in self.copies:
            copy.remove()


def main() -> int:
    number = int(os.environ.get("RUNS") or 20)
    copies = int(os.environ.get("COPIES") or 3)
    tests = shlex.split(os.environ.get("TESTS") or TESTS)
    if os.geteuid() != 0:
        print("Only root can keep runs apart that go on at the same time.", file=sys.stderr)
        return 2
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs = Runs(copies, tests)
    passed = failed = 0
    with burners(int(os.environ.get("BURNERS") or 3)), concurrent.futures.ThreadPoolExecutor(copies) as pool:
        try:
            for future in concurrent.futures.as_completed([pool.submit(runs.run, one + 1) for one in range(number)]):
                passed += future.result()
                failed += not future.result()
        except BaseException:
            runs.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            runs.remove()
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
