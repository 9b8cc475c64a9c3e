# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the machines of a lab are like, and how they fail."""

from __future__ import annotations

import inspect
import json
import subprocess
import time
import typing as t
from pathlib import Path
from types import ModuleType

import pytest

from support.lab_fixture import Lab, virtual_lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Lab]:
    with virtual_lab(tmp_path_factory.mktemp("lab"), links=2, mtu=9000) as running:
        yield running


def cards(lab: Lab, node: str) -> dict[str, dict[str, t.Any]]:
    return {card["ifname"]: card for card in json.loads(lab.exec(node, ["ip", "-json", "address"]).stdout)}


def reach(lab: Lab, node: str, address: str) -> str:
    """Nobody listens: a refusal is the answer of a machine that is reached."""
    probe = (
        "import socket, sys\n"
        "try: socket.create_connection((sys.argv[1], 9), timeout=1)\n"
        "except OSError as error: print(type(error).__name__)"
    )
    return lab.exec(node, ["python3", "-c", probe, address]).stdout.strip()


def test_cards(lab: Lab) -> None:
    for node in lab.nodes:
        found = cards(lab, node)
        assert set(found) == {"lo", "eth0", "eth1", "eth2"}
        assert "UP" in found["lo"]["flags"]
        assert [info["local"] for info in found["eth0"]["addr_info"] if info["family"] == "inet"] == [lab.address(node)]
        assert [found["eth1"]["address"], found["eth2"]["address"]] == lab.macs(node)
        for card in ("eth1", "eth2"):
            assert found[card]["addr_info"] == []
            assert "UP" not in found[card]["flags"]
            assert found[card]["mtu"] == 9000


def test_names_and_addresses(lab: Lab) -> None:
    for node in lab.nodes:
        assert lab.exec(node, ["hostname"]).stdout.strip() == node
        assert Path("/etc/hostname").read_text() != lab.exec(node, ["cat", "/etc/hostname"]).stdout
        assert lab.exec(node, ["hostname", "-I"]).stdout.split()[0] == lab.address(node)
        assert lab.exec(node, ["ls", "/sys/class/net"]).stdout.split() == ["eth0", "eth1", "eth2", "lo"]
        for other in lab.nodes:
            assert reach(lab, node, other) == "ConnectionRefusedError"


