# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import (
    SIGNS_PER_LEASE,
    GivenUp,
    Worker,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import EventName
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import open_exchange
from ansible_collections.lab.multidevice.plugins.plugin_utils._worker.spool import JobSpool, Spool

LOG = logging.getLogger("multidevice.relay")
# What a worker that is cut off from Redis keeps of its lease as a reserve for ending itself.
RESERVE = 0.1
LOCK_TIMEOUT = 90.0
# Between two tries to renew a lease that Redis has refused to.
RETRY_PAUSE = 1.0


class WorkerDriver:
    """The part of the relay in a worker: its lease, and the node job that it holds until that is handed in or given back.

    A worker that cannot renew its lease ends itself before Redis gives its node job to another one.
    """

    def __init__(self, worker: Worker, spool: Spool, redis: Message, controller: int) -> None:
        self.worker = worker
        self.spool = spool
        self.job_id: str | None = None
        self._settings = RedisSettings.from_options(redis)
        self._coordinator = Coordinator.connect(self._settings)
        self._controller = controller
        self._position = "0-0"
        self._wants_job = False
        self._done = False
        self._lost: str | None = None
        self._is_ending = False
        self._renewals: asyncio.Task[None] | None = None

    @classmethod
    def from_request(cls, request: Message, controller: int) -> WorkerDriver:
        """From what the task asks for: ``worker``, ``spool`` and ``redis``."""
        worker = Worker(**t.cast("dict[str, t.Any]", request["worker"]))
        return cls(worker, Spool(request["spool"]), request["redis"], controller)

    async def begin(self) -> None:
        """Be the worker of this machine, as soon as one before it has cleaned up.

        :raises MultideviceError: another one goes on using the spool, or Redis does not answer or does not let it be one.
        """
        await self._take_lock()
        try:
            sent = _now()
            await asyncio.to_thread(self._coordinator.queues.register, self.worker, idle=False)
        except MultideviceError:
            self.spool.unlock()
            raise
        self._renewals = asyncio.create_task(self._renew(sent))

    async def _take_lock(self) -> None:
        deadline = asyncio.get_running_loop().time() + LOCK_TIMEOUT
        while not self.spool.lock():
            if asyncio.get_running_loop().time() > deadline:
                raise NodeError(
                    f"another worker uses {self.spool.folder}; a second worker on this computer needs a spool of its own"
                )
            await asyncio.sleep(0.2)

    async def take(self, seconds: float) -> str | None:
        """Wait for a node job, at most so many seconds."""
        if not self._wants_job:
            self._wants_job = True
            self.job_id, self._position = await asyncio.to_thread(self._coordinator.queues.register, self.worker)
        if self.job_id is None and self._lost is None:
            wait = self._coordinator.queues.wait
            self.job_id = await asyncio.to_thread(wait, self.worker, self._position, seconds)
        if self._lost is not None:
            raise NodeError(self._lost)
        return self.job_id

    async def hand_in(self, job: JobSpool) -> list[str]:
        """Put a node job's results where its submitter finds them, and have it be over.

        :returns: what was cut or left out, in sentences.
        :raises MultideviceError: it cannot be done now; the results stay in the spool.
        """
        try:
            if not await asyncio.to_thread(self._is_wanted, job.job_id):
                job.remove()
                return []
            notes = await asyncio.to_thread(self._hand_in, job)
        except (MultideviceError, OSError) as error:
            raise NodeError(
                f"the results of {job.job_id} cannot be handed in now, they stay in {job.folder} until they can: {error}"
            ) from error
        if job.job_id == self.job_id:
            self.job_id, self._done = None, True
        return notes

    @property
    def node(self) -> str | None:
        """The node whose job it holds."""
        return str(self.spool.job(self.job_id).work["node"]) if self.job_id else None

    @property
    def why_gone(self) -> str:
        """Why the run of its node job cannot go on."""
        why = self._lost or "its ansible-playbook ended before the run did"
        return f"{self.node}: the worker on {self.worker.machine} is gone: {why}"

    async def end(self) -> None:
        """The ansible-playbook has ended, and the machine is clean: hand in or give back what it held, and unregister."""
        self._is_ending = True
        try:
            if self.job_id is not None:
                await self.hand_in(self.spool.job(self.job_id))
                self._done = False
            if self._renewals is not None:
                self._renewals.cancel()
            if not self._done:
                await asyncio.to_thread(self._coordinator.queues.leave, self.worker.machine, self.worker.token)
        except (MultideviceError, OSError, LookupError) as error:
            self._complain(f"the next worker on this machine has to go on: {error}")
        if self._renewals is not None:
            self._renewals.cancel()
        self._coordinator.close()
        self.spool.unlock()

    def _is_wanted(self, job_id: str) -> bool:
        """Whether the run of a node job has begun, with this machine; one that was removed wants no results."""
        if not self._coordinator.history.knows(cluster_of(job_id)):
            return False
        run = self._coordinator.history.info(cluster_of(job_id))
        begun = run["result"] is not None or run["barriers"]["start"]["released"] is not None
        return begun and self._coordinator.queues.was_given_last(self.worker.machine, job_id)

    def _hand_in(self, job: JobSpool) -> list[str]:
        notes: list[str] = []
        try:
            work = job.work
        except NodeError as error:
            notes.append(f"{error}; what there is lies in {job.set_aside()}")
        else:
            with job.packed(work["settings"]["results_limit"], notes) as archive:
                if archive is not None:
                    exchange = open_exchange(work["exchange"], self._settings)
                    exchange.put(job.archive_name, archive, keep_seconds=work["settings"]["retention"])
        if notes:
            node = self._coordinator.nodes.record(job.job_id)["node"]
            self._coordinator.runs.record_event(cluster_of(job.job_id), node, EventName.COLLECTED, {"notes": notes})
        self._coordinator.queues.finish_job(self.worker.machine, self.worker.token, job.job_id)
        job.remove()
        return notes

    async def _renew(self, heard: float) -> None:
        usual = pause = self.worker.lease / SIGNS_PER_LEASE
        while True:
            await asyncio.sleep(pause)
            sent = _now()
            renewal = asyncio.create_task(asyncio.to_thread(self._coordinator.queues.renew, self.worker))
            while not renewal.done():
                await asyncio.wait([renewal], timeout=0.2)
                if self._is_late(heard):
                    self._end_myself(f"Redis could not be reached for {_now() - heard:.0f} s")
                    return
            error = renewal.exception()
            if error is None:
                heard, pause = sent, usual
            elif isinstance(error, GivenUp) or self._is_late(heard):
                self._end_myself(str(error))
                return
            else:
                # Redis may be full, or unable to write to its disk, for a moment.
                LOG.warning("%s: %s", self.worker.machine, error)
                pause = min(usual, RETRY_PAUSE)

    def _is_late(self, heard: float) -> bool:
        return _now() - heard > (1 - RESERVE) * self.worker.lease

    def _end_myself(self, why: str) -> None:
        self._complain(f"it has ended itself: {why}")
        self._lost = why
        if self._is_ending:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._controller, signal.SIGTERM)

    def _complain(self, what: str) -> None:
        LOG.error("%s: %s", self.worker.machine, what)
        self.spool.add_notice(f"of the worker before this one: {what}")


def _now() -> float:
    return asyncio.get_running_loop().time()
