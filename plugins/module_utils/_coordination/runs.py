# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import secrets
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import compact
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    EventName,
    Reason,
    ReasonKind,
    make_reason,
)


class Runs(Subject):
    """What is done to whole runs: watched over while they go on, and ended."""

    def renew_leases(self, cluster_id: str, nodes: t.Sequence[str], seconds: float) -> None:
        """Promise that these nodes are heard from again within so many seconds."""
        if nodes:
            self._of_run(commands.RENEW_LEASES, cluster_id, int(seconds * 1000), *nodes)

    def drop_lease(self, cluster_id: str, node: str) -> None:
        """A node need not be heard from any more."""
        self._of_run(commands.DROP_LEASE, cluster_id, node)

    def sweep(self, cluster_id: str) -> Reason | None:
        """Abort the run if a lease or a deadline has passed; the reason if the run is aborted, by this or before."""
        return records.read_reason(self._of_run(commands.SWEEP, cluster_id))

    def record_event(self, cluster_id: str, node: str | None, what: str, data: t.Any = None) -> None:
        """Put into the timeline what is known of a node, or of the whole run."""
        text = "" if data is None else compact(data)
        self._of_run(commands.RECORD_EVENT, cluster_id, secrets.token_hex(8), node or "", what, text)

    def warn(self, cluster_id: str, text: str, *, node: str | None = None) -> None:
        """Warn of something that a run, or a node of it, ends well in spite of: it is told wherever the verdict is."""
        self.record_event(cluster_id, node, EventName.WARNING, {"text": text})

    def abort(self, cluster_id: str, reason: Reason | None = None, *, dry: bool = False) -> bool:
        """Abort a run from outside. False when it has its verdict already."""
        text = compact(records.complete_reason(reason, kind=ReasonKind.ABORT))
        return bool(self._of_run(commands.ABORT_RUN, cluster_id, text, int(dry)))

    def close(self, cluster_id: str) -> bool:
        """A run is over and all of its nodes are clean; from now on counts how long it is kept."""
        reason = make_reason("the run was closed before it had finished")
        return bool(self._of_run(commands.CLOSE_RUN, cluster_id, compact(reason)))

    def remove(self, cluster_id: str, *, dry: bool = False) -> bool:
        """Forget a run now. False when there is none of that name."""
        reason = make_reason("the run was removed before it had finished")
        return bool(self._of_all(commands.REMOVE_RUN, cluster_id, compact(reason), int(dry)))
