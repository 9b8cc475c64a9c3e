# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The progress in a real terminal, and of a run that another process drives."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from support.plays import PROGRAM, Play
from support.redis_server import RedisServer, binaries
from support.repository import REPOSITORY
from support.sites import Site
from support.waiting import wait_until

JOBS = Path(__file__).parent / "site"
MINUTE = "60"


class Terminal:
    """A terminal that tmux shows to nobody."""

    def __init__(self, folder: Path, command: str, *, width: int, height: int) -> None:
        self._socket = str(folder / "tmux")
        self._tmux(
            "new-session", "-d", "-x", str(width), "-y", str(height), f"{command}; echo ended $?; sleep {MINUTE}"
        )

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

    def screen(self) -> list[str]:
        """The lines that are seen now."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines() if line.strip()]

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> t.Iterator[t.Callable[..., Terminal]]:
    if shutil.which("tmux") is None:
        pytest.skip("looks at a terminal in tmux, which is not installed (Debian: tmux)")
    opened: list[Terminal] = []

    def start(command: str, *, width: int = 100, height: int = 30) -> Terminal:
        opened.append(Terminal(tmp_path, command, width=width, height=height))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_the_progress_of_a_run(site: Site, terminal: t.Callable[..., Terminal], tmp_path: Path) -> None:
    assert site.lab is not None
    variables = {
        "job": str(JOBS / "slow.yaml"),
        "multidevice_cluster": str(site.lab.cluster_file),
        "multidevice_results_dir": str(tmp_path / "results"),
        # With it, the server goes on to its next barrier while the clients still work.
        "multidevice_strategy": "free",
    }
    environment = {"ANSIBLE_STDOUT_CALLBACK": "lab.multidevice.progress", "HOME": str(tmp_path), "TMPDIR": "/tmp"}
    command = ["env", *(f"{name}={value}" for name, value in environment.items()), str(PROGRAM)]
    command += [str(REPOSITORY / "playbooks" / "multidevice.yml"), "-i", str(site.lab.inventory)]
    shown = terminal(f"cd {REPOSITORY} && {shlex.join([*command, '-e', json.dumps(variables)])}")
    screens: list[list[str]] = []
    deadline = time.monotonic() + 120
    while not any(line.startswith("ended") for line in shown.screen()):
        assert time.monotonic() < deadline, screens[-1]
        screens.append(shown.screen())
        time.sleep(0.3)
    assert all(len(screen) < 30 for screen in screens), "it fits the screen"
    tell_all = [
        screen
        for screen in screens
        if any("waited for at finish since" in line and line.endswith("client-1, client-2") for line in screen)
        and any("client-1, client-2" in line and "test says 0:0" in line for line in screen)
    ]
    assert tell_all, screens
    last = tell_all[-1]
    assert any("server-1" in line and "waits at finish" in line and "+ daemon answers" in line for line in last), last
    assert any("start 3/3 ✔   ready 3/3 ✔   finish 1/3" in line for line in last), last
    end = shown.screen()
    assert not any(line.startswith("—") for line in end), "nothing of it stays"
    assert end[-1] == "ended 0", end
    assert end[-2].endswith(": finish")
    assert sum("test says runs" in line for line in end) == 1


def test_everything_is_shown_on_demand(site: Site) -> None:
    assert site.lab is not None
    variables = {"multidevice_cluster": str(site.lab.cluster_file)}
    arguments = ("-i", str(site.lab.inventory), "-v")
    play = site.run(
        JOBS / "slow.yaml", *arguments, variables=variables, ANSIBLE_STDOUT_CALLBACK="lab.multidevice.progress"
    )
    assert play.process.returncode == 0
    for words in (
        "PLAY RECAP",
        "TASK [lab.multidevice.cluster : Meet the others at ready]",
        "skipping:",
        "included:",
        "start: 3 nodes together",
    ):
        assert words in play.output


def test_the_tasks_of_others_are_shown(site: Site, tmp_path: Path) -> None:
    assert site.lab is not None
    book = tmp_path / "site.yml"
    tasks = [
        {"name": "My own", "ansible.builtin.debug": {"msg": "before"}},
        {"name": "Not now", "ansible.builtin.debug": {"msg": "x"}, "when": False},
    ]
    plays = [
        {"hosts": "localhost", "gather_facts": False, "name": "Mine", "tasks": tasks},
        {"ansible.builtin.import_playbook": "lab.multidevice.multidevice"},
    ]
    book.write_text(json.dumps(plays))
    play = Play(
        tmp_path,
        str(book),
        "-i",
        str(site.lab.inventory),
        cwd=tmp_path,
        variables={"job": str(JOBS / "slow.yaml"), "multidevice_cluster": str(site.lab.cluster_file)},
        ANSIBLE_STDOUT_CALLBACK="lab.multidevice.progress",
        ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / "playbooks" / "collections"),
    )
    try:
        assert play.wait() == 0, play.output
    finally:
        play.end()
    for words in ("PLAY [Mine]", "TASK [My own]", "TASK [Not now]", "skipping: [localhost]", "PLAY RECAP", ": finish"):
        assert words in play.output
    assert "wait_ready" not in play.output


def test_a_run_is_followed_from_elsewhere(site: Site, tmp_path: Path) -> None:
    assert site.lab is not None
    with contextlib.closing(RedisServer(next(iter(binaries().values())))) as server:
        redis = {"multidevice_redis_url": server.url}
        variables = {"multidevice_cluster": str(site.lab.cluster_file), **redis}
        driven = site.start(JOBS / "slow.yaml", variables=variables)
        wait_until("the run is registered", lambda: "Take the machines" in driven.output, 60)
        follower = Play(tmp_path, "status.yml", cwd=REPOSITORY / "playbooks", variables={**redis, "follow": True})
        site.plays.append(follower)
        assert follower.wait(120) == 0, follower.output
        assert driven.wait() == 0, driven.output
    for words in ("start: 3 nodes together", "client-1, client-2: test says runs", "finish after"):
        assert words in follower.output
