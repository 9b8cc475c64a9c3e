# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine whose Python answers what it likes instead of running modules. Nothing of it becomes a variable of the play."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders, _install, _ssh, _undo
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _server

from node.supervised import TOKEN, Machine
from support.plays import REPOSITORY, Play

STOLEN = "stolen-by-the-machine"
FACTS = {
    "ansible_facts": {"multidevice_results_dir": STOLEN, "multidevice_node_jobs": [{"archives": {"/": "/etc/shadow"}}]}
}
PYTHON = """\
#!{python}
import json
print(json.dumps(json.loads({answer!r})))
"""
MODULES = {
    "role_scripts": {"lab.multidevice.role_scripts": {"job_id": "hostile.1.1", "state": "absent"}},
    "direct_link": {"lab.multidevice.direct_link": {"job_id": "hostile.1.1", "state": "absent"}},
}


def play(folder: Path, task: dict[str, t.Any], answer: dict[str, t.Any]) -> Play:
    """A play on a machine with that answer; the last task prints what its variables have become."""
    python = folder / "python3"
    python.write_text(PYTHON.format(python=sys.executable, answer=json.dumps(answer)), encoding="utf-8")
    python.chmod(0o755)
    seen = {
        "ansible.builtin.debug": {
            "msg": "dir={{ multidevice_results_dir | default('unset') }} answer={{ told | to_json }}"
        }
    }
    tasks = [{**task, "register": "told", "ignore_errors": True}, seen]
    plays = [{"hosts": "machine", "gather_facts": False, "tasks": tasks}]
    (folder / "playbook.yml").write_text(json.dumps(plays), encoding="utf-8")
    host = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"machine": host}}}), encoding="utf-8")
    return Play(
        folder,
        folder / "playbook.yml",
        "-i",
        folder / "hosts.json",
        cwd=REPOSITORY / "playbooks",
        variables={"multidevice_results_dir": None},
        ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / "playbooks" / "collections"),
    )


@pytest.mark.parametrize("module", sorted(MODULES))
def test_an_answer_sets_no_variable(tmp_path: Path, module: str) -> None:
    playing = play(tmp_path, MODULES[module], {"changed": True, "invocation": {}, **FACTS})
    try:
        assert playing.wait() == 0, playing.output
        assert "dir=unset" in playing.output
        assert STOLEN not in playing.output and "/etc/shadow" not in playing.output
    finally:
        playing.end()


@pytest.mark.parametrize(
    ("ip", "attach"), [("192.0.2.1\n192.0.2.1 controller", ["true"]), ("192.0.2.1", "true; reboot"), (3, ["true"])]
)
def test_an_answer_that_is_not_the_modules_is_refused(tmp_path: Path, ip: t.Any, attach: t.Any) -> None:
    task = {"lab.multidevice.role_scripts": {"job_id": "hostile.1.1", "state": "present"}}
    playing = play(tmp_path, task, {"changed": True, "ip": ip, "attach": attach, **FACTS})
    try:
        assert playing.wait() == 0, playing.output
        assert "this is not the module's answer" in playing.output and "dir=unset" in playing.output
    finally:
        playing.end()


FORGED = [
    ["192.0.2.1\n192.0.2.9 controller", "server"],
    ["192.0.2.1 # END multidevice s.1.1\n192.0.2.9", "server"],
    ["192.0.2.1", "server\n192.0.2.9 controller"],
    ["192.0.2.1", "server controller"],
    ["me", "server"],
    [["192.0.2.1"], "server"],
]


@pytest.mark.parametrize("entry", FORGED)
def test_what_another_machine_has_said_adds_no_line_to_the_hosts_file(machine: Machine, entry: list[t.Any]) -> None:
    _folder, controller = machine.new_run()
    refused = controller.ask("export", env={}, hosts=[["192.0.2.1", "client"], entry])
    assert not refused["ok"]
    assert "no IP address" in refused["text"] or "no name of a node" in refused["text"]
    assert controller.ask("export", env={}, hosts=[["192.0.2.1", "client"]])["ok"]
    assert controller.ask("end")["ok"]


@pytest.mark.parametrize(
    "line", ["a\nb", "a\rb", "a\u2028b", "a\x0bb", "# END multidevice s.1.1", "# BEGIN multidevice x"]
)
def test_a_line_of_a_block_is_one_line(tmp_path: Path, line: str) -> None:
    folder = _folders.create(tmp_path / "base", "s.1.1", {})
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    with pytest.raises(InputError, match="cannot be a line of the file"):
        _undo.put_block(folder, path, ["192.0.2.1 server", line])
    assert path.read_text() == "127.0.0.1 localhost\n"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEd3 multidevice s.1.1"


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ([f'command="reboot" {KEY}'], ["server"]),
        ([f"{KEY}\n{KEY}"], ["server"]),
        (["no key"], ["server"]),
        ([KEY], ["server\n  ProxyCommand reboot"]),
        ([KEY], ["*"]),
        ([KEY], ["server other"]),
    ],
)
def test_nobody_is_let_in_but_by_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[str], names: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = _folders.create(tmp_path / "base", "s.1.1", {})
    with pytest.raises(InputError):
        _ssh.let_in(folder, [KEY, *keys], ["client", *names])
    assert not (tmp_path / ".ssh").exists()
    _ssh.let_in(folder, [KEY], ["client", "10g.client", "192.0.2.1", "2001:db8::1"])
    assert (tmp_path / ".ssh" / "authorized_keys").read_text().count("\n") == 3


