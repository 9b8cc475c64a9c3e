# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible tasks on the machines of a lab: through their namespaces, as an ordinary user, and over SSH."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from support import lab_faults

if t.TYPE_CHECKING:
    from .conftest import Controller

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="a lab that is reached over SSH needs root")

TASKS: list[dict[str, t.Any]] = [
    {"ansible.builtin.ping": {}},
    {"ansible.builtin.setup": {"gather_subset": ["network"]}},
    {
        "ansible.builtin.assert": {
            "that": [
                "ansible_facts.hostname == inventory_hostname",
                "ansible_facts.eth0.ipv4.address == ansible_host",
                "ansible_facts.eth1.macaddress == cluster.nodes[inventory_hostname].macs[0]",
            ]
        }
    },
    {"ansible.builtin.command": "hostname -I", "register": "addresses", "changed_when": False},
    {"ansible.builtin.assert": {"that": "addresses.stdout.split()[0] == ansible_host"}},
    {"ansible.builtin.copy": {"src": "sent", "dest": "/var/tmp/it's a file"}},
    {
        "ansible.builtin.fetch": {
            "src": "/var/tmp/it's a file",
            "dest": "fetched/{{ inventory_hostname }}",
            "flat": True,
        }
    },
    {"ansible.builtin.command": "hostname", "register": "other", "delegate_to": "client-2", "changed_when": False},
    {"ansible.builtin.assert": {"that": "other.stdout == 'client-2'"}},
    {"ansible.builtin.raw": "echo $0 $USER $PWD; exit 3", "register": "raw", "ignore_errors": True},
    {"ansible.builtin.assert": {"that": ["raw.rc == 3", "raw.stdout is search(' root /root')"]}},
]


def run_tasks(controller: Controller, *, pipelining: bool) -> None:
    content = os.urandom(3_000_000)
    (controller.folder / "sent").write_bytes(content)
    variables = {"ansible_pipelining": pipelining, "cluster": yaml.safe_load(controller.cluster_file.read_text())}
    done = controller.play(TASKS, "-e", json.dumps(variables))
    assert done.returncode == 0, done.stdout + done.stderr
    for node in ("server-1", "client-1", "client-2"):
        assert (controller.folder / "fetched" / node).read_bytes() == content


@pytest.mark.parametrize("pipelining", [True, False])
def test_tasks_through_namespaces(controller: Controller, pipelining: bool) -> None:
    controller.up()
    run_tasks(controller, pipelining=pipelining)


