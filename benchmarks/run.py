# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the benchmarks against a private Redis and writes benchmarks/results.json.

python benchmarks/run.py [NAME…]    only these; the others' results stay
"""

from __future__ import annotations

import concurrent.futures
import datetime
import importlib
import json
import multiprocessing
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
RESULTS = HERE / "results.json"
PAGE = REPOSITORY / "docs" / "performance.md"
MARKS = ("<!-- numbers: written by benchmarks/run.py -->", "<!-- end of the numbers -->")
NAMES = ("barrier_release", "state_updates", "split_and_register", "controller_cost", "node_scripts", "queues")

# ansible_collections.lab.multidevice, and the servers and plans of the tests. The processes that it starts inherit this.
for folder in (REPOSITORY / "playbooks" / "collections", REPOSITORY / "tests" / "real"):
    sys.path.insert(0, str(folder))

from ansible_collections.lab.multidevice.benchmarks import tables


def main() -> None:
    wanted = sys.argv[1:] or NAMES
    unknown = set(wanted) - set(NAMES)
    if unknown:
        sys.exit(f"there is no benchmark {', '.join(sorted(unknown))}; right would be any of {', '.join(NAMES)}")
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, most) if most > 0 else 8192, most))
    results: dict[str, t.Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results["machine"] = machine()
    for name in NAMES:
        if name in wanted:
            print(f"{name}:", flush=True)
            # Each in a process of its own, so that none finds what another has left in memory.
            with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                results[name], lines = process.submit(run_one, name).result()
            for line in lines:
                print(f"  {line}", flush=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    write_page(results)
    print(f"written to {RESULTS.relative_to(REPOSITORY)} and {PAGE.relative_to(REPOSITORY)}")


def run_one(name: str) -> tuple[dict[str, t.Any], list[str]]:
    begin = time.monotonic()
    benchmark = importlib.import_module(f"ansible_collections.lab.multidevice.benchmarks.{name}")
    result = benchmark.run()
    result["seconds"] = round(time.monotonic() - begin, 1)
    return result, list(benchmark.lines(result))


def write_page(results: dict[str, t.Any]) -> None:
    """Put the numbers between the marks in the page about them."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    _old, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        sys.exit(f"{PAGE.relative_to(REPOSITORY)} has no place for the numbers: the marks are not there")
    PAGE.write_text(before + begin + "\n\n" + tables.make(results) + "\n" + end + after, encoding="utf-8")


def machine() -> dict[str, t.Any]:
    import redis

    from support.redis_server import binaries

    model = next(
        (line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if "model name" in line),
        platform.machine(),
    )
    ansible = subprocess.run(["ansible-playbook", "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "cpu": model,
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "ansible": ansible.split("\n", 1)[0],
        "redis": max(binaries()),
        "redis-py": redis.__version__,
    }


if __name__ == "__main__":
    main()
