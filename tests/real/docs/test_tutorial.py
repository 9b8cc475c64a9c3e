# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tutorial, as a new user follows it: every file is written, every command typed, every output compared.

UPDATE_DOCS=1 writes what the commands have printed into the page, in place of what it shows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from docs.pages import DOCS, HOME, Command, File, blotted, sections, steps
from docs.terminal import ALONE, Terminal, terminal
from support.repository import REPOSITORY

PAGE = DOCS / "tutorial.md"
ADDRESS = "https://github.com/lab/multidevice.git"
# The two machines of the page, with the addresses and the cards that it names.
TWO_MACHINES = {
    "virtual_lab_name": "two-machines",
    "virtual_lab_ssh": True,
    "virtual_lab_management_network": "192.0.2.8/29",
    "virtual_lab_nodes": [{"name": "box-1", "roles": ["server"]}, {"name": "box-2", "roles": ["client"]}],
}


@pytest.fixture
def home() -> t.Iterator[Path]:
    # A unix socket's path can have 107 characters, pytest's folders are often too deep.
    folder = Path(tempfile.mkdtemp(prefix="md-docs-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """A login of a new user, for whom the page's address of the repository leads to the files that are tested."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "PIP_CACHE_DIR", "PIP_INDEX_URL")}
    (home / "run").mkdir(mode=0o700)
    published = home / "published"
    published.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        if (REPOSITORY / name).exists():
            (published / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, published / name, follow_symlinks=False)
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message=all"]):
        subprocess.run(["git", *command], cwd=published, check=True, stdin=subprocess.DEVNULL)
    return {
        **kept,
        "PATH": f"{home / 'bin'}:{Path(sys.executable).parent}:{kept['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{published}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


class Reader:
    """Follows a page step by step."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.printed: list[tuple[Command, str]] = []

    def follow(self, text: str, at: Terminal, folder: Path) -> None:
        todo = list(steps(text))
        assert todo
        for step, after in zip(todo, [*todo[1:], None], strict=True):
            if isinstance(step, File):
                path = folder / step.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text)
                continue
            started = time.monotonic()
            answer = at.type(step.text)
            output = answer.output.replace(str(self.home), HOME)
            # Shown by pytest when something fails.
            print(f"$ {step.text}  # took {time.monotonic() - started:.1f} s\n{output}", end="")
            if step.text.startswith("python3 -m venv "):
                borrow_packages(folder.parent / step.text.split()[-1])
            asked = isinstance(after, Command) and after.text == "echo $?"
            assert (answer.code == 0) != asked, f"{step.text} ended with {answer.code}:\n{output}"
            if step.shown:
                self.printed.append((step, output))

    def compare(self, page: Path) -> None:
        if os.environ.get("UPDATE_DOCS"):
            text = page.read_text()
            for step, output in sorted(self.printed, key=lambda item: item[0].span, reverse=True):
                start, end = step.span
                lines = (re.sub(r"(?<=\w)@if\d+|\s+$", "", line) for line in output.rstrip().splitlines())
                text = text[:start] + "".join(f"{line}\n" for line in lines) + text[end:]
            page.write_text(text)
            return
        for step, output in self.printed:
            assert blotted(output) == blotted(step.shown), f"{step.text} has printed:\n{output}"


def borrow_packages(environment: Path) -> None:
    """Have pip find the requirements installed: to install them for real is what the test of the demo does."""
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")


def let_in(home: Path, inventory: Path) -> None:
    """Give the reader the key of the lab's machines, as a user of real machines has one."""
    group = yaml.safe_load(inventory.read_text())["all"]["children"]["virtual_lab"]["vars"]
    key = Path(group["ansible_ssh_private_key_file"])
    settings = home / "ssh_config"
    settings.write_text(f"IdentityFile {key}\nUserKnownHostsFile {key.parent}/known_hosts\nStrictHostKeyChecking yes\n")
    program = home / "bin" / "ssh"
    program.parent.mkdir()
    # ssh looks for ~/.ssh in the folder that the list of users names, not in HOME.
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {settings} "$@"\n')
    program.chmod(0o755)


def test_every_command_works_and_prints_what_is_shown(home: Path, environment: dict[str, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("brings up machines that are reached over ssh, as only root can")
    parts = sections(PAGE.read_text())
    assert len(parts) == 3
    installation, without_hardware, two_machines = parts.values()
    reader = Reader(home)
    with terminal(home, environment) as first:
        reader.follow(installation, first, home / "first-run")
    with terminal(home / "first-run", environment, ALONE) as second:
        second.type("ip link set lo up && . ../multidevice-environment/bin/activate")
        reader.follow(without_hardware, second, home / "first-run")
        options = json.dumps({**TWO_MACHINES, "virtual_lab_dir": str(home / "lab")})
        up = second.type(f"ansible-playbook lab.multidevice.lab_up -e '{options}'")
        assert up.code == 0, up.output
        let_in(home, home / "lab" / "inventory.yml")
        reader.follow(two_machines, second, home / "first-run")
    reader.compare(PAGE)
