# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import math
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import EventName, Phase, ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._node_connection import NodeConnection


class StartSkew:
    """How far apart the first tests of a run's nodes have started, by the controller's clock."""

    def __init__(self) -> None:
        self._starts: dict[str, float] = {}
        self._without: set[str] = set()
        self._told = False

    def take_event(
        self, connection: NodeConnection, event: Message, connections: t.Collection[NodeConnection]
    ) -> Message | None:
        """Take note of an event; with the last node's start comes the answer, once.

        ``seconds`` lie between the first start and the last, ``error`` is how wrong that may be.
        """
        if self._told:
            return None
        if event["event"] == EventName.SCRIPT:
            script = event["script"]
            if script["kind"] == ScriptKind.TEST and script["started"] is not None:
                self._starts.setdefault(connection.node, connection.clock.ours(script["started"]))
        elif event["event"] == EventName.PHASE and event["phase"] == Phase.TEST:
            self._without.add(connection.node)
        if not self._starts or any(other.node not in {*self._starts, *self._without} for other in connections):
            return None
        self._told = True
        error = max(other.clock.error for other in connections if other.node in self._starts)
        if not math.isfinite(error):
            return None
        first = min(self._starts.values())
        after = {node: round(start - first, 6) for node, start in self._starts.items()}
        return {"seconds": max(after.values()), "error": round(2 * error, 6), "nodes": after}
