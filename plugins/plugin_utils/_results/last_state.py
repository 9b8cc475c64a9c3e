# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ReasonKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.node_outcome import came_to_its_end


def last_state_lines(run: t.Mapping[str, t.Any], node: str) -> list[str]:
    """What the tools around lkp-tests read of a node that did not end well: lines like ``test.netperf.exit_code.2: 1``.

    :param run: a run of the summary.
    :param node: the name of one of its nodes. Without a failure there are no lines.
    """
    failed = [script for script in run["nodes"][node]["scripts"] if script["exit_code"] and not script["stopped"]]
    lines = [f"{script['kind']}.{script['name']}.exit_code.{script['exit_code']}: 1" for script in failed]
    if failed:
        lines.append("exit_fail: 1")
    reason = run["reason"]
    if reason is not None:
        if reason.get("kind") == ReasonKind.TIMEOUT:
            lines.append("cluster.timeout: 1")
        elif reason["node"] != node or came_to_its_end(run):
            lines.append("cluster.abort: 1")
    return lines
