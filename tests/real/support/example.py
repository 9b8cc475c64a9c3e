# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example of the collection, and what every way to run it has to give."""

from __future__ import annotations

import shutil
import time
import typing as t
from pathlib import Path

import yaml

from support.contract import check_shape, check_times, events, files, overlap, scripts_of
from support.plays import Play
from support.repository import REPOSITORY
from support.sites import Site

EXAMPLE = "../examples/transfer.yaml"
ADDRESSES = {"server-1": "192.168.222.1", "client-1": "192.168.222.2", "client-2": "192.168.222.3"}
SCRIPT_OF = {"server-1": "daemon-transfer-server", "client-1": "test-transfer", "client-2": "test-transfer"}


def short_example(folder: Path) -> Path:
    """The example in a folder of its own, sending for one second: three of them cost six of a processor."""
    shutil.copytree(REPOSITORY / "examples", folder / "examples", symlinks=True)
    job = folder / "examples" / "transfer.yaml"
    text = job.read_text(encoding="utf-8")
    assert text.count("seconds: 3") == 1
    job.write_text(text.replace("seconds: 3", "seconds: 1"), encoding="utf-8")
    return job


def check_example(site: Site, play: Play, job: Path | str = EXAMPLE, *, seconds: float = 3) -> None:
    end = time.time()
    assert play.process.returncode == 0, play.output
    summary = play.summary
    check_shape(summary)
    check_times(summary, play.started, end)
    assert (summary["result"], summary["job"], len(summary["runs"])) == ("finish", str(job), 1)
    run = summary["runs"][0]
    assert (run["result"], run["reason"], run["params"]) == ("finish", None, {})
    assert list(run["nodes"]) == list(ADDRESSES)
    for name, node in run["nodes"].items():
        assert node["state"] == "finish"
        assert node["roles"] == [name.partition("-")[0]]
        assert node["ip"] == site.lab.address(name)
        assert node["direct_ips"] == [ADDRESSES[name]]
        assert node["direct_macs"] == site.lab.macs(name)
    check_scripts(run, seconds)
    check_tree(play.submission)
    check_terminal(play)
    site.assert_clean(play)


def check_scripts(run: t.Mapping[str, t.Any], seconds: float) -> None:
    scripts = scripts_of(run)
    assert set(scripts) == {("server-1", "transfer-server"), ("client-1", "transfer"), ("client-2", "transfer")}
    tests = scripts_of(run, kind="test")
    assert [test["exit_code"] for test in tests.values()] == [0, 0]
    # Each of them takes so long.
    assert overlap(tests.values()) > seconds * 2 / 3
    assert all(test["metrics"]["throughput"]["value"] > 0 for test in tests.values())
    # The server was up until the last client was done, then it was stopped.
    server = scripts["server-1", "transfer-server"]
    assert overlap([server, *tests.values()]) == overlap(tests.values())
    assert server["exit_code"] != 0


def check_tree(submission: Path) -> None:
    expected = {"summary.json", "runs/1/job.yaml", "runs/1/events.jsonl"}
    for node, script in SCRIPT_OF.items():
        expected |= {f"runs/1/nodes/{node}/job.yaml"}
        expected |= {f"runs/1/nodes/{node}/{script}/{file}" for file in ("stdout", "stderr", "result.json")}
    expected |= {f"runs/1/nodes/client-{number}/test-transfer/metrics.json" for number in (1, 2)}
    assert expected <= files(submission)
    nodes = submission / "runs" / "1" / "nodes"
    served = (nodes / "server-1" / "daemon-transfer-server" / "stdout").read_text()
    for client in ("client-1", "client-2"):
        assert f"bytes from {ADDRESSES[client]}" in served
        job = yaml.safe_load((nodes / client / "job.yaml").read_text())
        assert (job["node"], job["node_roles"], job["direct_ips"]) == (client, "client", ADDRESSES[client])
    told = events(submission)
    assert [event["time"] for event in told] == sorted(event["time"] for event in told)
    assert {event["node"] for event in told} == {None, *ADDRESSES}


def check_terminal(play: Play) -> None:
    """The table shows what matters, and where the rest is."""
    output = play.output
    for node, address in ADDRESSES.items():
        line = next(line for line in output.splitlines() if line.split()[:2] == [node, node.partition("-")[0]])
        assert address in line
    assert output.count("Gbit/s") == 2
    assert f"report: {play.submission}/report.html" in output
    assert f"{play.submission.name}: finish" in output
