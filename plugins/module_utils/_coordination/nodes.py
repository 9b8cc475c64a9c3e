# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import Reported, compact
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Reason, ReasonKind, Report, State


class Nodes(Subject):
    """What a node is, and how far it has come."""

    def record(self, job_id: str) -> dict[str, t.Any]:
        """The record of one node."""
        key = f"{self._prefix}cluster_state"
        text = self._connection.call(lambda r: t.cast("str | None", r.hget(key, job_id)))
        if text is None:
            raise self._unknown(f"job {job_id}")
        found: dict[str, t.Any] = json.loads(text)
        return found

    def write_state(
        self,
        job_id: str,
        *,
        ip: str | None,
        roles: t.Sequence[str] | None = None,
        direct_macs: t.Sequence[str] | None = None,
        direct_ips: t.Sequence[str] | None = None,
        dry: bool = False,
    ) -> bool:
        """Record what a node is and has; what is not given stays as it was registered."""
        old = self.record(job_id)
        head = records.node_record(
            old["cluster_id"],
            old["node"],
            roles=old["roles"] if roles is None else roles,
            ip=ip,
            direct_macs=old["direct_macs"] if direct_macs is None else direct_macs,
            direct_ips=old["direct_ips"] if direct_ips is None else direct_ips,
        )
        return bool(self._of_job(commands.WRITE_STATE, job_id, head, int(dry)))

    def report(self, job_id: str, state: str, reason: Reason | None = None, *, dry: bool = False) -> Reported:
        """Report `started`, `finished`, `failed` or `abort`; the last two abort the whole run."""
        try:
            reported = Report(state)
        except ValueError:
            raise InputError(f"{state!r} is no state to report; right would be one of {', '.join(Report)}") from None
        text = ""
        if reported.recorded is State.ABORT:
            node = self.record(job_id)["node"]
            text = compact(records.complete_reason(reason, node=node, kind=ReasonKind(reported.value)))
        changed, verdict, first = self._of_job(commands.REPORT, job_id, str(reported.recorded), text, int(dry))
        return Reported(bool(changed), verdict or None, records.read_reason(first))
