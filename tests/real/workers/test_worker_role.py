# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role worker: a service of systemd, as far as systemd can be asked without being the machine's first process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from support.plays import PROGRAM, Play
from support.repository import REPOSITORY

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  connection: local
  roles:
    - role: lab.multidevice.worker
"""
PASSWORD = 'p"a$s`w\\ord'


@pytest.fixture
def apply(tmp_path: Path) -> t.Iterator[t.Callable[..., Play]]:
    if os.geteuid() != 0:
        pytest.skip("services are root's")
    for tool in ("systemctl", "systemd-analyze"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    book = tmp_path / "worker.yml"
    book.write_text(PLAYBOOK)
    plays: list[Play] = []

    def run(**variables: t.Any) -> Play:
        settings = {
            "worker_queue": "client",
            "worker_machine": "host-7",
            "worker_ansible_playbook": str(PROGRAM),
            "worker_collections_path": str(REPOSITORY / "playbooks" / "collections"),
            "worker_redis": {"url": "rediss://redis.example.com", "username": "worker", "password": PASSWORD},
            "worker_started": False,
            "worker_folder": str(tmp_path / "etc"),
            "worker_unit_folder": "/etc/systemd/system",
            "worker_name": f"test-{os.getpid()}",
            "worker_spool": str(tmp_path / "spool"),
            **variables,
        }
        collections = str(REPOSITORY / "playbooks" / "collections")
        play = Play(
            tmp_path, str(book), "--diff", cwd=tmp_path, variables=settings, ANSIBLE_COLLECTIONS_PATH=collections
        )
        plays.append(play)
        play.wait(90)
        return play

    yield run
    if unit_file().exists():
        run(worker_state="absent")
    for play in plays:
        play.end()


def unit_file() -> Path:
    return Path(f"/etc/systemd/system/multidevice-worker-test-{os.getpid()}.service")


def changed(play: Play) -> int:
    assert play.process.returncode == 0, play.output
    recap = play.output.rpartition("changed=")[2]
    return int(recap.split()[0])


def test_install_again_change_and_remove(apply: t.Callable[..., Play], tmp_path: Path) -> None:
    first = apply()
    assert changed(first) > 0
    assert PASSWORD not in first.output and "p\\" not in first.output
    assert changed(apply()) == 0
    unit = unit_file()
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    environment = tmp_path / "etc" / f"test-{os.getpid()}.env"
    assert (environment.stat().st_mode & 0o777, environment.stat().st_uid) == (0o600, 0)
    assert environment.read_text().splitlines()[2:] == [
        'MULTIDEVICE_REDIS_PASSWORD="p\\"a\\$s\\`w\\\\ord"',
        'MULTIDEVICE_REDIS_URL="rediss://redis.example.com"',
        'MULTIDEVICE_REDIS_USERNAME="worker"',
    ]
    assert unit.read_text().count("Restart=always") == 1
    enabled = subprocess.run(["systemctl", "is-enabled", unit.name], capture_output=True, text=True, check=False)
    assert enabled.stdout.strip() == "enabled"
    assert changed(apply(worker_variables={"multidevice_exchange": "/srv/lab"})) == 1
    assert changed(apply(worker_state="absent")) > 0
    assert changed(apply(worker_state="absent")) == 0
    assert not unit.exists() and list((tmp_path / "etc").iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"worker_queue": "a b"}, "are made of letters, digits"),
        ({"worker_redis": {}}, "worker_redis says how the worker reaches Redis"),
        ({"worker_redis": {"host": "x"}}, "it has host"),
        ({"worker_user": "nobody", "worker_script_user": "daemon"}, "only root can run scripts as another user"),
    ],
)
def test_what_cannot_be_a_worker(apply: t.Callable[..., Play], variables: dict[str, t.Any], sentence: str) -> None:
    play = apply(**variables)
    assert play.process.returncode != 0
    assert sentence in json.dumps(play.output).replace("\\n", " ")
