# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The relay with a supervisor on this machine, and no ansible-playbook."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _install
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _server
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._node_connection import NodeConnection

from node.supervised import TOKEN, Machine, script
from support.waiting import wait_until

# Saves what it has when it is told to end, for longer than the usual second.
SAVES = """\
trap 'sleep 1.5; echo saved; exit 0' TERM
head -c 5000 /dev/zero >"$RESULT_ROOT/large"
echo here
while :; do sleep 0.1; done
"""


def test_what_ends_early_is_ended_with_the_settings_of_the_play(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time between TERM and KILL, for which the relay waits too, and how much of the results is fetched."""
    monkeypatch.setattr(_server, "END_TIMEOUT", 1.0)
    folder, controller = machine.new_run(job_id="s.1.1")
    controller.ask("start", phase="test", scripts=[script("test", SAVES)], armed=False)
    said = folder / "results" / "test-it" / "stdout"
    wait_until("the test has said something", lambda: said.exists() and said.read_bytes())
    (tmp_path / "relay").mkdir()
    asyncio.run(end_early(tmp_path, _install.attach_command(folder)))
    results = tmp_path / "results" / "s" / "runs" / "1" / "nodes" / "here"
    assert (results / "test-it" / "stdout").read_text() == "here\nsaved\n"
    assert sum(path.stat().st_size for path in results.rglob("*") if path.is_file()) == 3000


async def end_early(folder: Path, command: list[str]) -> None:
    """What the relay does when its ansible-playbook has ended in the middle."""
    relay = _server.Relay(folder / "relay")
    nodes = [{"job_id": "s.1.1", "node": "here"}]
    plan = {"submission_id": "s", "runs": [{"number": 1, "nodes": nodes}]}
    relay.results.promise({"plan": plan, "dest": str(folder / "results"), "redis": {}, "strict": False})
    settings = {"lease": 30.0, "grace": 30.0, "limit": 3000, "redis": None}
    await relay._op_attach({**nodes[0], "cluster_id": None, "commands": [command], "token": TOKEN, **settings})
    await relay._end_runs()


def test_a_machine_that_sends_no_messages_is_one_that_cannot_be_reached() -> None:
    asyncio.run(meet_nonsense())


async def meet_nonsense() -> None:
    connection = NodeConnection(
        job_id="s.1.1",
        node="here",
        cluster_id=None,
        commands=[["/bin/sh", "-c", "echo nonsense; exec cat"]],
        token=TOKEN,
        lease=30.0,
        grace=1.0,
        limit=0,
        on_event=lambda _connection, _event: None,
        on_open=lambda _connection: None,
        on_gone=lambda _connection: None,
    )
    try:
        with pytest.raises(NodeError, match="no line to the supervisor on here after 1 s: it sends something else"):
            await connection.connected(1.0)
    finally:
        await connection.close()
