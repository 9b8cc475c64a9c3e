# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cells of the tables in docs/strategies.md, and the playbooks that are run for them, several at a time."""

from __future__ import annotations

import itertools
import queue
import re
import shutil
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from support.plays import Play
from support.repository import REPOSITORY
from support.sites import Site, write_job

if t.TYPE_CHECKING:
    from support.redis_server import RedisServer

PAGE = REPOSITORY / "docs" / "strategies.md"
STRATEGIES = ("linear", "free", "host_pinned")
FORKS = (1, 2, 20)
TWO = ("server-1", "client-1")
TAGS = {"direct_links.yml": "set,remove", "virtual_lab.yml": "up,down"}

# Both machines have a test; the server has what a server has besides.
JOB = """
suite: table
cluster: two
if role server: {settle: , serve: , work: }
if role client: {work: }
"""
SCRIPTS = {
    "setup_settle": "exit 0",
    "daemon_serve": "sleep 600 &",
    "tests_work": 'echo "$node_roles" >"$RESULT_ROOT/roles"',
}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Cell:
    playbook: str
    text: str
    strategy: str = "linear"
    forks: int = 20
    option: str = ""

    def __str__(self) -> str:
        return f"{self.playbook}-{self.option or f'{self.strategy}-{self.forks}'}"

    @property
    def refusal(self) -> int | None:
        """The number of the sentence with which it is refused."""
        return int(self.text) if self.text.isdigit() else None

    @property
    def command(self) -> Command:
        """What is run for it. Playbooks that are to end well are run by one command, one after the other."""
        # Every run with 20 forks under the linear strategy shows differences.
        option = "" if self.option == "--diff" else self.option
        alone = self.refusal is not None or self.playbook == "two_controllers.yml"
        tags = TAGS.get(self.playbook, "other") if option == "--tags" else ""
        return Command(self.strategy, self.forks, option, tags, self.playbook if alone else "")


class Command(t.NamedTuple):
    """What the cells have in common whose playbooks are run by the same ansible-playbook processes."""

    strategy: str
    forks: int
    option: str
    tags: str
    alone: str

    @property
    def options(self) -> list[str]:
        """As they are typed, but for --limit."""
        shown = {"--check": ["--check", "--diff"], "--tags": ["--tags", self.tags]}
        diff = ["--diff"] if self[:3] == ("linear", 20, "") else []
        return [f"--forks={self.forks}", *shown.get(self.option, diff)]


def read_tables() -> list[Cell]:
    """All cells of the page, in its order."""
    cells: list[Cell] = []
    head: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        columns = [column.strip().replace("`", "") for column in line.strip("|").split("|")] if line[:1] == "|" else []
        if columns[:1] == ["playbook"]:
            head = columns[1:]
        elif columns and not columns[0].startswith("---"):
            cells += [_cell(columns[0], name, text) for name, text in zip(head, columns[1:], strict=True)]
    return cells


def _cell(playbook: str, column: str, text: str) -> Cell:
    strategy, _space, forks = column.partition(" ")
    if strategy in STRATEGIES:
        return Cell(playbook, text, strategy, int(forks))
    return Cell(playbook, text, option=column.removesuffix(": 1"))


