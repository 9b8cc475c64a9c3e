# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual lab and whoever drives it: jobs in, clean machines out."""

from __future__ import annotations

import json
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.lab_fixture import Lab, virtual_lab
from support.plays import Play
from support.repository import REPOSITORY
from support.waiting import wait_until

# Runs on the machines. sshd's own processes come and go with Ansible's connections.
LOOK = r"""
import json, os, subprocess

def processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = open(f"/proc/{pid}/cmdline").read().replace("\0", " ").strip()
        except OSError:
            continue
        if command and int(pid) != os.getpid() and not command.startswith("sshd"):
            yield command

def names(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

def contents(folder):
    return {name: open(os.path.join(folder, name), errors="replace").read() for name in names(folder)}

devices = json.loads(subprocess.check_output(["ip", "-json", "address"]))
print(json.dumps({
    "processes": sorted(processes()),
    "cards": {
        device["ifname"]: ["UP" in device["flags"], [address["local"] for address in device["addr_info"]]]
        for device in devices if device["ifname"] not in ("lo", "eth0")
    },
    "hosts": open("/etc/hosts").read(),
    "runs": names("/var/tmp") + names("/run/multidevice"),
    "tmp": names("/tmp"),
    "ssh": contents("/root/.ssh"),
}))
"""


def write_job(folder: Path, text: str, **scripts: str) -> Path:
    """Write a job file and, beside it, its shell scripts, named like daemon_serve or tests_work."""
    for name, content in scripts.items():
        path = folder / name.replace("_", "/", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{content}")
        path.chmod(0o755)
    folder.mkdir(exist_ok=True)
    job = folder / "job.yaml"
    job.write_text(text)
    return job


@dataclass
class Site:
    """A virtual lab with plays on it."""

    folder: Path
    lab: Lab
    plays: list[Play] = field(default_factory=list)
    untouched: dict[str, t.Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.untouched = {node: self.look(node) for node in self.lab.nodes}

    def look(self, node: str) -> dict[str, t.Any]:
        """What there is on a machine that a run could have left."""
        state: dict[str, t.Any] = json.loads(self.lab.exec(node, [self.lab.state.settings.python, "-c", LOOK]).stdout)
        return state

    def cluster(
        self, nodes: t.Mapping[str, t.Sequence[str]], macs: t.Mapping[str, t.Sequence[str]] | None = None
    ) -> str:
        """Write a cluster file of machines and their roles; returns its name for a job."""
        known = {node: self.lab.macs(node) if node in self.lab.nodes else [] for node in nodes}
        of_nodes = {**known, **(macs or {})}
        content = {"nodes": {node: {"roles": roles, "macs": of_nodes[node]} for node, roles in nodes.items()}}
        path = self.folder / "job" / "cluster" / "some-machines"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path.name

    def job(self, text: str, **scripts: str) -> Path:
        """Write a job file and its scripts, named like daemon_serve or tests_work."""
        return write_job(self.folder / "job", text, **scripts)

    def start(
        self,
        job: Path | str,
        *options: str,
        playbook: str = "multidevice.yml",
        cwd: Path = REPOSITORY / "playbooks",
        variables: t.Mapping[str, t.Any] | None = None,
        **environment: str,
    ) -> Play:
        """Type the command. With the lab's inventory, unless there are options."""
        where = options or ("-i", str(self.lab.inventory))
        extra = {"job": str(job), **(variables or {})}
        play = Play(self.folder, playbook, *where, cwd=cwd, variables=extra, **environment)
        self.plays.append(play)
        return play

    def run(self, job: Path | str, *options: str, **settings: t.Any) -> Play:
        """Type the command and wait until it has ended."""
        play = self.start(job, *options, **settings)
        play.wait()
        return play

    def wait_for_script(self, play: Play, node: str, script: str, seconds: float = 40) -> None:
        """Until a script has said something."""
        look = ["sh", "-c", f"test -s /var/tmp/multidevice-0/*/results/{script}/stdout"]

        def has_started() -> bool:
            assert play.process.poll() is None, play.output
            return self.lab.exec(node, look, check=False).returncode == 0

        wait_until(f"{script} runs on {node}", has_started, seconds)

    def assert_clean(self, play: Play, *, lost: t.Container[str] = (), seconds: float = 15) -> None:
        """Within some seconds, nothing of the play is left, neither on the controller nor on any machine."""
        try:
            wait_until("nothing left on the controller", lambda: not play.left_behind(), seconds)
        except AssertionError:
            left = play.left_behind()
            assert not left, f"left on the controller: {left}\n{play.output}"
        for node in self.lab.nodes:
            if node not in lost:
                self.wait_until_clean(node, seconds)

    def wait_until_clean(self, node: str, seconds: float = 15) -> None:
        try:
            wait_until("clean", lambda: self.look(node) == self.untouched[node], seconds)
        except AssertionError:
            # The comparison shows what is different.
            assert self.look(node) == self.untouched[node], node


@contextmanager
def new_site(
    folder: Path,
    nodes: t.Mapping[str, t.Sequence[str]] | None = None,
    *,
    ssh: bool = False,
    shared_folders: t.Sequence[str] = (),
) -> t.Iterator[Site]:
    with virtual_lab(folder, nodes, ssh=ssh, shared_folders=shared_folders) as lab:
        site = Site(folder, lab)
        try:
            yield site
        finally:
            for play in site.plays:
                play.end()
