# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._format import names

if t.TYPE_CHECKING:
    from ansible.playbook.task import Task


@dataclasses.dataclass(frozen=True)
class Play:
    """How the play of a task takes its hosts through its tasks, and which hosts these are.

    Whoever waits for another machine asks here whether that one can come at all: all that is known to keep it away is
    in :meth:`obstacle`.
    """

    strategy: str
    forks: int
    host: str
    all_hosts: t.Sequence[str]
    # Those that have not failed and can be reached; the batch is the part of them that `serial` lets in now.
    hosts: t.Sequence[str]
    batch: t.Sequence[str]
    limit: str | None = None

    @classmethod
    def of(cls, task: Task, variables: t.Mapping[str, t.Any]) -> Play:
        """The play that a task belongs to."""
        return cls(
            strategy=str(task.get_play().strategy),
            forks=max(1, variables.get("ansible_forks") or 5),
            host=variables.get("inventory_hostname", ""),
            all_hosts=variables.get("ansible_play_hosts_all", []),
            hosts=variables.get("ansible_play_hosts", []),
            batch=variables.get("ansible_play_batch", []),
            limit=variables.get("ansible_limit"),
        )

    @property
    def rounds(self) -> int:
        """How many times as long as a task takes it is until all hosts of the play have done it."""
        return max(1, math.ceil(len(self.batch) / self.forks))

    @property
    def takes_all_together(self) -> bool:
        """All hosts of the play are there, and go on while others wait."""
        return len(self.batch) == len(self.all_hosts) and not self._one_after_another

    @property
    def _one_after_another(self) -> bool:
        return self.strategy.endswith("host_pinned") and self.forks < len(self.batch)

    def outside(self, nodes: t.Iterable[str]) -> list[str]:
        """The nodes that are no hosts of the play."""
        return [node for node in nodes if node not in self.all_hosts]

    def obstacle(self, nodes: t.Iterable[str]) -> str | None:
        """Why some of these nodes cannot come to where the task's own host waits for them; None if all can.

        Nodes that are no hosts of the play are passed over: another process may bring them.
        """
        awaited = [node for node in nodes if node in self.all_hosts and node != self.host]
        lost = [node for node in awaited if node not in self.hosts]
        if lost:
            return f"{names(lost)} failed earlier in this play and does not take part any more"
        later = [node for node in awaited if node not in self.batch]
        if later:
            return (
                f"{self.host} would wait for {names(later)}, which `serial` leaves to another batch of the play; "
                "the machines of a run have to be in one batch: leave serial out"
            )
        if awaited and self._one_after_another:
            return (
                f"{self.host} would wait for {names(awaited)}, and the strategy host_pinned with forks={self.forks} takes "
                f"only {self.forks} of the play's {len(self.batch)} hosts through it at a time; use forks="
                f"{len(self.batch)} or more, or the strategy linear or free"
            )
        return None
