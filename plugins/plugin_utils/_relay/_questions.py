# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import math
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import records
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Reason, Verdict
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._node_connection import NodeConnection

RECEIVE_SLICE = 5.0
RECEIVERS = 64


class Questions:
    """Answers what scripts on the nodes ask: barriers and messages. The nodes themselves never talk to Redis.

    A script may pass the same barrier again and again: the second time on a node meets the second time on the others.
    A node that receives a key again gets the next message of it.
    """

    def __init__(self, cluster_id: str, coordinator: Coordinator) -> None:
        self._cluster_id = cluster_id
        self._coordinator = coordinator
        self._rounds: dict[tuple[str, str], int] = {}
        self._positions: dict[tuple[str, str], str] = {}
        self._reading: dict[tuple[str, str], asyncio.Lock] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._aborted: Reason | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = concurrent.futures.ThreadPoolExecutor(max_workers=RECEIVERS, thread_name_prefix="questions")

    def take(self, connection: NodeConnection, event: Message) -> None:
        """Answer a question when its answer is there."""
        task = asyncio.get_running_loop().create_task(self._reply(connection, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take_verdict(self, entry: Message) -> None:
        """Wake those who wait at the barrier that was released, or all of them when the run was aborted."""
        if entry["verdict"] == Verdict.ABORT:
            self._aborted = entry["reason"]
            woken = list(self._waiting)
        else:
            woken = [entry["barrier"]] if entry["barrier"] in self._waiting else []
        for name in woken:
            waiting = self._waiting.pop(name)
            if not waiting.done():
                waiting.set_result(None)

    def close(self) -> None:
        """Leave what is open unanswered; the scripts have ended."""
        for task in self._tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _reply(self, connection: NodeConnection, event: Message) -> None:
        question = event["question"]
        try:
            answer_to = {"barrier": self._barrier, "send": self._send, "receive": self._receive}[question["what"]]
            timeout = question.get("timeout")
            if timeout is not None and not 0 <= timeout < math.inf:
                raise InputError(f"a wait cannot take {timeout} seconds")
            answer = {"ok": True, **(await answer_to(connection, question))}
        except MultideviceError as error:
            answer = {"ok": False, "text": str(error)}
        except Exception as error:  # Whatever a script asks, it is answered: it would wait for ever.
            answer = {"ok": False, "text": f"this cannot be asked: {error!r}"}
        connection.send({"op": "answer", "number": event["number"], "asked": event["asked"], "answer": answer})

    async def _barrier(self, connection: NodeConnection, question: Message) -> Message:
        key = (connection.job_id, question["name"])
        self._rounds[key] = self._rounds.get(key, 0) + 1
        name = question["name"] if self._rounds[key] == 1 else f"{question['name']}:{self._rounds[key]}"
        # Listening comes before arriving, so that a release in between is not missed.
        released = self._waiting.setdefault(name, asyncio.get_running_loop().create_future())
        roles = [question["role"]] if question.get("role") else None
        arrival = await self._call(
            lambda: self._coordinator.barriers.arrive(
                connection.job_id, name, roles=roles, timeout=question.get("timeout")
            )
        )
        if arrival.verdict is None:
            await asyncio.shield(released)
        elif arrival.verdict == Verdict.ABORT:
            self._aborted = arrival.reason
        if self._aborted is not None and arrival.verdict != name:
            raise MultideviceError(f"the run was aborted: {records.explain(self._aborted)}")
        return {}

    async def _send(self, connection: NodeConnection, question: Message) -> Message:
        await self._call(
            lambda: self._coordinator.messages.send(
                self._cluster_id, connection.node, question["key"], question["value"]
            )
        )
        return {}

    async def _receive(self, connection: NodeConnection, question: Message) -> Message:
        key, loop = question["key"], asyncio.get_running_loop()
        timeout = question.get("timeout")
        deadline = None if timeout is None else loop.time() + timeout
        mine = (connection.job_id, key)
        async with self._reading.setdefault(mine, asyncio.Lock()):
            while True:
                left = RECEIVE_SLICE if deadline is None else min(RECEIVE_SLICE, deadline - loop.time())
                position, seconds = self._positions.get(mine, "0"), max(0.0, left)
                receive = functools.partial(self._coordinator.messages.receive, self._cluster_id, key)
                got = await self._call(functools.partial(receive, position=position, slice_seconds=seconds))
                if got.messages:
                    self._positions[mine] = got.messages[0]["position"]
                    return {"value": got.messages[0]["value"]}
                if got.verdict == Verdict.ABORT:
                    raise MultideviceError(f"the run was aborted: {records.explain(got.reason)}")
                if deadline is not None and loop.time() >= deadline:
                    raise MultideviceError(f"nobody has sent {key!r} within {timeout:g} s")

    async def _call(self, function: t.Callable[[], t.Any]) -> t.Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)