def test_results_go_where_they_were_promised_and_nowhere_else(machine: Machine, tmp_path: Path) -> None:
    folder, controller = machine.new_run(job_id="s.1.1")
    (tmp_path / "relay").mkdir()
    asyncio.run(collect(tmp_path, _install.attach_command(folder)))
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "results" / "s" / "runs" / "1" / "nodes" / "here").is_dir()
    assert controller.ask("end")["ok"]


async def collect(folder: Path, command: list[str]) -> None:
    relay = _server.Relay(folder / "relay")
    node = {"job_id": "s.1.1", "node": "here"}
    settings = {"lease": 30.0, "grace": 1.0, "limit": 3000, "redis": None}
    await relay._op_attach({**node, "cluster_id": None, "commands": [command], "token": TOKEN, **settings})
    plan = {"submission_id": "s", "runs": [{"number": 1, "nodes": [node]}]}
    relay.results.promise({"plan": plan, "dest": str(folder / "results"), "redis": {}, "strict": False})
    promised = folder / "results" / "s" / "runs" / "1" / "nodes" / "here"
    for dest in (folder / "elsewhere", promised / ".." / "other", promised.parent):
        with pytest.raises(NodeError, match=f"the results of here belong into {promised}, and nowhere else"):
            await relay._op_collect({**node, "dest": str(dest), "limit": 3000})
    await relay._op_collect({**node, "dest": str(promised), "limit": 3000})
    await relay.connections["s.1.1", "here"].close()


# Instead of a supervisor: it lets in whoever comes, and sends as results what it was told to.
SUPERVISOR = """
import base64, json, sys, time
archive = base64.b64decode(sys.argv[1])
pieces = [archive[at:at + 65536] for at in range(0, len(archive), 65536)] or [b""]
offset, number = 0, 0
for line in sys.stdin:
    asked = json.loads(line)
    answer = {"id": asked["id"], "ok": True, "events": [], "time": time.time(), "phases": {}, "scripts": []}
    if asked["op"] == "collect":
        offset = number = 0
    if asked["op"] == "read":
        piece = pieces[number] if number < len(pieces) else b""
        answer.update(offset=offset, data=base64.b64encode(piece).decode(), notes=[])
        number, offset = number + 1, offset + len(piece)
    print(json.dumps(answer), flush=True)
"""


def archive_of(kind: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        member = tarfile.TarInfo("stdout")
        member.size = 5
        packed.addfile(member, io.BytesIO(b"hello"))
    whole = stream.getvalue()
    return {
        "no archive": b"garbage",
        "nothing": b"",
        "a stream that breaks off": gzip.compress(whole)[:-20],
        "a number that is none": gzip.compress(whole[:124] + b"\0x\xff9" + whole[128:]),
        "far more than it says": gzip.compress(whole + bytes(60_000_000)),
    }[kind]


class Told:
    """What a run is told of its nodes."""

    def __init__(self) -> None:
        self.connections: dict[str, t.Any] = {}
        self.said: list[tuple[str, t.Any]] = []

    def tell(self, connection: t.Any, what: str, data: t.Any = None) -> None:
        self.said.append((what, data))

    def __getattr__(self, name: str) -> t.Any:
        return lambda *arguments: None


@pytest.mark.parametrize(
    "kind", ["no archive", "nothing", "a stream that breaks off", "a number that is none", "far more than it says"]
)
def test_whatever_keeps_results_away_is_told(tmp_path: Path, kind: str) -> None:
    (tmp_path / "relay").mkdir()
    told = Told()
    with pytest.raises(NodeError):
        asyncio.run(fetch(tmp_path, archive_of(kind), told))
    assert [what for what, _data in told.said] == ["results_lost"]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 100_000


async def fetch(folder: Path, archive: bytes, told: Told) -> None:
    relay = _server.Relay(folder / "relay")
    node = {"job_id": "s.1.1", "node": "here"}
    command = [sys.executable, "-c", SUPERVISOR, base64.b64encode(archive).decode()]
    settings = {"lease": 30.0, "grace": 1.0, "limit": 3000, "redis": None}
    await relay._op_attach({**node, "cluster_id": None, "commands": [command], "token": TOKEN, **settings})
    connection = relay.connections["s.1.1", "here"]
    connection.cluster_id = "s.1"
    relay.drivers["s.1"] = t.cast(t.Any, told)
    try:
        await relay._op_collect({**node, "dest": str(folder / "results"), "limit": 3000})
    finally:
        await connection.close()
