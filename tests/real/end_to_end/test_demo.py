# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo` in a fresh copy of the repository: as root in an environment that is there, as an ordinary user in a new one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.contract import check_shape, overlap, scripts_of
from support.example import short_example
from support.plays import marked_processes, new_mark, user_environment
from support.repository import REPOSITORY
from support.waiting import wait_until

NOBODY = 65534
BECOME_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")
WITHOUT_RIGHTS = ("--inh-caps=-all", "--bounding-set=-all", "--")
# For a machine whose only new enough Python is root's own.
MAY_READ_PROGRAMS = (
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
    *("--bounding-set=-all,+dac_read_search", "--"),
)
FIND_PYTHON = """\
for python in python3 python3.14 python3.13 python3.12 python3.11; do
    $python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' && exit
done
exit 1
"""
FAILING_JOB = """\
cluster: three-machines
if role client:
  fail:
"""
COPIED = ("Makefile", "requirements.txt", "examples", "playbooks", "plugins", "roles", "meta", "galaxy.yml", "tools")


@dataclass
class Clone:
    """A copy of what the demo needs, owned by whoever runs it; gone afterwards."""

    folder: Path
    prefix: tuple[str, ...] = ()

    def make_demo(self, *arguments: str) -> tuple[int, str]:
        """Run it, with no process left afterwards; returns its exit code and what it has printed."""
        mark = new_mark()
        environment = user_environment(self.folder / "tmp", mark)
        # The folder for compiled files of these tests is root's.
        environment.pop("PYTHONPYCACHEPREFIX", None)
        process = subprocess.Popen(
            [*self.prefix, "make", "demo", *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output = process.communicate(timeout=240)[0]
            wait_until("no process is left", lambda: not marked_processes(mark), 20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=10)
            for pid in marked_processes(mark):
                os.kill(pid, signal.SIGKILL)
        return process.returncode, output

    @property
    def submission(self) -> Path:
        folders = list((self.folder / "results").iterdir())
        assert len(folders) == 1
        return folders[0]


@pytest.fixture
def clone() -> t.Iterator[Clone]:
    # pytest's own folders are closed to others; the sockets below need a short path.
    folder = Path(tempfile.mkdtemp(prefix="md-demo-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, symlinks=True, ignore=ignored)
            else:
                shutil.copy2(source, folder)
        (folder / "tmp").mkdir()
        yield Clone(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def clone_of_nobody(clone: Clone) -> Clone:
    if os.geteuid() != 0:
        return clone
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is needed to become an ordinary user")
    for path in (clone.folder, *clone.folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    python = subprocess.run(
        [*BECOME_NOBODY, *WITHOUT_RIGHTS, "sh", "-c", FIND_PYTHON], capture_output=True, check=False
    )
    clone.prefix = (*BECOME_NOBODY, *(MAY_READ_PROGRAMS if python.returncode else WITHOUT_RIGHTS))
    return clone


def check_demo(clone: Clone, code: int, output: str, *, seconds: float = 3) -> None:
    assert code == 0, output
    summary = json.loads((clone.submission / "summary.json").read_text())
    check_shape(summary)
    assert summary["result"] == "finish"
    tests = scripts_of(summary["runs"][0], kind="test")
    assert set(tests) == {("client-1", "transfer"), ("client-2", "transfer")}
    assert overlap(tests.values()) > seconds * 2 / 3
    for node, address in (("server-1", 1), ("client-1", 2), ("client-2", 3)):
        assert re.search(rf"\b{node}\b.*\b192\.168\.222\.{address}\b", output), output
    assert len(re.findall(r"throughput [\d.]+ Gbit/s", output)) == 2, output
    assert str(clone.submission) in output
    check_left_behind(clone)


def check_left_behind(clone: Clone) -> None:
    """No lab, no Redis, no relay."""
    assert not [path for path in (clone.folder / ".virtual-lab").rglob("*") if path.is_file()]
    assert not list((clone.folder / "tmp").glob("multidevice-controller-*/*-*"))
    assert not list((clone.folder / "tmp").glob("lab.multidevice-*/demo*"))


def test_as_root(only_root: None, clone: Clone) -> None:
    """The example, then a job that fails."""
    cards = set(os.listdir("/sys/class/net"))
    subprocess.run([sys.executable, REPOSITORY / "tools" / "environments.py", "controller"], timeout=200, check=True)
    (clone.folder / ".cache").mkdir()
    (clone.folder / ".cache" / "venv").symlink_to(REPOSITORY / ".cache" / "venv")
    examples = clone.folder / "examples"
    shutil.rmtree(examples)
    short_example(clone.folder)
    check_demo(clone, *clone.make_demo(), seconds=1)

    (examples / "failing.yaml").write_text(FAILING_JOB)
    (examples / "tests" / "fail").write_text("#!/bin/sh\nexit 3\n")
    (examples / "tests" / "fail").chmod(0o755)
    code, output = clone.make_demo("JOB=examples/failing.yaml")
    assert code != 0
    assert "test script fail ended with exit code 3" in output
    check_left_behind(clone)
    left = set(os.listdir("/sys/class/net")) - cards
    assert not [card for card in left if "demo" in card]


def test_as_an_ordinary_user(clone_of_nobody: Clone) -> None:
    check_demo(clone_of_nobody, *clone_of_nobody.make_demo())
