# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts on machines of a virtual lab: how far apart tests start, how soon a failure stops all, what watching costs."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
import time
import typing as t

from support.lab_fixture import Lab, virtual_lab

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
NODES = (2, 5, 20)
WATCHED_SECONDS = 30

JOB = "cluster: {cluster}\nif role server:\n  work:\nif role client:\n  work:\n"
# One machine fails, every second of the others does not heed TERM.
FAILS = """#!/bin/sh
case $(hostname) in
    server-1) sleep 3; exit 3 ;;
    *[02468]) trap '' TERM ;;
esac
sleep 600 & sleep 600
wait
"""
SLEEPS = f"#!/bin/sh\nexec sleep {WATCHED_SECONDS + 15}\n"


def run() -> dict[str, t.Any]:
    if os.geteuid() != 0:
        return {"skipped": "the machines of a virtual lab are looked into by root only"}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        started_and_stopped = {str(nodes): start_and_abort(folder, nodes) for nodes in NODES}
        return {"nodes": started_and_stopped, "watching": watch(folder)}


def lines(result: dict[str, t.Any]) -> t.Iterator[str]:
    if "skipped" in result:
        yield result["skipped"]
        return
    for nodes, one in result["nodes"].items():
        yield (
            f"{nodes} nodes: first tests started within {one['start_skew_ms']} ms; after a failure the last script has "
            f"ended in {one['stopped_ms']} ms, in {one['killed_ms']} ms where it does not heed TERM"
        )
    yield f"watching takes {result['watching']['cpu_ms_per_minute']} ms of a node's CPU per minute"


def start_and_abort(folder: pathlib.Path, nodes: int) -> dict[str, t.Any]:
    roles = {"server-1": ["server"], **{f"client-{number}": ["client"] for number in range(1, nodes)}}
    with virtual_lab(folder, roles) as lab:
        results = folder / f"results-{nodes}"
        with Play(folder, lab, results, FAILS, forks=nodes) as process:
            process.wait()
    events = [json.loads(line) for line in next(results.glob("*/runs/1/events.jsonl")).read_text().splitlines()]
    skew = next(event["data"] for event in events if event["what"] == "start_skew")
    ends = {
        event["node"]: event["data"]["script"]
        for event in events
        if event["what"] == "script" and event["data"]["script"]["state"] == "ended"
    }
    failed = ends.pop("server-1")["finished"]
    stopped = {event["node"]: event["data"]["at"] for event in events if event["what"] == "stopped"}
    heeded = [stopped[node] - failed for node, script in ends.items() if script["exit_code"] == -15]
    ignored = [stopped[node] - failed for node, script in ends.items() if script["exit_code"] == -9]
    return {
        "start_skew_ms": round(skew["seconds"] * 1000, 1),
        "error_ms": round(skew["error"] * 1000, 1),
        "stopped_ms": round(max(heeded, default=0) * 1000, 1),
        "killed_ms": round(max(ignored, default=0) * 1000, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def watch(folder: pathlib.Path) -> dict[str, t.Any]:
    """The CPU time of all that is on a node for the sake of watching while its test sleeps."""
    with (
        virtual_lab(folder, {"server-1": ["server"], "client-1": ["client"]}) as lab,
        Play(folder, lab, folder / "results-watch", SLEEPS, forks=2) as process,
    ):
        while not lab.exec(
            "client-1", ["sh", "-c", "ls /var/tmp/multidevice-0/*/results/*/stdout"], check=False
        ).stdout:
            if process.poll() is not None:
                raise RuntimeError("the run ended before its test had begun")
            time.sleep(0.2)
        time.sleep(3)
        before, begin = cpu_seconds(lab, "client-1"), time.monotonic()
        time.sleep(WATCHED_SECONDS)
        used, seconds = cpu_seconds(lab, "client-1") - before, time.monotonic() - begin
        process.wait()
    return {"seconds": round(seconds, 1), "cpu_ms_per_minute": round(used * 1000 * 60 / seconds, 1)}


def cpu_seconds(lab: Lab, node: str) -> float:
    """CPU seconds of the supervisor, its guard and the end of the controller's line, by the scheduler's own account."""
    namespace = os.readlink(f"/proc/{lab.state.machines[node].pid}/ns/pid")
    total = 0.0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") != namespace:
                continue
            command = pathlib.Path("/proc", entry, "cmdline").read_bytes()
            if b"multidevice" in command and b"python" in command:
                total += int(pathlib.Path("/proc", entry, "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue
    return total


class Play:
    """ansible-playbook with one job, ended whatever happens."""

    def __init__(self, folder: pathlib.Path, lab: Lab, results: pathlib.Path, test: str, *, forks: int) -> None:
        job = folder / f"job-{results.name}"
        (job / "tests").mkdir(parents=True)
        (job / "cluster").mkdir()
        (job / "cluster" / "lab").write_text(lab.cluster_file.read_text())
        (job / "job.yaml").write_text(JOB.format(cluster="lab"))
        (job / "tests" / "work").write_text(test)
        (job / "tests" / "work").chmod(0o755)
        extra = {"job": str(job / "job.yaml"), "multidevice_results_dir": str(results)}
        self.process = subprocess.Popen(
            [
                "ansible-playbook",
                "multidevice.yml",
                "-i",
                str(lab.inventory),
                "-f",
                str(forks),
                "-e",
                json.dumps(extra),
            ],
            cwd=REPOSITORY / "playbooks",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
