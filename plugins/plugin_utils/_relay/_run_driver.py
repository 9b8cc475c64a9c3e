# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import logging
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    Barrier,
    EventName,
    Phase,
    PhaseState,
    Reason,
    ReasonKind,
    Report,
    Verdict,
    make_reason,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._events import ASK
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._node_connection import (
    PINGS_PER_LEASE,
    NodeConnection,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._questions import Questions
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._start_skew import StartSkew

WATCH_SLICE_MS = 1000
LEASE_SHARE = 0.75
KEYS = "multidevice.ssh"
LOG = logging.getLogger("multidevice.relay")

T = t.TypeVar("T")


class RunDriver:
    """Joins the nodes of one run that this controller drives with the run's state in Redis.

    Verdicts go to the nodes the moment they are given: the release of `ready` starts the tests that are armed, an abort
    stops all scripts. What nodes report goes to Redis the moment it comes: a script that failed aborts the run. Nodes
    that are heard from have their leases renewed; leases that have run out abort the run.
    """

    def __init__(self, cluster_id: str, coordinator: Coordinator, *, lease: float) -> None:
        self.cluster_id = cluster_id
        self.coordinator = coordinator
        self.lease = lease
        self.connections: dict[str, NodeConnection] = {}
        self._heard: dict[str, float] = {}
        self.reason: Reason | None = None
        self.has_begun = False
        self._leaving: set[str] = set()
        self._ready = False
        self._skew = StartSkew()
        self._failures: set[asyncio.Task[None]] = set()
        self._questions = Questions(cluster_id, coordinator)
        self._events: asyncio.Queue[t.Callable[[], None]] = asyncio.Queue()
        self._threads = concurrent.futures.ThreadPoolExecutor(max_workers=8, thread_name_prefix=cluster_id)
        self._tasks = [asyncio.create_task(work()) for work in (self._watch, self._renew, self._pass_on)]

    async def add(self, connection: NodeConnection) -> None:
        """Take a node in: from now on its lease is kept."""
        self.connections[connection.node] = connection
        await self._call(
            self.coordinator.runs.renew_leases, self.cluster_id, [connection.node], LEASE_SHARE * self.lease
        )
        self.tell(connection, EventName.PREPARED)
        self.give_verdicts(connection)

    def give_verdicts(self, connection: NodeConnection) -> None:
        """Tell a node what has been decided so far; nothing changes when it knows already."""
        if self.reason is not None:
            connection.aborted = self.reason
            connection.send({"op": "stop", "grace": connection.grace})
        elif self._ready:
            connection.send({"op": "go", "phase": Phase.TEST})

    async def let_go(self, connection: NodeConnection) -> None:
        """Count no longer on a node whose part is over; it cannot be lost any more."""
        self._leaving.add(connection.node)
        with contextlib.suppress(CoordinationError):
            await self._call(self.coordinator.runs.drop_lease, self.cluster_id, connection.node)

    def forget(self, connection: NodeConnection) -> None:
        """Nothing comes from a node any more."""
        if self.connections.get(connection.node) is connection:
            del self.connections[connection.node]

    async def close(self) -> None:
        """Stop driving the run, once all that was reported has been passed on."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(self._events.join(), *self._failures), 5)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._questions.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def share_key(self, connection: NodeConnection, key: str) -> None:
        """Give a node's public ssh key to the others, also to those of other controllers."""
        await self._call(self.coordinator.messages.send, self.cluster_id, connection.node, KEYS, key)

    async def shared_keys(self) -> list[str]:
        """The public keys that all nodes have given before the barrier `start`."""
        read = functools.partial(self.coordinator.messages.receive, self.cluster_id, KEYS, slice_seconds=0)
        return [message["value"] for message in (await self._call(read)).messages]

    async def abort(self, text: str, node: str | None = None) -> None:
        """Abort the run for a reason that lies in the controller, of whose nodes none is left to report it itself."""
        reason = make_reason(text, node=node)
        with contextlib.suppress(CoordinationError):
            await self._call(lambda: self.coordinator.runs.abort(self.cluster_id, reason))
            for connection in list(self.connections.values()):
                await self._call(self.coordinator.nodes.report, connection.job_id, Report.ABORT, reason)

    def tell(self, connection: NodeConnection | None, what: str, data: Message | None = None) -> None:
        """Put into the run's timeline what the controller knows of a node, or of the whole run."""
        node = connection.node if connection else None
        self._events.put_nowait(lambda: self.coordinator.runs.record_event(self.cluster_id, node, what, data))

    def take_gone(self, connection: NodeConnection) -> None:
        """A supervisor was killed, or has cleaned up when its lease was over, before its part of the run was."""
        if self.connections.get(connection.node) is connection and connection.node not in self._leaving:
            self._fail(connection, str(connection.loss))

    def take_event(self, connection: NodeConnection, event: Message) -> None:
        """Pass on what a node's supervisor says."""
        what = event["event"]
        if what == ASK:
            self._questions.take(connection, event)
            return
        data = {key: value for key, value in event.items() if key not in ("seq", "event")}
        if what == EventName.DIED or (what == EventName.PHASE and event["state"] == PhaseState.FAILED):
            self._fail(connection, event["text"], script=event["script"], exit_code=event["exit_code"])
        self.tell(connection, what, data)
        skew = self._skew.take_event(connection, event, self.connections.values())
        if skew is not None:
            self.tell(None, EventName.START_SKEW, skew)

    def _fail(
        self, connection: NodeConnection, text: str, *, script: str | None = None, exit_code: int | None = None
    ) -> None:
        """Ahead of everything else that is to be passed on: others are stopped by it."""
        reason = make_reason(text, kind=ReasonKind.FAILED, node=connection.node, script=script, exit_code=exit_code)
        report = self._call(self.coordinator.nodes.report, connection.job_id, Report.FAILED, reason)
        task = asyncio.create_task(self._try(report))
        self._failures.add(task)
        task.add_done_callback(self._failures.discard)

    async def _try(self, work: t.Coroutine[t.Any, t.Any, t.Any]) -> None:
        try:
            await work
        except CoordinationError as error:
            LOG.error("%s: not passed on: %s", self.cluster_id, error)

    async def _pass_on(self) -> None:
        while True:
            work = await self._events.get()
            try:
                await self._try(self._call(work))
            finally:
                self._events.task_done()

    async def _watch(self) -> None:
        position = "0"
        away_since: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            try:
                position, entries = await self._call(self._look, position)
                away_since = None
            except CoordinationError as error:
                LOG.error("%s: %s", self.cluster_id, error)
                away_since = away_since or loop.time()
                if loop.time() - away_since > self.lease:
                    await self._take_abort(make_reason(str(error)))
                await asyncio.sleep(1)
                continue
            for entry in entries:
                self._questions.take_verdict(entry)
                self.has_begun = True
                if entry["verdict"] == Verdict.ABORT:
                    await self._take_abort(entry["reason"])
                elif entry["barrier"] == Barrier.READY and not self._ready:
                    self._ready = True
                    for connection in self.connections.values():
                        self.give_verdicts(connection)

    def _look(self, position: str) -> tuple[str, list[Message]]:
        position, entries = self.coordinator.barriers.watch(self.cluster_id, position, WATCH_SLICE_MS)
        if not entries:
            self.coordinator.runs.sweep(self.cluster_id)
        return position, entries

    async def _take_abort(self, reason: Reason) -> None:
        if self.reason is not None:
            return
        self.reason = reason
        for connection in self.connections.values():
            self.give_verdicts(connection)
        for connection in self.connections.values():
            await connection.note()

    async def _renew(self) -> None:
        """Leases are promised from the moment a node was heard from, and a little shorter than the node's own, so that
        the others have stopped when a node that is cut off cleans itself.
        """
        while True:
            await asyncio.sleep(self.lease / PINGS_PER_LEASE)
            with contextlib.suppress(CoordinationError):
                await self._call(self.coordinator.reservations.renew, self.cluster_id, self.lease)
            left: dict[float, list[str]] = {}
            for node, connection in self.connections.items():
                # A promise that is left alone tells, when it is broken, for how long nothing was heard.
                if node in self._leaving or self._heard.get(node) == connection.heard:
                    continue
                self._heard[node] = connection.heard
                left.setdefault(round(LEASE_SHARE * self.lease - connection.silence, 1), []).append(node)
            for seconds, nodes in left.items():
                if seconds > 0:
                    with contextlib.suppress(CoordinationError):
                        await self._call(self.coordinator.runs.renew_leases, self.cluster_id, nodes, seconds)

    async def _call(self, function: t.Callable[..., T], *args: t.Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
