# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import contextlib
import json
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError

LINE_LIMIT = 32 * 1048576
RECONNECT_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
ANSWER_TIMEOUT = 60.0

Message = dict[str, t.Any]


class NodeLink:
    """The controller's line to the supervisor of one node job, kept open, and opened again when it breaks.

    :param argv: the command whose standard input and output are joined with the supervisor's socket.
    :param on_event: called with each event of the supervisor, in order, none twice.
    :param on_open: called each time the line stands again: what was sent while it was broken is lost.
    """

    def __init__(
        self,
        *,
        job_id: str,
        node: str,
        cluster_id: str | None,
        argv: list[str],
        token: str,
        lease: float,
        on_event: t.Callable[[NodeLink, Message], None],
        on_open: t.Callable[[NodeLink], None],
    ) -> None:
        self.job_id = job_id
        self.node = node
        self.cluster_id = cluster_id
        self.argv = argv
        self.token = token
        self.lease = lease
        self.on_event = on_event
        self.on_open = on_open
        self.heard = asyncio.get_running_loop().time()
        self.phases: dict[str, Message] = {}
        self.scripts: dict[str, Message] = {}
        self.aborted: Message | None = None
        self.lost: str | None = None
        self.changed = asyncio.Condition()
        self._seen = 0
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._connected = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run())
        self._pings = asyncio.create_task(self._ping())

    async def connected(self, timeout: float) -> None:
        """Wait until the supervisor has let us in.

        :raises NodeError: it has not within ``timeout`` seconds, with what the command printed.
        """
        try:
            await asyncio.wait_for(self._connected.wait(), timeout)
        except asyncio.TimeoutError:
            why = f": {self.lost}" if self.lost else ""
            raise NodeError(f"no line to the supervisor on {self.node} after {timeout:g} s{why}") from None

    @property
    def is_open(self) -> bool:
        """Whether the line stands at this moment."""
        return self._connected.is_set()

    def send(self, message: Message) -> None:
        """Send a message and wait for nothing. While the line is broken it is lost."""
        self._numbers += 1
        self._write({"id": self._numbers, **message})

    async def request(self, message: Message, timeout: float = ANSWER_TIMEOUT) -> Message:
        """Put a request to the supervisor and return its answer.

        :raises NodeError: the supervisor refuses, the line is broken, or no answer comes in time.
        """
        await self.connected(min(timeout, self.lease))
        self._numbers += 1
        number = self._numbers
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._write({"id": number, **message})
            answer = await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            raise NodeError(f"the supervisor on {self.node} does not answer to {message['op']!r}") from None
        finally:
            self._waiting.pop(number, None)
        if not answer["ok"]:
            raise NodeError(str(answer["text"]))
        return answer

    async def close(self) -> None:
        """Hang up for good."""
        self._closed = True
        for task in (self._task, self._pings):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._hang_up()

    async def note(self) -> None:
        """Tell those who wait that something about this node has changed."""
        async with self.changed:
            self.changed.notify_all()

    async def _run(self) -> None:
        tries = 0
        while not self._closed:
            try:
                await self._talk()
                tries = 0
            except OSError as error:
                self.lost = str(error)
            finally:
                self._disconnect()
            await asyncio.sleep(RECONNECT_PAUSES[min(tries, len(RECONNECT_PAUSES) - 1)])
            tries += 1

    async def _talk(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        try:
            self._write({"id": 0, "op": "hello", "token": self.token, "after": self._seen})
            while line := await self._process.stdout.readline():
                self._receive(json.loads(line))
            with contextlib.suppress(asyncio.TimeoutError):
                said = await asyncio.wait_for(self._process.stderr.read(4096), 0.5)
                self.lost = said.decode(errors="replace").strip() or "the line was closed"
        finally:
            await self._hang_up()

    def _receive(self, message: Message) -> None:
        self.heard = asyncio.get_running_loop().time()
        if "event" in message:
            self._take_event(message)
            return
        if message["id"] == 0:
            if not message["ok"]:
                raise OSError(message["text"])
            for event in message["events"]:
                self._take_event(event)
            self.lost = None
            self._connected.set()
            self.on_open(self)
            return
        future = self._waiting.get(message["id"])
        if future is not None and not future.done():
            future.set_result(message)

    def _take_event(self, event: Message) -> None:
        if event["seq"] <= self._seen:
            return
        self._seen = event["seq"]
        if event["event"] == "phase":
            self.phases[event["phase"]] = event
        elif event["event"] == "script":
            self.scripts[event["script"]["id"]] = event["script"]
        self.on_event(self, event)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 3)
            if self.is_open:
                self.send({"op": "alive"})

    def _write(self, message: Message) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def _disconnect(self) -> None:
        self._connected.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"ok": False, "text": f"the line to {self.node} broke: {self.lost}"})

    async def _hang_up(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 2)
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