def read_refusals() -> dict[int, str]:
    """The sentences of the page by their numbers, as patterns: with any number of hosts and forks."""
    found = re.findall(r"^(\d)\. (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {int(number): re.sub(r"\d+", r"\\d+", re.escape(sentence)) for number, sentence in found}


class Outcomes:
    """Runs what the wanted cells need, on every site one after the other, and keeps what became of it."""

    def __init__(self, folder: Path, sites: t.Sequence[Site], server: RedisServer, cells: t.Iterable[Cell]) -> None:
        self.folder = folder
        self.sites = sites
        self.server = server
        self.refusals = read_refusals()
        self.job = write_job(folder / "job", JOB, **SCRIPTS)
        self._write_clusters()
        self._free: queue.SimpleQueue[Site] = queue.SimpleQueue()
        for site in sites:
            self._free.put(site)
        self._pool = ThreadPoolExecutor(len(sites))
        playbooks: dict[Command, list[str]] = {}
        for cell in cells:
            of_command = playbooks.setdefault(cell.command, [])
            if cell.playbook not in of_command:
                of_command.append(cell.playbook)
        self._plays = {command: self._pool.submit(self._run, command, names) for command, names in playbooks.items()}

    def _write_clusters(self) -> None:
        (self.folder / "job" / "cluster").mkdir()
        for name, nodes in (("two", TWO), ("three", self.sites[0].lab.nodes)):
            content = {
                node: {"roles": [node.partition("-")[0]], "macs": self.sites[0].lab.macs(node)} for node in nodes
            }
            (self.folder / "job" / "cluster" / name).write_text(yaml.safe_dump({"nodes": content}, sort_keys=False))
            (self.folder / "job" / f"{name}.cluster.yml").write_text(
                f"plugin: lab.multidevice.cluster\ncluster: {name}\n"
            )

    def _run(self, command: Command, playbooks: t.Sequence[str]) -> list[Play]:
        site = self._free.get()
        try:
            if command.alone != "two_controllers.yml" or command.option == "--check":
                plays = [self._start(site, command, playbooks, limit="client-1,localhost")]
            elif command.option == "--limit":
                parts = {node: node.partition("-")[0] for node in site.lab.nodes}
                plays = [
                    self._start(site, command, playbooks, mine=role, limit=f"{node},localhost")
                    for node, role in parts.items()
                ]
            else:
                plays = [self._start(site, command, playbooks, mine=role) for role in ("server", "client")]
            for play in plays:
                play.wait(240)
            return plays
        finally:
            self._free.put(site)

    def _start(
        self, site: Site, command: Command, playbooks: t.Sequence[str], mine: str = "server", limit: str = ""
    ) -> Play:
        cluster = "three" if command.alone == "two_controllers.yml" else "two"
        variables = {
            "job": str(self.job),
            "cluster_name": cluster,
            "results": str(self.folder / "results"),
            "meeting": f"meeting-{'-'.join(map(str, command))}".replace("---", "-"),
            "mine": mine,
            "lab": f"{site.lab.name}-try-out",
        }
        # A lab that a playbook brings up has its files below the folder in which the command is typed.
        cwd = self.folder / site.lab.name
        cwd.mkdir(exist_ok=True)
        play = Play(
            self.folder,
            *self._paths(command, playbooks),
            *("-i", str(site.lab.inventory), "-i", str(self.folder / "job" / f"{cluster}.cluster.yml")),
            *command.options,
            *(["--limit", limit] if command.option == "--limit" else []),
            cwd=cwd,
            variables=variables,
            ANSIBLE_STRATEGY=command.strategy,
            ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / "playbooks" / "collections"),
            **({"MULTIDEVICE_REDIS_URL": self.server.url} if cluster == "three" else {}),
        )
        site.plays.append(play)
        return play

    def _paths(self, command: Command, playbooks: t.Sequence[str]) -> list[Path]:
        paths = [
            REPOSITORY / ("playbooks" if name == "multidevice.yml" else "examples/playbooks") / name
            for name in playbooks
        ]
        return [self._in_batches_of_one(path) for path in paths] if command.option == "serial" else paths

    def _in_batches_of_one(self, playbook: Path) -> Path:
        """A copy of a playbook with `serial: 1` in the plays of the machines."""
        copy = self.folder / f"serial-{next(_numbers)}"
        shutil.copytree(playbook.parent, copy, ignore=shutil.ignore_patterns("collections", "results"))
        plays = yaml.safe_load(playbook.read_text(encoding="utf-8"))
        for play in plays:
            if play["hosts"] != "localhost":
                play["serial"] = 1
        (copy / playbook.name).write_text(yaml.safe_dump(plays, sort_keys=False, width=1000), encoding="utf-8")
        return copy / playbook.name

    def check(self, cell: Cell) -> None:
        """Compare what became of a cell with what the page says."""
        plays = self._plays[cell.command].result()
        output = "\n".join(play.output for play in plays)
        if cell.refusal is not None:
            assert all(play.process.returncode for play in plays), output
            assert re.search(self.refusals[cell.refusal], " ".join(output.split())), output
            assert not list(plays[0].results.rglob("stdout")), output
            return
        assert not any(play.process.returncode for play in plays), output
        if cell.text == "none":
            assert "changed=0" in output and not re.search(r"changed=[1-9]", output), output
        elif cell.playbook == "multidevice.yml" and cell.option != "--check":
            assert [run["result"] for run in plays[0].summary["runs"]] == ["finish"]
            assert len(list(plays[0].results.rglob("test-work/roles"))) == len(TWO)
        else:
            assert re.search(r"(changed|ok)=[1-9]", output), output

    def check_machines(self) -> None:
        """No process, address or file of any cell is on a machine of the labs."""
        self._pool.shutdown()
        for site in self.sites:
            for node in site.lab.nodes:
                site.wait_until_clean(node)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
