# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plants faults in the files that hold the guarantees, one at a time, and tells which of them no test noticed.

FILES="changes.py arrive.lua" chooses files by the end of their names, MUTANTS is how many faults a file gets (40),
SINCE=main plants them only in lines that have changed since a commit, JOBS is how many tests run at a time (one for each
processor). What is planted is always the same, as long as the lines are.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import dataclasses
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

import redis

import environments
from environments import REPOSITORY
from mutants.faults import Mutant, faults_of, mutant_of
from mutants.table import FAULTS_OF_LUA, TESTS
from mutants.trees import Baseline, BrokenTests, Tree

TARGET = 0.9
EQUIVALENT = pathlib.Path(__file__).with_name("equivalent.toml")
# So many of the tests that noticed something are run before all others.
REMEMBERED = 12


@dataclasses.dataclass
class Result:
    name: str
    planted: int = 0
    survived: list[Mutant] = dataclasses.field(default_factory=list)
    noticing: list[str] = dataclasses.field(default_factory=list)

    @property
    def score(self) -> float:
        return (self.planted - len(self.survived)) / self.planted if self.planted else 1.0

    def __str__(self) -> str:
        noticed = self.planted - len(self.survived)
        counts = f"{self.planted} planted, {noticed} noticed, {len(self.survived)} survived, {self.score:.0%}"
        lines = [f"{self.name}: {counts}"]
        lines += [f"  {self.name}:{mutant}" for mutant in sorted(self.survived, key=lambda mutant: mutant.line)]
        return "\n".join(lines)


