# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""lab_up and lab_down, as a user types them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import (
    LabState,
    Process,
    find_lab,
)

from support.lab_fixture import virtual_lab
from support.repository import COLLECTIONS, REPOSITORY
from support.waiting import wait_until

if t.TYPE_CHECKING:
    from .conftest import Controller


def changed(done: t.Any) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.rpartition("changed=")[2].split()[0])


def processes_of(state: LabState) -> list[Process]:
    """All processes in the lab's pid namespaces."""
    namespaces = {pid_namespace(process.pid) for process in (state.switch, *state.machines.values())}
    assert len(namespaces) == 1 + len(state.machines)
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [Process.of(pid) for pid in pids if pid_namespace(pid) in namespaces]


def pid_namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def any_alive(processes: list[Process]) -> bool:
    return any(process.alive() for process in processes)


def test_a_lab_comes_up_stays_and_goes(controller: Controller) -> None:
    assert changed(controller.lab("up", "--check")) == 1
    assert not controller.directory.exists()

    assert changed(controller.lab("up")) == 1
    state = controller.state
    assert list(state.machines) == ["server-1", "client-1", "client-2"]
    assert yaml.safe_load(controller.cluster_file.read_text()) == {
        "nodes": {
            "server-1": {"roles": ["server"], "macs": ["02:00:00:00:01:01"]},
            "client-1": {"roles": ["client"], "macs": ["02:00:00:00:02:01"]},
            "client-2": {"roles": ["client"], "macs": ["02:00:00:00:03:01"]},
        }
    }
    daemon = {"ansible.builtin.command": "setsid sleep 600", "async": 600, "poll": 0}
    assert controller.play([daemon]).returncode == 0
    processes = processes_of(state)
    assert len(processes) > 1 + 2 * len(state.machines)

    assert changed(controller.lab("up")) == 0
    assert controller.state == state

    assert changed(controller.lab("down", "--check")) == 1
    assert state.alive()
    assert changed(controller.lab("down")) == 1
    assert not state.alive()
    assert not any_alive(processes)
    assert not Path(state.folder).exists()
    assert not controller.directory.exists()
    assert not Path("/sys/class/net", state.settings.host_interface).exists()

    assert changed(controller.lab("down")) == 0


def test_the_difference_is_shown(controller: Controller) -> None:
    shown = controller.lab("up", "--check", "--diff", direct_mtu=9000).stdout
    assert '-    "state": "absent"' in shown
    assert '+    "mtu": 9000' in shown


def test_lost_files_are_written_again(controller: Controller) -> None:
    state = controller.up()
    controller.cluster_file.unlink()
    assert changed(controller.lab("up", "--check")) == 1
    assert not controller.cluster_file.exists()
    assert changed(controller.lab("up")) == 1
    assert controller.cluster_file.exists()
    assert controller.state == state


def test_another_set_up_is_refused_or_replaces_the_lab(controller: Controller) -> None:
    nodes = [{"name": "one", "roles": ["server", "client"]}]
    state = controller.up()

    refused = controller.lab("up", nodes=nodes, direct_links=2)
    assert refused.returncode != 0
    assert (
        "is up with another set-up (different: nodes, links); take it down first, or ask to have it replaced"
        in refused.stdout
    )
    assert state.alive()

    assert changed(controller.lab("up", nodes=nodes, direct_links=2, replace=True)) == 1
    assert not state.alive()
    assert list(controller.state.machines) == ["one"]
    assert yaml.safe_load(controller.cluster_file.read_text())["nodes"]["one"]["macs"] == [
        "02:00:00:00:01:01",
        "02:00:00:00:01:02",
    ]


def test_a_folder_that_another_lab_uses_is_refused(controller: Controller) -> None:
    state = controller.up()
    inventory = controller.directory / "inventory.yml"
    before = inventory.read_text()
    name = f"{state.settings.name}-2"
    refused = controller.lab("up", name=name)
    assert refused.returncode != 0
    said = f"the virtual lab {state.settings.name} has its inventory in {controller.directory}: have the lab {name} write its own"
    assert said in refused.stdout
    assert inventory.read_text() == before
    assert state.alive()


@pytest.mark.parametrize("victim", ["lab", "machine"])
def test_what_has_died_is_tidied_up_and_comes_up_again(controller: Controller, victim: str) -> None:
    state = controller.up()
    processes = processes_of(state)
    os.kill(state.switch.pid if victim == "lab" else state.machines["client-1"].pid, 9)

    assert changed(controller.lab("up")) == 1
    assert not any_alive(processes)
    assert controller.state.missing() == []
    assert changed(controller.lab("down")) == 1


def test_a_lab_that_died_is_gone_without_help(controller: Controller) -> None:
    state = controller.up()
    processes = processes_of(state)
    descriptor = os.pidfd_open(state.switch.pid)
    os.kill(state.switch.pid, 9)
    assert select.select([descriptor], [], [], 10)[0]
    # The kernel ends the others with it, and one after the other.
    wait_until("all of its processes have ended", lambda: not any_alive(processes), 10)
    assert changed(controller.lab("down")) == 1
    assert find_lab(controller.name) is None


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"nodes": [{"name": "a", "roles": ["x"]}, {"name": "a", "roles": ["y"]}]}, "node 'a' is named twice"),
        ({"nodes": [{"name": "a"}]}, "missing required arguments: roles"),
        ({"name": "../x"}, "'../x' cannot be the name of a virtual lab"),
    ],
)
def test_a_wrong_set_up_is_refused(controller: Controller, variables: dict[str, t.Any], reason: str) -> None:
    refused = controller.lab("up", **variables)
    assert refused.returncode != 0
    assert reason in refused.stdout + refused.stderr
    assert not controller.directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a card in the management network")
def test_two_labs_have_networks_of_their_own(controller: Controller, tmp_path: Path) -> None:
    first = controller.up()
    with virtual_lab(tmp_path) as second:
        assert first.settings.network != second.state.settings.network
        taken = controller.lab("up", name=controller.name + "-c", management_network=first.settings.network)
        assert taken.returncode != 0
        assert "to which this machine already has a route" in taken.stdout


def test_a_lab_of_a_test_that_is_killed_goes_too(tmp_path: Path) -> None:
    name = f"killed-{os.getpid()}"
    script = (
        "import os, pathlib, sys\n"
        "from support.lab_fixture import virtual_lab\n"
        "with virtual_lab(pathlib.Path(sys.argv[1]), name=sys.argv[2]):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (COLLECTIONS, REPOSITORY / "tests" / "real")))}
    command = [sys.executable, "-c", script, str(tmp_path), name]
    killed = subprocess.run(command, env=environment, timeout=60, check=False)
    assert killed.returncode == -9
    wait_until("the lab is gone", lambda: find_lab(name) is None)


def test_what_the_role_returns(controller: Controller) -> None:
    done = controller.run(
        "ansible",
        "localhost",
        *(
            "-m",
            "lab.multidevice.virtual_lab",
            "-a",
            json.dumps({"name": controller.name, "directory": str(controller.directory)}),
        ),
    )
    result = json.loads(done.stdout.partition("=>")[2])
    assert result["inventory"] == str(controller.inventory)
    assert result["cluster_file"] == str(controller.cluster_file)
    assert result["nodes"][1] == {
        "name": "client-1",
        "roles": ["client"],
        "address": result["management_network"].partition(".0/")[0] + ".3",
        "management_mac": "02:00:00:00:02:00",
        "macs": ["02:00:00:00:02:01"],
    }
