# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import functools
import json
import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import Answer, Arrival, compact
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RETRIES, DEFAULT_SLICE
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier, Verdict


class Barriers(Subject):
    """The points that no node passes before all have arrived."""

    def arrive(
        self,
        job_id: str,
        barrier: str,
        *,
        nodes: t.Sequence[str] | None = None,
        roles: t.Sequence[str] | None = None,
        timeout: float | None = None,
        pause: float | None = None,
        tell_missing: bool = False,
        dry: bool = False,
    ) -> Arrival:
        """Arrive at a barrier; answers at once, with the verdict if there is one.

        :param pause: the one who arrives waits, and holds the node's lease: until so many seconds, and a lease, later.
        :param tell_missing: whether to tell who is missing, too.
        """
        return self._arrive(job_id, barrier, nodes, roles, timeout, pause, tell_missing=tell_missing, dry=dry)

    def wait(
        self,
        job_id: str,
        barrier: str,
        *,
        arrival: Arrival | None = None,
        slice_seconds: float = DEFAULT_SLICE,
        retries: int = DEFAULT_RETRIES,
        timeout: float | None = None,
        nodes: t.Sequence[str] | None = None,
        roles: t.Sequence[str] | None = None,
        pause: float = 0.0,
    ) -> Answer:
        """Wait one slice for a barrier's verdict.

        Arrives unless that has just been done. Unless a keeper renews the node's lease, the waiter holds it: until
        `pause` seconds (what may pass before the next slice) and a lease after its last sign.
        `retries` slices may end without a verdict (0: any number); the next one aborts the run.

        :param arrival: what arriving has answered for this very slice.
        """
        end = time.monotonic() + slice_seconds
        sign = functools.partial(self._arrive, job_id, barrier, nodes, roles, timeout, pause, retries=retries)
        first = arrival = arrival or sign()
        # When the first node has come, by this clock. Redis has counted from then on, however long its answer took.
        since = time.monotonic() - first.waited
        position = first.position
        while not arrival.verdict:
            now = time.monotonic()
            if now >= end:
                arrival = sign(retry=arrival.retries + 1, tell_missing=True)
                break
            until = min(end, now + arrival.lease / 3)
            if timeout is not None and now < since + timeout:
                until = min(until, since + timeout + 0.02)
            verdict, position = self._next_verdict(records.cluster_of(job_id), barrier, position, until)
            if verdict == barrier:
                return Answer(barrier, waited=time.monotonic() - since, changed=first.changed)
            if verdict or until < end:
                arrival = sign(tell_missing=verdict is not None)
        if arrival.verdict != barrier and arrival.missing_nodes is None:
            arrival = sign(tell_missing=True)
        return Answer(
            arrival.verdict or "retry",
            arrival.reason,
            arrival.missing_nodes or [],
            arrival.waited,
            arrival.retries,
            first.changed,
        )

    def watch(self, cluster_id: str, position: str, block_ms: int) -> tuple[str, list[dict[str, t.Any]]]:
        """The verdicts after a position ("0" for all); blocks for a while if there are none."""
        found = self._connection.read({self._key(cluster_id, "verdicts"): position}, block_ms / 1000)
        entries = []
        for entry_id, entry in found.get(self._key(cluster_id, "verdicts"), []):
            position = entry_id
            for verdict, reason in entry.items():
                barrier = None if verdict == Verdict.ABORT else verdict
                entries.append({"barrier": barrier, "verdict": verdict, "reason": records.read_reason(reason)})
        return position, entries

    def _arrive(
        self,
        job_id: str,
        barrier: str,
        nodes: t.Sequence[str] | None,
        roles: t.Sequence[str] | None,
        timeout: float | None,
        pause: float | None,
        *,
        retry: int | None = None,
        retries: int = 0,
        tell_missing: bool = False,
        dry: bool = False,
    ) -> Arrival:
        verdict, reason, position, missing, changed, tries, waited, lease, node, missing_nodes = self._of_job(
            commands.ARRIVE,
            job_id,
            records.check_name("barrier", barrier),
            _participants(barrier, nodes, roles),
            "" if timeout is None else int(timeout * 1000),
            "" if pause is None else int(pause * 1000),
            "" if retry is None else retry,
            retries,
            int(dry),
            int(tell_missing),
            sentences={
                "PARTICIPANTS": lambda others: (
                    f"barrier {barrier} was opened for {_describe(others)}; every arrival has to name the same"
                ),
                "STRANGER": lambda _detail: f"job {job_id}: its node does not take part in barrier {barrier}",
            },
        )
        return Arrival(
            verdict or None,
            records.read_reason(reason),
            position,
            int(missing),
            bool(changed),
            int(tries),
            int(waited) / 1000,
            float(lease),
            node,
            _in_order(missing_nodes) if tell_missing else None,
        )

    def _next_verdict(self, cluster_id: str, barrier: str, position: str, until: float) -> tuple[str | None, str]:
        """The first verdict after a position that ends a wait for this barrier; others are passed over."""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return None, position
            position, entries = self.watch(cluster_id, position, max(1, int(left * 1000)))
            for entry in entries:
                if entry["barrier"] == barrier or entry["verdict"] in list(Verdict):
                    return entry["verdict"], position


def _in_order(pairs: t.Sequence[str]) -> list[dict[str, t.Any]]:
    """Nodes with their roles, node-2 before node-10, of a list of names and entries."""
    entries = dict(zip(pairs[::2], pairs[1::2]))
    return [
        {"node": name, "roles": json.loads(entries[name])["roles"]}
        for name in sorted(entries, key=records.natural_order)
    ]


def _participants(barrier: str, nodes: t.Sequence[str] | None, roles: t.Sequence[str] | None) -> str:
    if not nodes and not roles:
        return ""
    if barrier in list(Barrier):
        raise InputError(f"barrier {barrier} is always for all nodes of the run; nodes and roles cannot be chosen")
    if nodes and roles:
        raise InputError(f"barrier {barrier}: give nodes or roles, not both")
    return compact(["nodes", *sorted(set(nodes))] if nodes else ["roles", *sorted(set(roles or ()))])


def _describe(participants: str) -> str:
    if participants == "all":
        return "all nodes"
    kind, *names = json.loads(participants)
    return f"{kind} {', '.join(names)}"