def test_processes_are_the_machines_own(lab: Lab) -> None:
    assert lab.exec("server-1", ["sh", "-c", "set -- /proc/[0-9]*; echo $#"]).stdout.strip() == "2"
    lab.exec("server-1", ["sh", "-c", "(sleep 0.2 &)"])
    time.sleep(0.4)
    assert lab.exec("server-1", ["sh", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status"], check=False).stdout == ""


@pytest.mark.parametrize(
    "folder", ["/etc", "/opt", "/run", "/dev/shm", "/srv", "/tmp", "/usr", "/usr/local", "/var", "/var/tmp", "/root"]
)
def test_machines_share_no_state(lab: Lab, folder: str) -> None:
    path = f"{folder}/{lab.name}"
    written = lab.exec("client-1", ["sh", "-c", f"echo mine > {path} && cat {path}"], check=False)
    if written.returncode:
        assert lab.state.user_namespace and folder == "/usr/local", written.stderr
        pytest.skip("belongs to another user")
    assert written.stdout == "mine\n"
    assert lab.exec("client-2", ["test", "-e", path], check=False).returncode == 1
    assert not Path(path).exists()


def test_hosts_can_be_replaced_in_one_step(lab: Lab) -> None:
    ours = Path("/etc/hosts").read_text()
    lab.exec("client-1", ["sh", "-c", "echo 192.0.2.1 elsewhere > /etc/hosts.new && mv /etc/hosts.new /etc/hosts"])
    lab.exec("client-2", ["sh", "-c", "echo 192.0.2.2 elsewhere >> /etc/hosts"])
    assert lab.exec("client-1", ["getent", "hosts", "elsewhere"]).stdout.split()[0] == "192.0.2.1"
    assert lab.exec("client-2", ["getent", "hosts", "elsewhere"]).stdout.split()[0] == "192.0.2.2"
    assert lab.exec("server-1", ["getent", "hosts", "elsewhere"], check=False).returncode
    assert Path("/etc/hosts").read_text() == ours


def test_nothing_of_the_caller_is_seen(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    assert lab.exec("server-1", ["env"]).stdout.split() == [
        "HOME=/root",
        "USER=root",
        "LOGNAME=root",
        "SHELL=/bin/sh",
        "LANG=C.UTF-8",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    assert lab.exec("server-1", ["pwd"]).stdout == "/root\n"
    assert lab.exec("server-1", ["id", "-u"]).stdout == "0\n"


def test_direct_links_are_wires_of_their_own(lab: Lab) -> None:
    for node, number in (("server-1", 1), ("client-1", 2)):
        for link in (1, 2):
            lab.exec(node, ["ip", "address", "add", f"10.9.{link}.{number}/24", "dev", f"eth{link}"])
            lab.exec(node, ["ip", "link", "set", "dev", f"eth{link}", "up"])
    assert [reach(lab, "client-1", f"10.9.{link}.1") for link in (1, 2)] == ["ConnectionRefusedError"] * 2
    lab.cut_direct("server-1", link=2)
    assert [reach(lab, "client-1", f"10.9.{link}.1") for link in (1, 2)] == ["ConnectionRefusedError", "TimeoutError"]
    assert cards(lab, "server-1")["eth2"]["operstate"] == "DOWN"
    lab.restore_direct("server-1", link=2)
    assert reach(lab, "client-1", "10.9.2.1") == "ConnectionRefusedError"


def test_a_cut_management_link_stops_streams_until_it_is_restored(lab: Lab) -> None:
    command = lab.state.machine_command(
        "client-1", ["sh", "-c", "while read line; do echo got $line; done"], stream=True
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as stream:
        assert stream.stdin and stream.stdout
        stream.stdin.write("one\n")
        assert stream.stdout.readline() == "got one\n"
        lab.cut_management("client-1")
        try:
            stream.stdin.write("two\n")
            with pytest.raises(subprocess.TimeoutExpired):
                stream.wait(0.3)
            assert reach(lab, "client-2", lab.address("client-1")) in ("TimeoutError", "OSError")
            state = Path(f"/proc/{stream.pid}/stat").read_text().rpartition(")")[2].split()[0]
            assert state == "S", "nsenter itself must never stop"
        finally:
            lab.restore_management("client-1")
        assert stream.stdout.readline() == "got two\n"
        stream.stdin.close()
        assert stream.wait(5) == 0
    assert reach(lab, "client-2", lab.address("client-1")) == "ConnectionRefusedError"


def test_a_lab_with_a_cut_stream_ends_at_once(tmp_path: Path) -> None:
    with virtual_lab(tmp_path) as lab:
        stream = subprocess.Popen(
            lab.state.machine_command("client-1", ["cat"], stream=True),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        while lab.exec("client-1", ["sh", "-c", "grep -l ^cat /proc/[0-9]*/comm"], check=False).stdout == "":
            time.sleep(0.02)
        lab.cut_management("client-1")
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert stream.stdin
    stream.stdin.close()
    assert stream.wait(5) != 0


def test_power_off_ends_everything_of_the_machine(tmp_path: Path) -> None:
    with (
        virtual_lab(tmp_path) as lab,
        subprocess.Popen(lab.state.machine_command("client-1", ["sleep", "60"])) as running,
    ):
        lab.exec("client-1", ["true"])
        lab.power_off("client-1")
        assert running.wait(5) != 0
        assert lab.state.missing() == ["client-1"]
        assert reach(lab, "client-2", lab.address("client-1")) in ("TimeoutError", "OSError")
        assert reach(lab, "client-2", lab.address("server-1")) == "ConnectionRefusedError"


def test_without_an_overlay_file_system_only_the_names_are_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = inspect.getsource

    def of_a_poorer_kernel(module: ModuleType) -> str:
        return complete(module).replace('"overlay", MS_NODEV', '"no-such-file-system", MS_NODEV')

    monkeypatch.setattr(inspect, "getsource", of_a_poorer_kernel)
    ours = Path("/etc/hosts").read_text()
    with virtual_lab(tmp_path) as poor:
        for node in poor.nodes:
            assert poor.exec(node, ["cat", "/etc/hostname"]).stdout.strip() == node
        poor.exec("client-1", ["sh", "-c", "echo 192.0.2.1 elsewhere >> /etc/hosts"])
        assert poor.exec("client-1", ["getent", "hosts", "elsewhere"]).stdout.split()[0] == "192.0.2.1"
        assert poor.exec("client-2", ["getent", "hosts", "elsewhere"], check=False).returncode
        assert Path("/etc/hosts").read_text() == ours


def test_fifty_machines_come_up_in_seconds(tmp_path: Path) -> None:
    started = time.monotonic()
    with virtual_lab(tmp_path, {f"node-{number}": ["client"] for number in range(1, 51)}) as lab:
        assert time.monotonic() - started < 10
        assert lab.exec("node-50", ["hostname", "-I"]).stdout.split()[0] == lab.address("node-50")
        assert reach(lab, "node-50", "node-1") == "ConnectionRefusedError"