def test_tasks_of_an_ordinary_user(ordinary_user: Controller) -> None:
    up = ordinary_user.lab("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert ordinary_user.state.user_namespace
    run_tasks(ordinary_user, pipelining=True)
    down = ordinary_user.lab("down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert not ordinary_user.directory.exists()


def test_an_ordinary_user_without_a_home(ordinary_user: Controller) -> None:
    up = ordinary_user.run(
        "ansible-playbook",
        *("lab.multidevice.lab_up", "-e", f"virtual_lab_name={ordinary_user.name}"),
        HOME="/nonexistent",
        ANSIBLE_LOCAL_TEMP=str(ordinary_user.folder / "ansible"),
    )
    assert up.returncode == 0, up.stdout + up.stderr


AS_ROOT_OF_A_USER_NAMESPACE = ("unshare", "--user", "--map-root-user", "sh", "-c")


@only_root
def test_root_of_a_user_namespace_is_an_ordinary_user(controller: Controller) -> None:
    (controller.folder / "runtime").mkdir(mode=0o700)
    inside = replace(controller, prefix=(*AS_ROOT_OF_A_USER_NAMESPACE, 'exec "$@"', "sh"))
    runtime = str(controller.folder / "runtime")
    up = inside.run(
        "ansible-playbook",
        *("lab.multidevice.lab_up", "-e", f"virtual_lab_name={controller.name}"),
        XDG_RUNTIME_DIR=runtime,
    )
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        assert inside.state.user_namespace
    finally:
        inside.run(
            "ansible-playbook",
            *("lab.multidevice.lab_down", "-e", f"virtual_lab_name={controller.name}"),
            XDG_RUNTIME_DIR=runtime,
        )
    assert not list(Path(runtime, "lab.multidevice").glob("[!.]*"))


@only_root
def test_a_machine_without_user_namespaces_is_told(controller: Controller) -> None:
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all -- "$@"'
    refused = replace(controller, prefix=(*AS_ROOT_OF_A_USER_NAMESPACE, forbid, "sh")).lab("up")
    assert refused.returncode != 0
    assert "This machine does not let an ordinary user create namespaces: run as root, or allow it" in refused.stdout


def test_ssh_is_refused_to_an_ordinary_user(ordinary_user: Controller) -> None:
    refused = ordinary_user.lab("up", ssh=True)
    assert refused.returncode != 0
    assert "can be reached over ssh only when root brings it up" in refused.stdout


def test_an_interpreter_in_a_folder_that_the_machines_have_of_their_own(controller: Controller) -> None:
    """An interpreter in root's home or in the temporary folder is not hidden."""
    base = Path(sys.base_prefix)
    private = ("/root", "/tmp", "/var/tmp", "/run")
    if not any(base.is_relative_to(folder) for folder in private):
        pytest.skip(f"the interpreter of these tests is in none of the folders {' '.join(private)}")
    python = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
    controller.up(python=python)
    assert controller.play([{"ansible.builtin.ping": {}}]).returncode == 0
    refused = controller.lab("up", python="/bin/true")
    assert refused.returncode != 0
    assert "/bin/true is no Python interpreter" in refused.stdout


STREAM_COMMAND = """
import json, sys
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, init_plugin_loader
init_plugin_loader()
connection = connection_loader.get("lab.multidevice.netns", PlayContext())
connection.set_options(var_options={"ansible_netns_state": sys.argv[1], "ansible_netns_node": "client-2"})
try:
    print(json.dumps(connection.stream_command(sys.argv[2])))
except AnsibleConnectionFailure as error:
    sys.exit(str(error))
"""


def test_a_live_stream(controller: Controller) -> None:
    state = controller.up()
    arguments = ("-c", STREAM_COMMAND, state.file, "hostname; while read line; do echo got $line; done")
    command = json.loads(controller.run("python", *arguments).stdout)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as stream:
        assert stream.stdin and stream.stdout
        assert stream.stdout.readline() == "client-2\n"
        stream.stdin.write("this\n")
        assert stream.stdout.readline() == "got this\n"
        stream.stdin.close()
        assert stream.wait(10) == 0
    lab_faults.power_off(state, "client-2")
    assert "powered off or its management link is cut" in controller.run("python", *arguments).stderr


def test_machines_that_are_gone_are_unreachable(controller: Controller) -> None:
    state = controller.up()
    lab_faults.power_off(state, "client-1")
    lab_faults.set_management(state, "client-2", connected=False)
    tasks: list[dict[str, t.Any]] = [{"ansible.builtin.ping": {}}]

    done = controller.play(tasks)
    assert done.returncode == 4
    assert "node client-1 of the virtual lab" in done.stdout
    assert "client-1                   : ok=0    changed=0    unreachable=1" in done.stdout
    assert "client-2                   : ok=0    changed=0    unreachable=1" in done.stdout
    assert "server-1                   : ok=1    changed=0    unreachable=0" in done.stdout

    lab_faults.set_management(state, "client-2", connected=True)
    assert controller.play(tasks, "--limit", "client-2").returncode == 0

    os.kill(state.switch.pid, 9)
    done = controller.play(tasks)
    assert done.returncode == 4
    assert "is not up: bring it up with lab_up.yml" in done.stdout


def test_a_machine_that_goes_in_the_middle_of_a_task_is_unreachable(controller: Controller) -> None:
    controller.up()
    kill = {"ansible.builtin.command": "kill -TERM 1"}
    wait = {"ansible.builtin.command": "sleep 30"}
    # The end comes while the second task runs, or the end of the first one is not heard of: either way it is lost.
    done = controller.play([{**kill, "async": 30, "poll": 0}, wait], "--limit", "client-1")
    assert done.returncode == 4
    assert "unreachable=1" in done.stdout


def test_errors_of_transfers_are_told(controller: Controller) -> None:
    controller.up()
    (controller.folder / "sent").write_text("x")
    copy = {"ansible.builtin.copy": {"src": "sent", "dest": "/var/tmp/sent"}}
    done = controller.play([copy], "--limit", "client-1", ANSIBLE_REMOTE_TEMP="/proc/no", ANSIBLE_PIPELINING="False")
    assert done.returncode in (2, 4)
    fetch = {"ansible.builtin.fetch": {"src": "/nonexistent", "dest": "fetched"}}
    assert controller.play([fetch], "--limit", "client-1").returncode == 2


@only_root
def test_tasks_over_ssh(controller: Controller) -> None:
    up = controller.lab("up", ssh=True)
    assert up.returncode == 0, up.stdout + up.stderr
    variables = yaml.safe_load(controller.inventory.read_text())["all"]["children"]["virtual_lab"]["vars"]
    assert variables["ansible_connection"] == "ansible.builtin.ssh"
    assert stat.S_IMODE(Path(variables["ansible_ssh_private_key_file"]).stat().st_mode) == 0o600
    run_tasks(controller, pipelining=True)

    netns = controller.play([{"ansible.builtin.ping": {}}], "-e", "ansible_connection=lab.multidevice.netns")
    assert netns.returncode == 0, netns.stdout

    state = controller.state
    known_hosts = Path(state.folder, "ssh", "known_hosts")
    known_hosts.write_text(
        "".join(line.rsplit(" ", 1)[0] + " " + "A" * 68 + "\n" for line in known_hosts.read_text().splitlines())
    )
    fresh = ("-e", "ansible_control_path=none")
    stranger = controller.play([{"ansible.builtin.ping": {}}], *fresh)
    assert stranger.returncode == 4, "a machine with another host key must not be trusted"

    assert controller.lab("down").returncode == 0
    masters = [path for path in Path("/proc").glob("[0-9]*/cmdline") if state.folder.encode() in read(path)]
    assert masters == []


@only_root
def test_a_cut_cable_ends_an_ssh_connection(controller: Controller) -> None:
    lab_faults.set_management(controller.up(ssh=True), "client-1", connected=False)
    done = controller.play([{"ansible.builtin.ping": {}}], ANSIBLE_TIMEOUT="3")
    assert done.returncode == 4
    assert "server-1                   : ok=1" in done.stdout
    assert "client-1                   : ok=0    changed=0    unreachable=1" in done.stdout


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