class LuaCompiler:
    """A Redis that says whether it would load a script."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mutants-")
        socket = f"{self._folder.name}/redis"
        command = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", self._folder.name]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._client = redis.Redis(unix_socket_path=socket)
        deadline = time.monotonic() + 20
        while True:
            try:
                self._client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.05)

    def compiles(self, text: str) -> bool:
        try:
            self._client.script_load(text)
        except redis.ResponseError:
            return False
        return True

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def chosen_files() -> list[str]:
    words = os.environ.get("FILES", "").split()
    unknown = [word for word in words if not any(name.endswith(word) for name in TESTS)]
    if unknown:
        raise SystemExit(f"no file of tools/mutants/table.py ends with {' or '.join(unknown)}")
    return [name for name in TESTS if not words or any(name.endswith(word) for word in words)]


def changed_lines(name: str, since: str) -> set[int]:
    """The lines of a file that are new or different since a commit."""
    command = ["git", "diff", "--unified=0", since, "--", name]
    answer = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    lines: set[int] = set()
    for start, count in re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", answer.stdout, re.MULTILINE):
        lines |= set(range(int(start), int(start) + int(count or 1)))
    return lines


def known_equivalents() -> list[dict[str, str]]:
    entries: list[dict[str, str]] = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])
    return entries


def report_strangers() -> None:
    for name in sorted({entry["file"] for entry in known_equivalents()} - set(TESTS)):
        print(f"{EQUIVALENT.name}: {name} is not in the table", flush=True)


def equivalents(name: str) -> set[tuple[str, str]]:
    """The line as it is and as it would be, of those that are known; reports what is out of date."""
    known = set()
    lines = {line.strip() for line in (REPOSITORY / name).read_text(encoding="utf-8").splitlines()}
    for entry in known_equivalents():
        if entry["file"] == name:
            known.add((entry["line"].strip(), entry["mutated"].strip()))
            if entry["line"].strip() not in lines:
                print(f"{EQUIVALENT.name}: {name} has no such line any more: {entry['line'].strip()}", flush=True)
    return known


def choose(name: str, number: int, since: str, compiles: c.Callable[[str], bool]) -> list[Mutant]:
    """The mutants of a file that are planted."""
    source = (REPOSITORY / name).read_text(encoding="utf-8")
    lines = changed_lines(name, since) if since else None
    known = equivalents(name)
    mutants: list[Mutant] = []
    for fault in faults_of(name, source):
        if len(mutants) == number:
            break
        if lines is not None and fault.line not in lines:
            continue
        mutant = mutant_of(source, fault, compiles)
        if mutant and (mutant.before, mutant.after) not in known:
            mutants.append(mutant)
    return mutants


class Run:
    """The trees, and what was found out about the tests that run in them."""

    def __init__(self, jobs: int) -> None:
        environment = environments.core(environments.available_cores()[-1])
        self.trees: queue.Queue[Tree] = queue.Queue()
        self.all_trees = [Tree(environment) for number in range(jobs)]
        for tree in self.all_trees:
            self.trees.put(tree)
        self.baselines: dict[tuple[str, ...], Baseline] = {}
        self.lock = threading.Lock()
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        for tree in self.all_trees:
            tree.remove()
        self.pool.shutdown()

    def tests(self, name: str) -> list[str]:
        tests = self.all_trees[0].tests(TESTS[name])
        if not tests:
            raise BrokenTests(f"{name}: there is no test of {' '.join(TESTS[name])}")
        return tests

    def measure(self, tests: list[str]) -> Baseline:
        if tuple(tests) not in self.baselines:
            baseline = self.baselines[tuple(tests)] = self.all_trees[0].measure(tests)
            print(f"{len(baseline.of_tests)} tests in {baseline.seconds:.0f} s: {' '.join(tests)}", flush=True)
        return self.baselines[tuple(tests)]

    def plant(self, name: str, mutants: list[Mutant]) -> Result:
        result = Result(name)
        tests = self.tests(name)
        baseline = self.measure(tests)
        futures = [self.pool.submit(self.plant_one, result, tests, baseline, mutant) for mutant in mutants]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        finally:
            for future in futures:
                future.cancel()
        return result

    def plant_one(self, result: Result, tests: list[str], baseline: Baseline, mutant: Mutant) -> None:
        tree = self.trees.get()
        started = time.monotonic()
        try:
            with self.lock:
                first = result.noticing[:REMEMBERED]
            with tree.planted(result.name, mutant):
                noticed = tree.notice(tests, baseline, first)
        finally:
            self.trees.put(tree)
        with self.lock:
            result.planted += 1
            if noticed is None:
                result.survived.append(mutant)
            elif "::" in noticed:
                result.noticing = [noticed, *(test for test in result.noticing if test != noticed)]
            seconds = time.monotonic() - started
            file, _, test = (noticed or "SURVIVED").partition("::")
            short = pathlib.Path(file).name + (f"::{test.partition('[')[0]}" if test else "")
            print(f"  {result.name}:{mutant}   ({short}, {seconds:.0f} s)", flush=True)


def main() -> int:
    number = int(os.environ.get("MUTANTS") or 40)
    since = os.environ.get("SINCE", "")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report_strangers()
    compiler = LuaCompiler()
    results: list[Result] = []
    broken: list[str] = []
    run = Run(int(os.environ.get("JOBS") or os.cpu_count() or 1))
    try:
        for name in chosen_files():
            is_one_of_many = name.endswith(".lua") and not os.environ.get("FILES")
            most = min(number, FAULTS_OF_LUA) if is_one_of_many else number
            mutants = choose(name, most, since, compiler.compiles)
            if not mutants:
                continue
            print(f"{name}: {len(mutants)} mutants", flush=True)
            try:
                results.append(run.plant(name, mutants))
            except BrokenTests as reason:
                broken.append(f"{name}: {reason}")
                print(broken[-1], flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        run.close()
        compiler.close()
    print()
    for result in results:
        print(result)
    for text in broken:
        print(text.splitlines()[0])
    planted = sum(result.planted for result in results)
    survived = sum(len(result.survived) for result in results)
    print(f"{planted} planted, {planted - survived} noticed, {survived} survived")
    low = [result.name for result in results if result.score < TARGET]
    if low:
        print(f"under {TARGET:.0%}: {' '.join(low)}")
    return 1 if low or broken else 0


if __name__ == "__main__":
    sys.exit(main())
