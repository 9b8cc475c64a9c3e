# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason


@dataclass(frozen=True)
class Blocker:
    """Why a run cannot have a machine: another run holds it, or, without ``since``, has come first."""

    machine: str
    run: str
    since: float | None = None

    def __str__(self) -> str:
        if self.since is None:
            return f"run {self.run} waits for {self.machine} already"
        return f"{self.machine} is held by run {self.run} since {time.strftime('%H:%M:%S', time.localtime(self.since))}"


class Reservations(Subject):
    """Which run holds which machine. A run gets all of its machines in one step or none, first come, first served.

    A run that waits keeps what it needs from those that come later, so none waits for ever, and no two runs ever hold half
    of each other's machines. Holders and waiters have leases, by Redis' clock: what a dead controller held becomes free.
    Runs whose node jobs wait in queues stand in the same line.
    """

    def reserve(self, cluster_id: str, *, lease: float, slice_seconds: float = 0.0) -> tuple[list[Blocker], float]:
        """Reserve all machines of a run, or say what is in the way after waiting for one slice.

        :param lease: seconds for which the reservation, and the place in the line, hold without being renewed.
        :returns: what is in the way, nothing when the run has all of its machines; and the seconds waited since it asked.
        :raises CoordinationError: Redis does not know the run, or it is over.
        """
        end = time.monotonic() + slice_seconds
        while True:
            position = self._position()
            blockers, waited = self._try(cluster_id, lease)
            left = end - time.monotonic()
            if not blockers or left <= 0:
                return blockers, waited
            # A slice of its own for leases that run out, which nobody announces.
            self._connection.read({f"{self._prefix}releases": position}, min(left, lease / 3))

    def free(self, cluster_id: str, machine: str) -> bool:
        """A machine is clean again; False when the run did not hold it."""
        return bool(self._of_all(commands.FREE_MACHINE, cluster_id, machine))

    def withdraw(self, cluster_id: str) -> None:
        """The run waits no longer."""
        self._of_all(commands.LEAVE_LINE, cluster_id)

    def renew(self, cluster_id: str, lease: float) -> None:
        """The holder is alive; a run that holds nothing is not affected."""
        self._of_all(commands.RENEW_RESERVATION, cluster_id, int(lease * 1000))

    def holder(self, machine: str) -> str | None:
        """The run that holds a machine."""
        return self._connection.call(lambda r: t.cast("str | None", r.hget(f"{self._prefix}reservations", machine)))

    def holders(self) -> dict[str, str]:
        """All machines that are held, with their runs."""
        return self._connection.call(lambda r: t.cast(dict, r.hgetall(f"{self._prefix}reservations")))

    def waiting(self) -> list[str]:
        """The runs that wait for machines, in the order in which they will get them."""
        return self._connection.call(lambda r: t.cast(list, r.zrange(f"{self._prefix}waiting", 0, -1)))

    def _try(self, cluster_id: str, lease: float) -> tuple[list[Blocker], float]:
        waited, *found = self._of_all(
            commands.RESERVE_MACHINES,
            cluster_id,
            int(lease * 1000),
            sentences={
                "OVER": lambda reason: (
                    f"run {cluster_id} is over: "
                    + (records.read_reason(reason) or make_reason("it has finished"))["text"]
                ),
                "UNKNOWN": lambda _detail: f"run {cluster_id} is not known to Redis: never registered, or expired",
            },
        )
        return [Blocker(**json.loads(text)) for text in found], waited / 1000

    def _position(self) -> str:
        found = self._connection.call(lambda r: t.cast(list, r.xrevrange(f"{self._prefix}releases", count=1)))
        return str(found[0][0]) if found else "0-0"
