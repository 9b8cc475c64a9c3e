# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import settings, state
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.settings import LabSettings
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import LabState, Process


@pytest.fixture
def child() -> t.Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    return tmp_path / "lab.multidevice"


def lab_state(folder: Path, process: Process, *, user_namespace: bool = False) -> LabState:
    nodes = settings.machines([{"name": "a", "roles": ["x"]}], links=1, network="198.18.0.0/22")
    lab = LabSettings("lab", "/somewhere", nodes, 1, 1500, "198.18.0.0/22", False, "/usr/bin/python3", [])
    return LabState(str(folder), lab, user_namespace, process, {"a": process})


def test_a_process_ends_only_once(child: subprocess.Popen[bytes]) -> None:
    process = Process.of(child.pid)
    assert process.alive()
    assert not process.ended(within=0)
    assert process.kill(within=10)
    assert child.poll() is None or child.returncode == -9
    assert not process.alive(), "a zombie has ended"
    assert process.kill(within=0)
    assert process.ended(within=0)


@pytest.mark.parametrize("change", [{"start_time": 1}, {"boot": "another"}])
def test_a_reused_pid_is_left_alone(child: subprocess.Popen[bytes], change: dict[str, t.Any]) -> None:
    earlier = replace(Process.of(child.pid), **change)
    assert not earlier.alive()
    assert earlier.kill(within=0)
    time.sleep(0.05)
    assert child.poll() is None


def test_a_process_that_is_gone_cannot_be_recorded(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    with pytest.raises(NodeError, match="has ended while the lab came up"):
        Process.of(child.pid)


def test_state_survives_its_file(tmp_path: Path) -> None:
    before = lab_state(tmp_path, Process.of(os.getpid()))
    before.write()
    after = LabState.read(before.file)
    assert after == before
    assert after.alive()
    assert after.missing() == []
    assert LabState.read(str(tmp_path / "other" / "state.json")) is None


@pytest.mark.parametrize(("content", "reason"), [("{", "cannot be read"), ("{}", "another version of this collection")])
def test_a_broken_state_is_told(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(InputError, match=reason):
        LabState.read(str(path))


def test_a_cut_or_ended_machine_is_not_reachable(tmp_path: Path) -> None:
    lab = lab_state(tmp_path, Process.of(os.getpid()))
    assert lab.reachable("a")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "a").touch()
    assert not lab.reachable("a")
    assert not lab_state(tmp_path / "x", replace(Process.of(os.getpid()), start_time=1)).reachable("a")


def test_command_of_a_machine(tmp_path: Path) -> None:
    process = Process.of(os.getpid())
    command = lab_state(tmp_path, process).machine_command("a", ["id", "-u"])
    assert command[:2] == ["nsenter", f"--target={os.getpid()}"]
    assert "--user" not in command
    assert command[-2:] == ["id", "-u"]
    stream = lab_state(tmp_path, process, user_namespace=True).machine_command("a", ["cat"], stream=True)
    assert "--user" in stream
    assert stream[-4:] == ["setsid", "--fork", "--wait", "cat"]
    with pytest.raises(NodeError, match="the virtual lab lab has no node 'b'"):
        lab_state(tmp_path, process).machine_command("b", ["true"])


def test_a_lab_is_found_where_it_was_recorded(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert state.make_state_home() == str(home)
    assert home.stat().st_mode & 0o777 == 0o700
    (home / "lab").mkdir()
    recorded = lab_state(home / "lab", Process.of(os.getpid()))
    recorded.write()
    assert state.find_lab("lab") == recorded
    assert state.find_lab("other") is None
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    assert state.find_lab("lab") is None


def test_a_folder_that_others_can_write_to_is_not_trusted(home: Path) -> None:
    home.mkdir(mode=0o700)
    home.chmod(0o777)
    (home / "lab").mkdir()
    lab_state(home / "lab", Process.of(os.getpid())).write()
    assert state.find_lab("lab") is None
    with pytest.raises(InputError, match="belongs to somebody else or is open to others"):
        state.make_state_home()


def test_a_linked_folder_is_not_trusted(home: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    home.symlink_to(tmp_path / "target")
    with pytest.raises(InputError, match="belongs to somebody else"):
        state.make_state_home()
