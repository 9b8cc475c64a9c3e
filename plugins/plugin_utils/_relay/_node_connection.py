# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import contextlib
import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message, decode, encode
from ansible_collections.lab.multidevice.plugins.module_utils._node._attach import NOBODY_THERE
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import EventName, Reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._events import checked

LINE_LIMIT = 32 * 1048576
RECONNECT_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
ANSWER_TIMEOUT = 60.0
PINGS_PER_LEASE = 6

T = t.TypeVar("T")


class NodeConnection:
    """The controller's connection to the supervisor of one node job, kept open, and opened again when it breaks.

    :param commands: each joins its standard input and output with the supervisor's socket; when one fails, or nothing
        comes through it, the next is tried.
    :param grace: seconds between the signals TERM and KILL when the node's scripts are stopped.
    :param limit: bytes of results that are fetched at most when the controller ends early.
    :param on_event: called with each event of the supervisor, in order, none twice.
    :param on_open: called each time it stands again: what was sent while it was broken is lost.
    :param on_gone: called when the supervisor that was there is found to have ended.
    """

    def __init__(
        self,
        *,
        job_id: str,
        node: str,
        cluster_id: str | None,
        commands: list[list[str]],
        token: str,
        lease: float,
        grace: float,
        limit: int,
        on_event: t.Callable[[NodeConnection, Message], None],
        on_open: t.Callable[[NodeConnection], None],
        on_gone: t.Callable[[NodeConnection], None],
    ) -> None:
        self.job_id = job_id
        self.node = node
        self.cluster_id = cluster_id
        self.lease = lease
        self.grace = grace
        self.limit = limit
        self.heard = _now()
        self.phases: dict[str, Message] = {}
        self.scripts: dict[str, Message] = {}
        self.aborted: Reason | None = None
        self.clock = Clock()
        self.changed = asyncio.Condition()
        self._commands = commands
        self._token = token
        self._on_event = on_event
        self._on_open = on_open
        self._on_gone = on_gone
        self._why = ""
        self._gone = False
        self._was_open = False
        self._seen = 0
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Message | None]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._dialled = self.heard
        self._connected = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._pings = asyncio.create_task(self._ping())

    @property
    def is_open(self) -> bool:
        """Whether it stands at this moment."""
        return self._connected.is_set()

    @property
    def is_gone(self) -> bool:
        """Whether the machine answers that the supervisor has ended."""
        return self._gone

    @property
    def silence(self) -> float:
        """Seconds since the node was heard from."""
        return _now() - self.heard

    @property
    def loss(self) -> str | None:
        """In a sentence why nothing can be expected of the node any more; None as long as it can."""
        if self._gone:
            return f"the supervisor on {self.node} was ended from outside"
        if self.silence > self.lease:
            why = f" ({self._why})" if self._why else ""
            return f"{self.node} has not been heard from for {self.silence:.0f} s{why}; it cleans itself"
        return None

    async def connected(self, timeout: float) -> None:
        """Wait until the supervisor has let us in.

        :raises NodeError: it has not within ``timeout`` seconds, with what the command printed.
        """
        deadline = _now() + timeout
        while not self.is_open:
            if self._gone or (self._was_open and self.loss):
                raise NodeError(str(self.loss))
            if _now() >= deadline:
                raise NodeError(
                    f"no line to the supervisor on {self.node} after {timeout:g} s: {self._why or 'no answer'}"
                )
            await _soon(self._connected.wait(), min(0.5, deadline - _now()))

    def send(self, message: Message) -> None:
        """Send a message and wait for nothing. While the connection is broken it is lost."""
        self._numbers += 1
        self._write({"id": self._numbers, **message})

    async def request(self, message: Message, timeout: float = ANSWER_TIMEOUT) -> Message:
        """Put a request to the supervisor and return its answer. When the connection breaks meanwhile, it is put again.

        :raises NodeError: the supervisor refuses, no answer comes in time, or the node is lost.
        """
        deadline = _now() + timeout
        answer: Message | None = None
        while answer is None:
            await self.connected(min(deadline - _now(), self.lease))
            answer = await self._ask(message, deadline)
        if not answer["ok"]:
            raise NodeError(f"{self.node}: {answer['text']}")
        return answer

    async def close(self) -> None:
        """Hang up for good."""
        for task in (self._task, self._pings):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._hang_up()

    async def note(self) -> None:
        """Tell those who wait that something about this node has changed."""
        async with self.changed:
            self.changed.notify_all()

    async def _ask(self, message: Message, deadline: float) -> Message | None:
        """The answer; None when the connection broke before it came."""
        self._numbers += 1
        number = self._numbers
        future: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._write({"id": number, **message})
            while not future.done():
                if self.loss or _now() >= deadline:
                    raise NodeError(self.loss or f"the supervisor on {self.node} does not answer to {message['op']!r}")
                await asyncio.wait([future], timeout=min(1.0, max(0.0, deadline - _now())))
            return future.result()
        finally:
            del self._waiting[number]

    async def _run(self) -> None:
        number = tries = 0
        while not self._gone:
            opened = self.heard
            try:
                await self._talk(self._commands[number % len(self._commands)])
            except OSError as error:
                self._why = str(error)
            except (KeyError, TypeError, ValueError, RecursionError) as error:
                self._why = f"it sends something else than messages: {error}"
            finally:
                self._disconnect()
            number += 1
            tries = 0 if self.heard > opened else tries + 1
            if not self._gone:
                await asyncio.sleep(RECONNECT_PAUSES[min(tries, len(RECONNECT_PAUSES) - 1)])
        await self.note()
        self._on_gone(self)

    async def _talk(self, command: list[str]) -> None:
        self._process = process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("the process of the connection has no pipes")
        self._dialled = _now()
        try:
            self._write({"id": 0, "op": "hello", "token": self._token, "after": self._seen})
            while line := await process.stdout.readline():
                self._receive(decode(line))
            said = await _soon(process.stderr.read(4096), 0.5) or b""
            self._why = said.decode(errors="replace").strip() or "the line was closed"
            await _soon(process.wait(), 0.5)
            # It was there once, and the machine answers that it is not any more.
            self._gone = self._was_open and process.returncode == NOBODY_THERE
        finally:
            await self._hang_up()

    def _receive(self, message: Message) -> None:
        self.heard = _now()
        if "event" in message:
            self._take_event(message)
            return
        if message["id"] == 0:
            if not message["ok"]:
                raise OSError(message["text"])
            for event in message["events"]:
                self._take_event(event)
            self._was_open = True
            self._why = ""
            self._connected.set()
            self._on_open(self)
            return
        future = self._waiting.get(message["id"])
        if future is not None and not future.done():
            future.set_result(message)

    def _take_event(self, told: Message) -> None:
        event = checked(told)
        if event["seq"] <= self._seen:
            return
        self._seen = event["seq"]
        if event["event"] == EventName.PHASE:
            self.phases[event["phase"]] = event
        elif event["event"] == EventName.SCRIPT:
            self.scripts[event["script"]["id"]] = event["script"]
        self._on_event(self, event)

    async def _ping(self) -> None:
        """Renews the node's lease; a connection through which nothing comes for long is given up for a new one."""
        pause = self.lease / PINGS_PER_LEASE
        for first in (0.2, 0.2, 0.5, 1.0):
            await self._connected.wait()
            await self._ask_time(3 * pause)
            await asyncio.sleep(min(first, pause))
        while True:
            if self.is_open:
                await self._ask_time(3 * pause)
            if min(self.silence, _now() - self._dialled) > 3 * pause:
                await self._hang_up()
            if self.loss:
                await self.note()
            await asyncio.sleep(pause)

    async def _ask_time(self, timeout: float) -> None:
        sent = time.time()
        with contextlib.suppress(NodeError):
            answer = await self._ask({"op": "alive", "after": self._seen}, _now() + timeout)
            if answer is not None and answer["ok"]:
                self.clock.learn(sent, answer["time"], time.time())

    def _write(self, message: Message) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(encode(message))

    def _disconnect(self) -> None:
        self._connected.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)

    async def _hang_up(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        if await _soon(process.wait(), 2) is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


class Clock:
    """How far a node's clock is from the controller's, learnt from questions and answers, the quickest best."""

    def __init__(self) -> None:
        self.offset = 0.0
        self.error = float("inf")

    def learn(self, sent: float, theirs: float, received: float) -> None:
        """Take note of an answer that told their time."""
        if (received - sent) / 2 < self.error:
            self.offset, self.error = theirs - (sent + received) / 2, (received - sent) / 2

    def ours(self, theirs: float) -> float:
        """A moment of theirs by the controller's clock."""
        return theirs - self.offset


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _soon(what: t.Coroutine[t.Any, t.Any, T], seconds: float) -> T | None:
    """What comes of it, None when that takes too long."""
    try:
        return await asyncio.wait_for(what, seconds)
    except TimeoutError:
        return None
