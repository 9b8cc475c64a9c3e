# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the stages of "make test": some at a time, each to its end, and counts what passed.

STAGES="units real" chooses stages by name or group, JOBS says how many run at a time, REAL_PROCESSES how many
processes share the tests of a folder of tests/real/, PYTEST_OPTIONS is passed on to them.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

# It is started by any Python, before there is an environment.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))

import environments
import stages
from stage import BYTECODE, Count, Run, Skip, Stage

HEARTBEAT = 60
LINES_OF_A_FAILURE = 300


class Progress:
    """The stages that wait, run and have ended, shared by the threads that run them."""

    def __init__(self, waiting: list[Stage]) -> None:
        self.started = time.monotonic()
        self.waiting = waiting
        self.running: dict[str, Run] = {}
        self.results: list[tuple[Stage, Count, float, str]] = []
        self.changed = threading.Condition()

    def say(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        print(f"[{minutes:2}:{seconds:02}] {text}", flush=True)

    def next(self) -> Run | None:
        """The next stage that may run beside those that are running; None when there is none left."""
        with self.changed:
            while self.waiting:
                busy = {run.stage.alone for run in self.running.values()} - {None}
                for stage in self.waiting:
                    if stage.alone not in busy:
                        self.waiting.remove(stage)
                        run = self.running[stage.name] = Run(stage)
                        self.say(f"{stage.name} ...")
                        return run
                self.changed.wait()
            return None

    def ended(self, run: Run, count: Count, reason: str) -> None:
        with self.changed:
            del self.running[run.stage.name]
            self.results.append((run.stage, count, run.seconds, reason))
            verdict = "FAILED" if count.failed else "skipped" if not count.passed else "ok"
            self.say(f"{run.stage.name} {verdict} in {run.seconds:.0f} s: {reason or count}")
            if count.failed:
                print(shortened(run.output()), flush=True)
                print(f"(all of it: {run.log})", flush=True)
            self.changed.notify_all()

    def work(self) -> None:
        while run := self.next():
            count, reason = execute(run)
            self.ended(run, count, reason)

    def report_now_and_then(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            with self.changed:
                for run in self.running.values():
                    self.say(f"{run.stage.name}: {run.seconds:.0f} s so far: {run.last_line()[:150]}")


def execute(run: Run) -> tuple[Count, str]:
    try:
        return run.stage.work(run), ""
    except Skip as reason:
        return Count(skipped=1), str(reason)
    except Exception as error:
        run.write(str(error) if isinstance(error, environments.EnvironmentFailure) else traceback.format_exc())
        return Count(failed=1), ""
    finally:
        run.clean_up()


def shortened(output: str) -> str:
    """A failure's output: pytest's from its failures on, any other's last lines."""
    failures = re.search(r"^=+ (FAILURES|ERRORS) =+$", output, re.MULTILINE)
    lines = (output[failures.start() :] if failures else output).splitlines()
    if len(lines) <= LINES_OF_A_FAILURE:
        return "\n".join(lines)
    half = LINES_OF_A_FAILURE // 2
    return "\n".join([*lines[:half], f"... {len(lines) - 2 * half} lines left out ...", *lines[-half:]])


def main() -> int:
    words = set(os.environ.get("STAGES", "").replace(",", " ").split())
    known = stages.all_stages()
    unknown = words - {word for stage in known for word in (stage.name, stage.group)}
    if unknown:
        names = sorted({stage.name for stage in known} | {stage.group for stage in known})
        print(f"no such stage: {' '.join(sorted(unknown))}; there are: {' '.join(names)}", file=sys.stderr)
        return 2
    # Of programs that earlier tests had in folders that are gone by now.
    temporary = pathlib.Path(tempfile.gettempdir()).resolve().relative_to("/")
    shutil.rmtree(BYTECODE / temporary, ignore_errors=True)
    progress = Progress([stage for stage in known if stage.chosen(words)])
    threading.Thread(target=progress.report_now_and_then, daemon=True).start()
    # One more than there are processors: some stages do little but wait.
    jobs = max(1, int(os.environ.get("JOBS") or (os.cpu_count() or 1) + 1))
    workers = [threading.Thread(target=progress.work) for number in range(jobs)]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        with progress.changed:
            progress.waiting.clear()
            for run in progress.running.values():
                run.kill()
        print("interrupted", file=sys.stderr)
        return 130
    print()
    total = Count()
    for stage, count, seconds, reason in progress.results:
        total += count
        print(f"{stage.name:18} {seconds:5.0f} s   {count}{'   ' + reason if reason else ''}")
    print(f"in {time.monotonic() - progress.started:.0f} s")
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
