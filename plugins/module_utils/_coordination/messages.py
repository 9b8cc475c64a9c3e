# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import secrets
import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import Received
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_SLICE
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Verdict

MESSAGES_KEPT = 10000


class Messages(Subject):
    """What the nodes of a run tell one another, by keys."""

    def send(self, cluster_id: str, node: str, key: str, value: str) -> str:
        """Append a message for the whole run; returns its position."""
        records.check_name("message key", key)
        token = secrets.token_hex(8)
        return str(self._of_run(commands.SEND_MESSAGE, cluster_id, token, node, key, value, MESSAGES_KEPT))

    def receive(
        self, cluster_id: str, key: str, *, position: str = "0", slice_seconds: float = DEFAULT_SLICE
    ) -> Received:
        """The messages of a key after a position; waits for one at most a slice, and no longer than the run goes on."""
        records.check_name("message key", key)
        messages, verdicts = self._key(cluster_id, f"messages/{key}"), self._key(cluster_id, "verdicts")
        end = time.monotonic() + slice_seconds
        seen, verdict, reason = self._connection.call(
            lambda r: t.cast(list, r.hmget(self._key(cluster_id), ["position", "verdict", "reason"]))
        )
        if seen is None:
            raise self._unknown(f"run {cluster_id}")
        while True:
            left = 0.0 if verdict else end - time.monotonic()
            found = self._connection.read({messages: position, verdicts: seen}, left)
            for entry_id, entry in found.get(verdicts, []):
                seen = entry_id
                for end_of_run in entry.keys() & set(Verdict):
                    verdict, reason = end_of_run, entry[end_of_run]
            got = [
                {
                    "node": entry["node"],
                    "value": entry["value"],
                    "time": records.time_of(entry_id),
                    "position": entry_id,
                }
                for entry_id, entry in found.get(messages, [])
            ]
            if got or verdict or left <= 0:
                last = str(got[-1]["position"]) if got else position
                return Received(last, got, verdict or None, records.read_reason(reason))

    def time_waited(self, cluster_id: str, what: str) -> float:
        """Since how many seconds something has been asked for in vain, over all slices of a wait."""
        return int(self._of_run(commands.RECEIVING, cluster_id, what, 0)) / 1000

    def end_wait(self, cluster_id: str, what: str) -> None:
        """The wait for it is over."""
        self._of_run(commands.RECEIVING, cluster_id, what, 1)
