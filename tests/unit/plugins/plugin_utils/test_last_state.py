# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.last_state import last_state_lines


def run_with(reason: dict[str, t.Any] | None, *scripts: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"reason": reason, "nodes": {"client-1": {"scripts": list(scripts)}}}


def script(name: str, exit_code: int | None, kind: str = "test", stopped: bool = False) -> dict[str, t.Any]:
    return {"name": name, "kind": kind, "exit_code": exit_code, "stopped": stopped}


OWN = {"node": "client-1", "kind": "failed"}
OTHERS = {"node": "server-1", "kind": "failed"}


@pytest.mark.parametrize(
    ("run", "lines"),
    [
        (run_with(None, script("netperf", 0)), []),
        (run_with(None), []),
        (run_with(OWN, script("netperf", 2)), ["test.netperf.exit_code.2: 1", "exit_fail: 1"]),
        (
            run_with(OWN, script("netserver", 1, "daemon"), script("netperf", -15, stopped=True)),
            ["daemon.netserver.exit_code.1: 1", "exit_fail: 1"],
        ),
        (run_with(OTHERS, script("netperf", -15, stopped=True)), ["cluster.abort: 1"]),
        (run_with(OTHERS, script("netperf", None)), ["cluster.abort: 1"]),
        (run_with({"node": "server-1"}), ["cluster.abort: 1"]),
        (
            run_with(OTHERS, script("disk", 3, "setup"), script("a", 0), script("netperf", 2)),
            ["setup.disk.exit_code.3: 1", "test.netperf.exit_code.2: 1", "exit_fail: 1", "cluster.abort: 1"],
        ),
        (
            run_with({"node": None, "kind": "timeout"}, script("netperf", -9)),
            ["test.netperf.exit_code.-9: 1", "exit_fail: 1", "cluster.timeout: 1"],
        ),
        (run_with(OWN, script("netperf", 0)), []),
        (run_with({"node": "client-1", "kind": "results_lost"}, script("netperf", 0)), ["cluster.abort: 1"]),
        (run_with({"node": None, "kind": "timeout"}), ["cluster.timeout: 1"]),
        (run_with({"node": "client-1", "kind": "timeout"}), ["cluster.timeout: 1"]),
    ],
)
def test_lines(run: dict[str, t.Any], lines: list[str]) -> None:
    assert last_state_lines(run, "client-1") == lines
