# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import logging
import logging.handlers
import os
import shutil
import sys
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message, decode, encode
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    EventName,
    PhaseState,
    ReasonKind,
    Report,
    Verdict,
    make_reason,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import answers
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._node_connection import LINE_LIMIT, NodeConnection
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._promised_results import PromisedResults
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._redis_server import RedisServer
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._run_driver import RunDriver
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import archive
from ansible_collections.lab.multidevice.plugins.plugin_utils._worker.driver import WorkerDriver

CHUNK = 1048576
END_TIMEOUT = 15.0
PIECE_TIMEOUT = 120.0
ENDED = "the controller's ansible-playbook ended before the run did"
LOG = logging.getLogger("multidevice.relay")
LOG_LIMIT = 8 * 1048576


class Relay:
    """Serves the tasks of one ansible-playbook process, and outlives it just long enough to clean up.

    Tasks speak JSON lines over a unix socket in its folder: ``{"op", …}`` is answered with ``{"ok", …}``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # By job id and node: without a run, the machines of a play may well have a job id in common.
        self.connections: dict[tuple[str, str], NodeConnection] = {}
        self.drivers: dict[str, RunDriver] = {}
        self.redis: RedisServer | None = None
        self.locks: dict[str, asyncio.Lock] = {}
        self.results = PromisedResults()
        self.followed: dict[RedisSettings, Coordinator] = {}
        self.worker: WorkerDriver | None = None
        self.controller = 0

    async def serve(self, controller: int) -> None:
        """Serve until the controller's process has ended; then end what it left, and remove the folder."""
        self.controller = controller
        ended = asyncio.Event()
        watched = os.pidfd_open(controller)
        asyncio.get_running_loop().add_reader(watched, ended.set)
        server = await asyncio.start_unix_server(self._serve_task, self.folder / "relay.sock", limit=LINE_LIMIT)
        try:
            await ended.wait()
            asyncio.get_running_loop().remove_reader(watched)
        finally:
            server.close()
            await self._end()

    async def _end(self) -> None:
        try:
            await self._end_runs()
            await self.results.write()
            if self.worker is not None:
                await self.worker.end()
        finally:
            if self.redis is not None:
                await self.redis.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _end_runs(self) -> None:
        if self.worker is None:
            await asyncio.gather(*(driver.abort(ENDED) for driver in self.drivers.values()))
        else:
            # What it gives up before its run has begun, another worker can take; it is given back when all is clean.
            begun = [driver for driver in self.drivers.values() if driver.has_begun]
            await asyncio.gather(*(driver.abort(self.worker.why_gone, self.worker.node) for driver in begun))
        left = list(self.connections.values())
        for ended in await asyncio.gather(*(self._end_part(connection) for connection in left), return_exceptions=True):
            if isinstance(ended, BaseException):
                LOG.error("a node may not be clean: %s", ended)
        await asyncio.gather(*(connection.close() for connection in left))
        await asyncio.gather(*(driver.close() for driver in self.drivers.values()))

    async def _end_part(self, connection: NodeConnection) -> None:
        """What the play would have done at the end of a node's part."""
        dest = self.results.folder_of(connection.job_id)
        if not connection.is_open and self.worker is not None:
            # The machine keeps them, for the worker to hand in.
            return
        if not connection.is_open:
            self._tell_lost_results(connection, "there was no line to it when ansible-playbook ended")
            return
        try:
            await connection.request({"op": "stop", "grace": connection.grace}, timeout=connection.grace + END_TIMEOUT)
            if dest is not None:
                await self._collect(connection, dest, connection.limit)
        except (MultideviceError, OSError) as error:
            LOG.error("%s: no results: %s", connection.node, error)
        finally:
            await self._end_supervisor(connection, keep_trees=False)

    async def _serve_task(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                request = decode(line)
                try:
                    answer = {"ok": True, **(await _OPERATIONS[request["op"]](self, request))}
                except (MultideviceError, OSError) as error:
                    answer = {"ok": False, "text": str(error)}
                except Exception as error:  # A fault of ours in one operation must not take down the others.
                    LOG.exception("%s", request["op"])
                    answer = {"ok": False, "text": f"the relay failed: {error!r}; see {self.folder}/relay.log"}
                writer.write(encode(answer))
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            LOG.debug("a task hung up: %s", error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _op_hello(self, request: Message) -> Message:
        """Be there."""
        return {}

    async def _op_embedded_redis(self, request: Message) -> Message:
        """Where the embedded Redis is; ``start``: start it when there is none."""
        async with self.locks.setdefault("redis", asyncio.Lock()):
            if self.redis is None and request["start"]:
                self.redis = await RedisServer.start(self.folder)
        return {"url": self.redis.url if self.redis else None}

    async def _op_follow(self, request: Message) -> Message:
        """What happens in some runs, after a wait of so many seconds at most; empty when there is no Redis to ask."""
        settings = RedisSettings.from_options(request["redis"])
        if not settings.is_set:
            if self.redis is None:
                return {}
            settings = RedisSettings.from_options({**request["redis"], "redis_url": self.redis.url})
        async with self.locks.setdefault("followed", asyncio.Lock()):
            if settings not in self.followed:
                self.followed[settings] = await asyncio.to_thread(Coordinator.connect, settings)
        positions = request["positions"]
        happened = await asyncio.to_thread(self.followed[settings].history.follow, positions, request["seconds"])
        return {"happened": happened, "positions": positions}

    async def _op_attach(self, request: Message) -> Message:
        """Open the connection to a node's supervisor, and keep the node's part of the run."""
        connection = NodeConnection(
            job_id=request["job_id"],
            node=request["node"],
            cluster_id=request["cluster_id"],
            commands=request["commands"],
            token=request["token"],
            lease=request["lease"],
            grace=request["grace"],
            limit=request["limit"],
            on_event=self._take_event,
            on_open=self._give_verdicts,
            on_gone=self._take_gone,
        )
        self.connections[connection.job_id, connection.node] = connection
        try:
            await connection.connected(request["lease"])
            driver = await self._joined_driver(request)
            if driver is not None:
                await driver.add(connection)
        except MultideviceError:
            await self._forget(connection)
            raise
        return {}

    async def _op_attached(self, request: Message) -> Message:
        """Whether there is a connection to a node job's supervisor."""
        return {"attached": (request["job_id"], request["node"]) in self.connections}

    async def _op_request(self, request: Message) -> Message:
        """Pass a request on to a node's supervisor."""
        connection = self._connection(request)
        answer = await connection.request(request["request"])
        driver = self._driver_of(connection)
        if driver is not None and request["request"].get("op") == "links":
            try:
                told = answers.warnings(answer.get("warnings", []))
            except ValueError as expected:
                raise NodeError(f"{connection.node} answers with warnings that are not {expected}") from None
            for text in told:
                driver.tell(connection, EventName.WARNING, {"text": text})
        return answer

    async def _op_put_tree(self, request: Message) -> Message:
        """Put a script tree on a node, unless it has it."""
        connection = self._connection(request)
        which = {"root": request["root"], "checksum": request["checksum"]}
        if (await connection.request({"op": "has_tree", **which}))["present"]:
            return {"changed": False}
        with open(request["archive"], "rb") as stream:
            piece = stream.read(CHUNK)
            offset = 0
            while piece:
                following = stream.read(CHUNK)
                data = base64.b64encode(piece).decode("ascii")
                await connection.request(
                    {"op": "put_tree", **which, "offset": offset, "data": data, "last": not following}
                )
                offset += len(piece)
                piece = following
        return {"changed": True}

    async def _op_make_key(self, request: Message) -> Message:
        """Make a node's key for ssh to the others, and tell these its public part."""
        connection, driver = self._connection(request), self._required_driver(request)
        await driver.share_key(connection, (await connection.request({"op": "ssh_key"}))["key"])
        return {}

    async def _op_keys(self, request: Message) -> Message:
        """The public keys of all nodes of a run."""
        return {"keys": await self._required_driver(request).shared_keys()}

    def _required_driver(self, request: Message) -> RunDriver:
        driver = self._driver_of(self._connection(request))
        if driver is None:
            raise NodeError("ssh between the machines needs the run that they take part in: cluster_id")
        return driver

    async def _op_wait(self, request: Message) -> Message:
        """Wait until a phase of a node is over or its run aborted, for one slice at most."""
        connection = self._connection(request)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request["slice"]
        while (answer := self._phase_answer(connection, request["phase"])) is None:
            left = deadline - loop.time()
            if left <= 0:
                return {"answer": "retry", "scripts": list(connection.scripts.values())}
            with contextlib.suppress(asyncio.TimeoutError):
                async with connection.changed:
                    await asyncio.wait_for(connection.changed.wait(), min(left, 5.0))
        return {**answer, "scripts": list(connection.scripts.values())}

    async def _op_collect(self, request: Message) -> Message:
        """Fetch a node's results into a folder of the controller."""
        connection, dest = self._connection(request), Path(request["dest"])
        promised = self.results.folder_of(connection.job_id)
        if promised is not None and dest != promised:
            # What the task says comes from variables, and these may have been given by others than the user.
            raise NodeError(f"the results of {connection.node} belong into {promised}, and nowhere else")
        return await self._collect(connection, dest, request["limit"])

    async def _collect(self, connection: NodeConnection, dest: Path, limit: int) -> Message:
        try:
            return await self._fetch(connection, dest, limit)
        except Exception as error:
            # Whatever keeps results away, a run without them is not one that went well.
            self._tell_lost_results(connection, str(error) or repr(error))
            raise

    def _tell_lost_results(self, connection: NodeConnection, why: str) -> None:
        """A run whose results are not complete does not count as good, whatever its verdict was before."""
        driver = self._driver_of(connection)
        if driver is not None:
            driver.tell(connection, EventName.RESULTS_LOST, {"text": why.removeprefix(f"{connection.node}: ")})

    async def _fetch(self, connection: NodeConnection, dest: Path, limit: int) -> Message:
        status: Message = {}
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tar.gz") as stream:
            piece: Message = {"offset": None}
            while piece["offset"] != stream.tell() or piece["data"]:
                if stream.tell() > limit + archive.HEADERS:
                    raise NodeError("they are more than the limit for a node even when packed")
                if piece["offset"] == stream.tell():
                    stream.write(base64.b64decode(piece["data"]))
                else:
                    # The beginning, or the connection broke and a piece was lost with it.
                    status = await connection.request({"op": "collect", "limit": limit})
                    stream.seek(0)
                    stream.truncate()
                piece = await connection.request({"op": "read"}, timeout=PIECE_TIMEOUT)
            stream.flush()
            await asyncio.to_thread(functools.partial(archive.unpack, Path(stream.name), dest, limit=limit))
        driver = self._driver_of(connection)
        if driver is not None and piece["notes"]:
            driver.tell(connection, EventName.COLLECTED, {"notes": piece["notes"]})
        return {"notes": piece["notes"], "scripts": status["scripts"], "phases": status["phases"]}

    async def _op_promise_results(self, request: Message) -> Message:
        """Write the results should the controller end before it has done that; without a plan: it has."""
        self.results.promise(request)
        return {}

    async def _op_worker_begin(self, request: Message) -> Message:
        """Be a worker; tells which node jobs one before it has left on this machine, and what it has had nobody to say to."""
        if self.worker is None:
            driver = WorkerDriver.from_request(request, self.controller)
            await driver.begin()
            self.worker = driver
        spool = self.worker.spool
        return {"left": [job.job_id for job in spool.left()], "notices": spool.take_notices()}

    async def _op_worker_take(self, request: Message) -> Message:
        """Wait for a node job for one slice at most."""
        return {"job_id": await self._worker().take(request["slice"])}

    async def _op_worker_done(self, request: Message) -> Message:
        """Hand in the results of a node job, this worker's own or one that was left."""
        driver = self._worker()
        return {"notes": await driver.hand_in(driver.spool.job(request["job_id"]))}

    def _worker(self) -> WorkerDriver:
        if self.worker is None:
            raise NodeError("cluster_worker with state present comes first")
        return self.worker

    async def _op_detach(self, request: Message) -> Message:
        """End a node's supervisor, which cleans the node, and hang up. ``lost``: it cannot be reached any more."""
        connection = self._connection(request)
        driver = self._driver_of(connection)
        if driver is not None:
            await driver.let_go(connection)
        try:
            await self._end_supervisor(connection, keep_trees=request["keep_trees"])
        except NodeError as error:
            return {"changed": False, "lost": None if connection.is_gone else str(error)}
        finally:
            await self._forget(connection)
        return {"changed": True, "lost": None}

    async def _op_failed(self, request: Message) -> Message:
        """Abort the run of a node job in which a task has failed, if any node of that run is kept here."""
        driver = self.drivers.get(cluster_of(request["job_id"]))
        if driver is not None:
            reason = make_reason(request["text"], kind=ReasonKind.FAILED)
            await asyncio.to_thread(driver.coordinator.nodes.report, request["job_id"], Report.FAILED, reason)
        return {"reported": driver is not None}

    async def _end_supervisor(self, connection: NodeConnection, *, keep_trees: bool) -> None:
        await connection.request({"op": "end", "keep_trees": keep_trees}, timeout=END_TIMEOUT)
        driver = self._driver_of(connection)
        if driver is not None:
            driver.tell(connection, EventName.LEFT)

    def _connection(self, request: Message) -> NodeConnection:
        connection = self.connections.get((request["job_id"], request["node"]))
        if connection is None:
            raise NodeError(f"nothing is prepared for {request['job_id']}: role_scripts with state present comes first")
        return connection

    def _take_event(self, connection: NodeConnection, event: Message) -> None:
        driver = self._driver_of(connection)
        if driver is not None:
            driver.take_event(connection, event)
        asyncio.get_running_loop().create_task(connection.note())

    def _give_verdicts(self, connection: NodeConnection) -> None:
        driver = self._driver_of(connection)
        if driver is not None:
            driver.give_verdicts(connection)

    def _take_gone(self, connection: NodeConnection) -> None:
        driver = self._driver_of(connection)
        if driver is not None:
            driver.take_gone(connection)

    @staticmethod
    def _phase_answer(connection: NodeConnection, phase: str) -> Message | None:
        event = connection.phases.get(phase)
        if event is not None and event["state"] in (PhaseState.FINISHED, PhaseState.FAILED):
            keys = ("script", "exit_code", "text", "tail")
            return {"answer": event["state"], **{key: event[key] for key in keys}}
        if connection.aborted is not None:
            return {"answer": Verdict.ABORT, **connection.aborted}
        if connection.loss:
            return {"answer": PhaseState.FAILED, "script": None, "exit_code": None, "text": connection.loss, "tail": ""}
        return None

    def _driver_of(self, connection: NodeConnection) -> RunDriver | None:
        """Who drives the run that a node takes part in, if it takes part in any."""
        return self.drivers.get(connection.cluster_id or "")

    async def _joined_driver(self, request: Message) -> RunDriver | None:
        cluster_id = request["cluster_id"]
        if cluster_id is None:
            return None
        async with self.locks.setdefault("drivers", asyncio.Lock()):
            if cluster_id not in self.drivers:
                settings = RedisSettings.from_options(request["redis"])
                coordinator = await asyncio.to_thread(Coordinator.connect, settings)
                self.drivers[cluster_id] = RunDriver(cluster_id, coordinator, lease=request["lease"])
        return self.drivers[cluster_id]

    async def _forget(self, connection: NodeConnection) -> None:
        await connection.close()
        if self.connections.get((connection.job_id, connection.node)) is connection:
            del self.connections[connection.job_id, connection.node]
        driver = self._driver_of(connection)
        if driver is not None:
            driver.forget(connection)
            if not driver.connections:
                self.drivers.pop(driver.cluster_id, None)
                await driver.close()


# What a task may ask for.
_OPERATIONS: dict[str, t.Callable[[Relay, Message], t.Coroutine[t.Any, t.Any, Message]]] = {
    "hello": Relay._op_hello,
    "embedded_redis": Relay._op_embedded_redis,
    "follow": Relay._op_follow,
    "attach": Relay._op_attach,
    "attached": Relay._op_attached,
    "request": Relay._op_request,
    "put_tree": Relay._op_put_tree,
    "make_key": Relay._op_make_key,
    "keys": Relay._op_keys,
    "wait": Relay._op_wait,
    "collect": Relay._op_collect,
    "promise_results": Relay._op_promise_results,
    "worker_begin": Relay._op_worker_begin,
    "worker_take": Relay._op_worker_take,
    "worker_done": Relay._op_worker_done,
    "detach": Relay._op_detach,
    "failed": Relay._op_failed,
}


def log_file(folder: Path) -> logging.Handler:
    """The log, and once as much of what came before."""
    return logging.handlers.RotatingFileHandler(folder / "relay.log", maxBytes=LOG_LIMIT, backupCount=1)


def main() -> None:
    """Serve one controller: ``_server.py FOLDER PID``."""
    folder = Path(sys.argv[1])
    logging.basicConfig(handlers=[log_file(folder)], level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(Relay(folder).serve(int(sys.argv[2])))
    # Threads that still try to reach the Redis that has just been ended would be waited for otherwise.
    os._exit(0)


if __name__ == "__main__":
    main()
