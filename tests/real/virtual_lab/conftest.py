# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's own commands against a virtual lab, as whoever runs the tests and as an ordinary user."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import control
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import LabState

from support.lab_fixture import gone_afterwards
from support.repository import COLLECTIONS

NOBODY = 65534

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Controller:
    """Somebody in a folder of their own who types Ansible commands."""

    folder: Path
    name: str
    prefix: tuple[str, ...] = ()

    def run(self, program: str, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        keep = {key: value for key, value in os.environ.items() if key in ("PATH", "TMPDIR", "XDG_RUNTIME_DIR")}
        return subprocess.run(
            [*self.prefix, Path(sys.executable).parent / program, *arguments],
            cwd=self.folder,
            env={
                **keep,
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_LOCALHOST_WARNING": "False",
                "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
                "ANSIBLE_NOCOLOR": "1",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def lab(self, action: str, *options: str, **variables: t.Any) -> subprocess.CompletedProcess[str]:
        """lab_up or lab_down, with role variables given without their prefix."""
        extra = {f"virtual_lab_{key}": value for key, value in {"name": self.name, **variables}.items()}
        return self.run("ansible-playbook", f"lab.multidevice.lab_{action}", "-e", json.dumps(extra), *options)

    def up(self, **options: t.Any) -> LabState:
        """A lab as lab_up makes it, for tests of something else."""
        state = control.up(control.Request(self.name, str(self.directory), **options)).state
        assert state is not None
        return state

    def play(self, tasks: list[dict[str, t.Any]], *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run tasks on all machines of the lab."""
        playbook = self.folder / "play.yml"
        playbook.write_text(json.dumps([{"hosts": "virtual_lab", "gather_facts": False, "tasks": tasks}]))
        return self.run("ansible-playbook", "-i", self.inventory, playbook, *options, **variables)

    @property
    def directory(self) -> Path:
        return self.folder / ".virtual-lab"

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory.yml"

    @property
    def cluster_file(self) -> Path:
        return self.directory / self.name

    @property
    def state(self) -> LabState:
        inventory = yaml.safe_load(self.inventory.read_text())
        state = LabState.read(inventory["all"]["children"]["virtual_lab"]["vars"]["ansible_netns_state"])
        assert state is not None
        return state


@pytest.fixture
def controller(tmp_path: Path) -> t.Iterator[Controller]:
    """Whoever runs the tests. The lab is gone at the end of the test."""
    somebody = Controller(tmp_path, f"test-{os.getpid()}-lab-{next(_numbers)}")
    with gone_afterwards(somebody.name):
        yield somebody


@pytest.fixture
def ordinary_user(controller: Controller) -> t.Iterator[Controller]:
    """A user without any right, but to read the interpreter that the tests run with, wherever it is installed."""
    if os.geteuid() != 0:
        yield controller
        return
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is needed to become an ordinary user")
    # pytest's own folders are closed to others.
    folder = Path("/var/tmp") / controller.name
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    user = replace(
        controller,
        folder=folder,
        prefix=(
            *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"),
            *(
                "--inh-caps=-all,+dac_read_search",
                "--ambient-caps=+dac_read_search",
                "--bounding-set=-all,+dac_read_search",
            ),
            "--",
        ),
    )
    try:
        with gone_afterwards(user.name, user.prefix):
            yield user
    finally:
        shutil.rmtree(folder)
