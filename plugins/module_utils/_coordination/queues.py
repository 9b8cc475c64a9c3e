# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError

if t.TYPE_CHECKING:
    import redis

# How often a worker is heard from in the time of its lease.
SIGNS_PER_LEASE = 3


class GivenUp(CoordinationError):
    """The worker is not one any more: not heard from in time, or another process has taken its place."""


@dataclass(frozen=True)
class Worker:
    """A worker as it makes itself known: one on each machine.

    :ivar token: tells this process from one before it.
    :ivar host: where it runs; only from there can another process take over what it holds.
    """

    machine: str
    queue: str
    token: str
    host: str
    lease: float


class Queues(Subject):
    """The queues of node jobs and their workers.

    The node jobs of a run enter all of their queues in one step, and leave them in one step, when each has a worker that
    is idle: a worker never holds a node job whose peers nobody has.
    """

    # A worker's own steps

    def register(self, worker: Worker, *, idle: bool = True) -> tuple[str | None, str]:
        """A worker is there, and wants a node job unless it says otherwise. What one before it on this machine has held
        is given back, or its run is aborted.

        :returns: the node job that it has been given already, and the position after which to wait for one.
        :raises CoordinationError: another machine's worker goes by this name.
        """
        job_id, position = self._of_all(
            commands.REGISTER_WORKER,
            worker.machine,
            worker.queue,
            worker.token,
            worker.host,
            int(worker.lease * 1000),
            int(idle),
            sentences={
                "OCCUPIED": lambda there: (
                    f"machine {worker.machine} has a worker already, on {there}; give this one another name of a machine"
                )
            },
        )
        return job_id or None, position

    def wait(self, worker: Worker, position: str, seconds: float) -> str | None:
        """Wait until a node job is given to the worker, at most so long. Somebody else renews its lease meanwhile."""
        self._connection.read({f"{self._worker_key(worker.machine)}/calls": position}, seconds)
        return self.renew(worker)

    def renew(self, worker: Worker) -> str | None:
        """The worker is alive; tells the node job that it holds.

        :raises GivenUp: it was given up as dead, or another process has taken its place.
        """
        answer = self._of_all(commands.RENEW_WORKER, worker.machine, worker.token, int(worker.lease * 1000))
        if answer is None:
            raise GivenUp(f"the worker on {worker.machine} has been given up: it was not heard from in time")
        return answer or None

    def work_of(self, job_id: str) -> dict[str, t.Any]:
        """What the worker of a node job is to do.

        :raises CoordinationError: the run has expired or was removed.
        """
        key = f"{self._prefix}cluster/{records.cluster_of(job_id)}/jobs"
        text = self._connection.call(lambda r: t.cast("str | None", r.hget(key, job_id)))
        if text is None:
            raise CoordinationError(f"job {job_id} is not known to Redis: removed or expired")
        found: dict[str, t.Any] = json.loads(text)
        return found

    def was_given_last(self, machine: str, job_id: str) -> bool:
        """Whether no worker of another machine has been given a node job after this machine's."""
        key = f"{self._prefix}cluster/{records.cluster_of(job_id)}/given"
        text = self._connection.call(lambda r: t.cast("str | None", r.hget(key, job_id)))
        return text is not None and text.partition(" ")[2] == machine

    def finish_job(self, machine: str, token: str, job_id: str) -> bool:
        """A node job is over, and its results are handed in. False when another worker has taken it meanwhile."""
        return bool(self._of_all(commands.FINISH_JOB, machine, token, job_id))

    def leave(self, machine: str, token: str) -> None:
        """The worker is gone. Its node job goes back to the queue, or its run aborts if a barrier was passed."""
        self._of_all(commands.UNREGISTER_WORKER, machine, token)

    # Looking

    def go_along_line(self) -> None:
        """Give up what has died, and give out what can be given. Every other call does so too."""
        self._of_all(commands.GO_ALONG_LINE)

    def open_jobs(self, cluster_ids: t.Sequence[str]) -> dict[str, str | None]:
        """The node jobs that are not over, with the machine whose worker holds them, None for those that wait."""

        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            for cluster_id in cluster_ids:
                for name in ("queued", "taken"):
                    pipe.hgetall(f"{self._prefix}cluster/{cluster_id}/{name}")
            return pipe.execute()

        found: dict[str, str | None] = {}
        for entries in self._connection.call(ask):
            for job_id, text in entries.items():
                _queue, _entry, *machine = text.split(" ")
                found[job_id] = machine[0] if machine else None
        return found

    def workers(self) -> list[dict[str, t.Any]]:
        """All workers: machine, queue, host, since when, when last heard from, the node job that they hold, and the one
        whose results a worker before them has left on the machine.
        """
        leases = self._connection.call(
            lambda r: t.cast(list, r.zrange(f"{self._prefix}worker_leases", 0, -1, withscores=True))
        )

        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            for machine, _lease in leases:
                pipe.hgetall(self._worker_key(machine))
            return pipe.execute()

        found = []
        for (machine, lease), fields in zip(leases, self._connection.call(ask)):
            if fields:
                found.append(
                    {
                        "machine": machine,
                        "queue": fields["queue"],
                        "host": fields["host"],
                        "since": int(fields["since"]) / 1000,
                        "seen": int(fields["seen"]) / 1000,
                        "lease": lease / 1000,
                        "job_id": fields.get("job"),
                        "left_job_id": fields.get("left"),
                        "job_since": int(fields["given"]) / 1000 if fields.get("job") else None,
                    }
                )
        return sorted(found, key=lambda worker: (worker["queue"], worker["machine"]))

    def queues(self) -> dict[str, list[dict[str, t.Any]]]:
        """All queues with their node jobs, first come first: job_id, cluster_id, node, since when, and who holds it."""
        names = sorted(self._connection.call(lambda r: t.cast(set, r.smembers(f"{self._prefix}queues"))))

        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            for name in names:
                pipe.xrange(f"{self._prefix}queue/{name}")
            return pipe.execute()

        found: dict[str, list[dict[str, t.Any]]] = {}
        for name, entries in zip(names, self._connection.call(ask)):
            found[name] = [{**entry, "since": int(entry_id.partition("-")[0]) / 1000} for entry_id, entry in entries]
        holders = self.open_jobs(sorted({job["cluster_id"] for jobs in found.values() for job in jobs}))
        for jobs in found.values():
            for job in jobs:
                job["machine"] = holders.get(job["job_id"])
        return found

    def _worker_key(self, machine: str) -> str:
        return f"{self._prefix}worker/{machine}"
