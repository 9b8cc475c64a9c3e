# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every example in the documentation of the modules, and of the plugins for inventories and connections, does its work."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import typing as t
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from docs.example_plays import ADDRESSES, GROUPS, MACHINES, OWN, TAKE_DOWN_PAIR, TODAY, YESTERDAY, Ground, unique_names
from docs.module_examples import MODULES, RecordedPlay, example_tasks
from support.lab_fixture import gone_afterwards, virtual_lab
from support.newest_server import newest_server
from support.redis_server import RedisServer
from support.waiting import wait_until

RUN = f"{TODAY}.1"
WAIT = "Wait until all are ready"
PEER = """
card=$(ip -br link | awk '/{}/ {{print $1}}' | cut -d@ -f1)
ip link set "$card" up && ip address add 192.168.222.2/24 dev "$card"
"""


@pytest.fixture
def short_folder() -> t.Iterator[Path]:
    # A unix socket's path can have 107 characters, pytest's folders are often too deep.
    folder = Path(tempfile.mkdtemp(prefix="md-docs-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server() -> t.Iterator[RedisServer]:
    if os.geteuid() != 0:
        pytest.skip("brings up machines that are reached over ssh, as only root can")
    if not all(map(shutil.which, ("ping", "sshd"))):
        pytest.skip("two examples need ping and sshd")
    with newest_server() as server:
        yield server


def arrive_late(play: RecordedPlay, ground: Ground) -> None:
    """Come to the barrier of the clients as the server, when they have been told to wait again."""

    def told_to_wait() -> bool:
        assert play.process.poll() is None, play.output
        return any(result["answer"] == "retry" for result in play.returned(WAIT))

    wait_until("the clients wait again", told_to_wait, 120)
    ground.coordinator("cluster_barrier").barriers.arrive(f"{RUN}.1", "ready")


def check_all_examples_ran(play: RecordedPlay) -> None:
    """Each example, on one host at least, without a failure; and it was skipped only where it says when it is."""
    ran = Counter((one.play, one.task) for one in play.outcomes if one.status == "ok")
    assert {one.play for one in play.outcomes} - {"inventory"} == set(MODULES)
    for module in MODULES:
        for task in example_tasks(module):
            outcomes = [one for one in play.outcomes if (one.play, one.task) == (module, task["name"])]
            assert ran[module, task["name"]], f"{module}: {task['name']}: {outcomes}"
            allowed = {"ok", "skipped"} if "when" in task else {"ok"}
            assert {one.status for one in outcomes} <= allowed, f"{module}: {task['name']}: {outcomes}"


def check_coordination(play: RecordedPlay, ground: Ground) -> None:
    coordinator = ground.coordinator("cluster_state")
    own = coordinator.history.info(f"{OWN}.1")
    assert own["nodes"]["node-1"]["ip"] == ground.lab.address("server-1")
    assert (own["reason"]["script"], own["reason"]["exit_code"]) == ("netperf", 1)
    assert coordinator.history.info(RUN)["reason"]["text"] == "the switch needs a new firmware"

    assert play.returned_once("Ask for the addresses of all roles")["roles_ip"]["direct_server_ips"] == "127.0.0.1"
    assert "PING 127.0.0.1" in play.returned_once("Use them")["stdout"]
    assert [run["cluster_id"] for run in play.returned_once("List all runs")["runs"]] == [RUN]

    assert play.returned_once("Ask for the port")["value"] == "5201"

    assert play.returned_once("Reserve the machines of the run")["answer"] == "reserved"
    assert play.returned_once("Give this one back")["answer"] == "released"
    assert ground.coordinator("cluster_reserve").reservations.holders() == {"node-2": RUN}

    for host in ("client-1", "client-2"):
        assert play.returned(WAIT, host)[-1]["answer"] == "ready"
        (met,) = play.returned("Meet the other clients", host)
        assert met["answer"] == "filled-1"


def check_submissions(play: RecordedPlay, ground: Ground) -> None:
    registered, looked_at = (
        play.returned_once("Split and register"),
        play.returned_once("Look at how a job would be split"),
    )
    assert [run["cluster_id"] for run in ground.coordinator("cluster_split").history.runs()] == [
        registered["runs"][0]["cluster_id"]
    ]
    for split in (registered, looked_at):
        assert [node["scripts"][0]["name"] for node in split["runs"][0]["nodes"]] == ["netserver", "netperf"]

    folder = ground.results / TODAY
    assert json.loads((folder / "summary.json").read_text())["result"] == "finish"
    assert (folder / "runs" / "1" / "events.jsonl").stat().st_size > 0
    assert re.search("finish after", play.returned_once("Follow a run")["lines"][-1])

    assert play.returned_once("Make a report again")["changed"]
    assert TODAY in (folder / "report.html").read_text()
    compared = play.returned_once("Compare today's numbers with yesterday's")
    assert "throughput (Gbit/s): A 3.9, B 4.1 (+5.1 %)" in compared["table"]
    assert YESTERDAY in (ground.folder / "srv" / "www" / "compare.html").read_text()

    assert play.returned_once("Become a worker")["left"] == []
    assert play.returned_once("Take a node job")["job"]["job_id"] == f"{RUN}.1"
    (worker,) = ground.coordinator("cluster_worker").queues.workers()
    assert (worker["queue"], worker["job_id"]) == ("client", None)
    assert play.returned_once("Wait for a submission and collect its results")["missing"] == []
    assert (folder / "runs" / "1" / "nodes" / "client" / "test-netperf" / "stdout").read_text() == "done\n"
    assert play.returned_once("Cancel a submission")["cancelled"] == [RUN]
    cancelled = ground.coordinator("cluster_queue")
    assert cancelled.history.info(RUN)["reason"]["text"] == "the switch is being replaced"
    assert not any(cancelled.queues.queues().values())


def check_machines(play: RecordedPlay, ground: Ground) -> None:
    first, second = "192.168.222.1/24", "192.168.223.1/24 fd00:223::1/64"
    found = [look["stdout"] for look in play.returned(ADDRESSES)]
    assert [(first in look, second in look) for look in found] == [
        (True, True),
        (False, False),
        (True, False),
        (False, False),
    ]
    checked = play.returned_once("When all machines have theirs, see that the cables are where they should be")
    assert [peer["mac"] for peer in checked["peers"]] == [ground.lab.macs("client-1")[0]]
    assert [device["mtu"] for device in checked["devices"]] == [1500, 9000]

    transfer = ground.site / "results" / "server-1" / "test-transfer"
    assert (transfer / "stdout").read_text() == "5 seconds\n"
    assert ground.lab.exec("server-1", ["find", "/var/tmp", "-name", "nightly-1*"]).stdout == ""

    usual = play.returned_once("One server and two clients")
    assert [node["name"] for node in usual["nodes"]] == ["server-1", "client-1", "client-2"]
    assert Path(usual["inventory"]).parent == ground.site / ".virtual-lab"
    pair = play.returned_once("Two machines with two direct links each and jumbo frames, reached over SSH")
    assert [(node["name"], len(node["macs"])) for node in pair["nodes"]] == [("left", 2), ("right", 2)]
    assert (pair["diff"]["after"]["ssh"], pair["diff"]["after"]["mtu"]) == (True, 9000)
    for down in ("Take the lab down", TAKE_DOWN_PAIR):
        assert play.returned_once(down)["changed"]


def check_inventories(play: RecordedPlay) -> None:
    known = play.returned_once(GROUPS)["msg"]
    groups = known["groups"]
    assert {name: groups[name] for name in groups if name not in ("all", "ungrouped")} == {
        "server": ["server-1"],
        "client": ["client-1", "client-2"],
        "role_server": ["box-1"],
        "role_client": ["box-2"],
        "router": ["switch-1", "switch-2"],
        "wired": ["switch-1"],
        "rack_12": ["switch-1", "switch-2"],
        "virtual_lab": ["server-1"],
    }
    assert known["addresses"] == ["switch-1.lab.example.com", "switch-2.lab.example.com"]


def test_every_example_does_its_work(tmp_path: Path, short_folder: Path, server: RedisServer) -> None:
    runtime, home = short_folder / "run", short_folder / "home"
    runtime.mkdir(mode=0o700)
    home.mkdir()
    names = unique_names()
    with ExitStack() as stack:
        lab = stack.enter_context(virtual_lab(tmp_path, MACHINES, links=2))
        for name in names:
            stack.enter_context(gone_afterwards(name, ("env", f"XDG_RUNTIME_DIR={runtime}")))
        ground = Ground(tmp_path, home, lab, server.url, names)
        playbook, sources = ground.write_playbook(), ground.write_inventories()
        card = lab.macs("client-1")[0]
        lab.exec("client-1", ["sh", "-c", PEER.format(card)])
        play = RecordedPlay(
            tmp_path,
            playbook,
            *(option for source in sources for option in ("-i", source)),
            cwd=ground.site,
            variables={},
            HOME=str(home),
            XDG_RUNTIME_DIR=str(runtime),
            MULTIDEVICE_REDIS_URL=server.url,
        )
        stack.callback(play.end)
        arrive_late(play, ground)
        assert play.wait(120) == 0, play.output
        # Shown by pytest when something fails.
        print(play.output)
        check_all_examples_ran(play)
        check_coordination(play, ground)
        check_submissions(play, ground)
        check_machines(play, ground)
        check_inventories(play)
    assert not [path for path in (runtime / "lab.multidevice").iterdir() if path.is_dir()], "a lab was left"
