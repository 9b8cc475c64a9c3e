# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import logging
import os
import shutil
import sys
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    EventName,
    PhaseState,
    ReasonKind,
    Report,
    Verdict,
    make_reason,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._node_link import LINE_LIMIT, Message, NodeLink
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._promised_results import PromisedResults
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._redis_server import RedisServer
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._run_keeper import RunKeeper
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._worker_keeper import WorkerKeeper, new_keeper
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import archive

CHUNK = 1048576
END_TIMEOUT = 15.0
PIECE_TIMEOUT = 120.0
ENDED = "the controller's ansible-playbook ended before the run did"
LOG = logging.getLogger("multidevice.relay")


class Relay:
    """Serves the tasks of one ansible-playbook process, and outlives it just long enough to clean up.

    Tasks speak JSON lines over a unix socket in its folder: ``{"op", …}`` is answered with ``{"ok", …}``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # By job id and node: without a run, the machines of a play may well have a job id in common.
        self.links: dict[tuple[str, str], NodeLink] = {}
        self.keepers: dict[str, RunKeeper] = {}
        self.redis: RedisServer | None = None
        self.locks: dict[str, asyncio.Lock] = {}
        self.results = PromisedResults()
        self.followed: dict[RedisSettings, Coordinator] = {}
        self.worker: WorkerKeeper | None = None
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
            await asyncio.gather(*(keeper.abort(ENDED) for keeper in self.keepers.values()))
        else:
            # What it gives up before its run has begun, another worker can take; it is given back when all is clean.
            begun = [keeper for keeper in self.keepers.values() if keeper.has_begun]
            await asyncio.gather(*(keeper.abort(self.worker.farewell, self.worker.node) for keeper in begun))
        left = list(self.links.values())
        for outcome in await asyncio.gather(*(self._end_part(link) for link in left), return_exceptions=True):
            if isinstance(outcome, BaseException):
                LOG.error("a node may not be clean: %s", outcome)
        await asyncio.gather(*(link.close() for link in left))
        await asyncio.gather(*(keeper.close() for keeper in self.keepers.values()))

    async def _end_part(self, link: NodeLink) -> None:
        """What the play would have done at the end of a node's part."""
        dest = self.results.folder_of(link.job_id)
        if not link.is_open and self.worker is not None:
            # The machine keeps them, for the worker to hand in.
            return
        if not link.is_open:
            self._tell_lost_results(link, "there was no line to it when ansible-playbook ended")
            return
        try:
            await link.request({"op": "stop", "grace": link.grace}, timeout=link.grace + END_TIMEOUT)
            if dest is not None:
                await self._collect(link, dest, link.limit)
        except (MultideviceError, OSError) as error:
            LOG.error("%s: no results: %s", link.node, error)
        finally:
            await self._end_supervisor(link, keep_trees=False)

    async def _serve_task(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                request = json.loads(line)
                try:
                    answer = {"ok": True, **(await _OPERATIONS[request["op"]](self, request))}
                except (MultideviceError, OSError) as error:
                    answer = {"ok": False, "text": str(error)}
                except Exception as error:  # A fault of ours in one operation must not take down the others.
                    LOG.exception("%s", request["op"])
                    answer = {"ok": False, "text": f"the relay failed: {error!r}; see {self.folder}/relay.log"}
                writer.write(json.dumps(answer).encode() + b"\n")
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
        happened = await asyncio.to_thread(self.followed[settings].follow, positions, request["seconds"])
        return {"happened": happened, "positions": positions}

    async def _op_attach(self, request: Message) -> Message:
        """Open the line to a node's supervisor, and keep the node's part of the run."""
        link = NodeLink(
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
        self.links[link.job_id, link.node] = link
        try:
            await link.connected(request["lease"])
            keeper = await self._keeper(request)
            if keeper is not None:
                await keeper.add(link)
        except MultideviceError:
            await self._forget(link)
            raise
        return {}

    async def _op_attached(self, request: Message) -> Message:
        """Whether there is a line to a node job's supervisor."""
        return {"attached": (request["job_id"], request["node"]) in self.links}

    async def _op_request(self, request: Message) -> Message:
        """Pass a request on to a node's supervisor."""
        return await self._link(request).request(request["request"])

    async def _op_put_tree(self, request: Message) -> Message:
        """Put a script tree on a node, unless it has it."""
        link = self._link(request)
        which = {"root": request["root"], "checksum": request["checksum"]}
        if (await link.request({"op": "has_tree", **which}))["present"]:
            return {"changed": False}
        with open(request["archive"], "rb") as stream:
            piece = stream.read(CHUNK)
            offset = 0
            while piece:
                following = stream.read(CHUNK)
                data = base64.b64encode(piece).decode("ascii")
                await link.request({"op": "put_tree", **which, "offset": offset, "data": data, "last": not following})
                offset += len(piece)
                piece = following
        return {"changed": True}

    async def _op_make_key(self, request: Message) -> Message:
        """Make a node's key for ssh to the others, and tell these its public part."""
        link, keeper = self._link(request), self._keeper_of(request)
        await keeper.share_key(link, (await link.request({"op": "ssh_key"}))["key"])
        return {}

    async def _op_keys(self, request: Message) -> Message:
        """The public keys of all nodes of a run."""
        return {"keys": await self._keeper_of(request).shared_keys()}

    def _keeper_of(self, request: Message) -> RunKeeper:
        keeper = self.keepers.get(self._link(request).cluster_id or "")
        if keeper is None:
            raise NodeError("ssh between the machines needs the run that they take part in: cluster_id")
        return keeper

    async def _op_wait(self, request: Message) -> Message:
        """Wait until a phase of a node is over or its run aborted, for one slice at most."""
        link = self._link(request)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request["slice"]
        while (answer := self._outcome(link, request["phase"])) is None:
            left = deadline - loop.time()
            if left <= 0:
                return {"answer": "retry", "scripts": list(link.scripts.values())}
            with contextlib.suppress(asyncio.TimeoutError):
                async with link.changed:
                    await asyncio.wait_for(link.changed.wait(), min(left, 5.0))
        return {**answer, "scripts": list(link.scripts.values())}

    async def _op_collect(self, request: Message) -> Message:
        """Fetch a node's results into a folder of the controller."""
        link, dest = self._link(request), Path(request["dest"])
        promised = self.results.folder_of(link.job_id)
        if promised is not None and dest != promised:
            # What the task says comes from variables, and these may have been given by others than the user.
            raise NodeError(f"the results of {link.node} belong into {promised}, and nowhere else")
        return await self._collect(link, dest, request["limit"])

    async def _collect(self, link: NodeLink, dest: Path, limit: int) -> Message:
        try:
            return await self._fetch(link, dest, limit)
        except Exception as error:
            # Whatever keeps results away, a run without them is not one that went well.
            self._tell_lost_results(link, str(error) or repr(error))
            raise

    def _tell_lost_results(self, link: NodeLink, why: str) -> None:
        """A run whose results are not complete does not count as good, whatever its verdict was before."""
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None:
            keeper.tell(link, EventName.RESULTS_LOST, {"text": why.removeprefix(f"{link.node}: ")})

    async def _fetch(self, link: NodeLink, dest: Path, limit: int) -> Message:
        status: Message = {}
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tar.gz") as stream:
            piece: Message = {"offset": None}
            while piece["offset"] != stream.tell() or piece["data"]:
                if stream.tell() > limit + archive.HEADERS:
                    raise NodeError("they are more than the limit for a node even when packed")
                if piece["offset"] == stream.tell():
                    stream.write(base64.b64decode(piece["data"]))
                else:
                    # The beginning, or the line broke and a piece was lost with it.
                    status = await link.request({"op": "collect", "limit": limit})
                    stream.seek(0)
                    stream.truncate()
                piece = await link.request({"op": "read"}, timeout=PIECE_TIMEOUT)
            stream.flush()
            await asyncio.to_thread(functools.partial(archive.unpack, Path(stream.name), dest, limit=limit))
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None and piece["notes"]:
            keeper.tell(link, EventName.COLLECTED, {"notes": piece["notes"]})
        return {"notes": piece["notes"], "scripts": status["scripts"], "phases": status["phases"]}

    async def _op_promise_results(self, request: Message) -> Message:
        """Write the results should the controller end before it has done that; without a plan: it has."""
        self.results.promise(request)
        return {}

    async def _op_worker_begin(self, request: Message) -> Message:
        """Be a worker; tells which node jobs one before it has left on this machine, and what it has left to be said."""
        if self.worker is None:
            keeper = new_keeper(request, self.controller)
            await keeper.begin()
            self.worker = keeper
        spool = self.worker.spool
        return {"left": [job.job_id for job in spool.left()], "words": spool.take_words()}

    async def _op_worker_take(self, request: Message) -> Message:
        """Wait for a node job for one slice at most."""
        return {"job_id": await self._worker().take(request["slice"])}

    async def _op_worker_done(self, request: Message) -> Message:
        """Hand in the results of a node job, this worker's own or one that was left."""
        keeper = self._worker()
        return {"notes": await keeper.hand_in(keeper.spool.job(request["job_id"]))}

    def _worker(self) -> WorkerKeeper:
        if self.worker is None:
            raise NodeError("cluster_worker with state present comes first")
        return self.worker

    async def _op_detach(self, request: Message) -> Message:
        """End a node's supervisor, which cleans the node, and hang up. ``lost``: it cannot be reached any more."""
        link = self._link(request)
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None:
            await keeper.release(link)
        try:
            await self._end_supervisor(link, keep_trees=request["keep_trees"])
        except NodeError as error:
            return {"changed": False, "lost": None if link.is_gone else str(error)}
        finally:
            await self._forget(link)
        return {"changed": True, "lost": None}

    async def _op_failed(self, request: Message) -> Message:
        """Abort the run of a node job in which a task has failed, if any node of that run is kept here."""
        keeper = self.keepers.get(cluster_of(request["job_id"]))
        if keeper is not None:
            reason = make_reason(request["text"], kind=ReasonKind.FAILED)
            await asyncio.to_thread(keeper.coordinator.report, request["job_id"], Report.FAILED, reason)
        return {"reported": keeper is not None}

    async def _end_supervisor(self, link: NodeLink, *, keep_trees: bool) -> None:
        await link.request({"op": "end", "keep_trees": keep_trees}, timeout=END_TIMEOUT)
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None:
            keeper.tell(link, EventName.LEFT)

    def _link(self, request: Message) -> NodeLink:
        link = self.links.get((request["job_id"], request["node"]))
        if link is None:
            raise NodeError(f"nothing is prepared for {request['job_id']}: role_scripts with state present comes first")
        return link

    def _take_event(self, link: NodeLink, event: Message) -> None:
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None:
            keeper.take_event(link, event)
        asyncio.get_running_loop().create_task(link.note())

    def _give_verdicts(self, link: NodeLink) -> None:
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None:
            keeper.give_verdicts(link)

    def _take_gone(self, link: NodeLink) -> None:
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None:
            keeper.take_gone(link)

    @staticmethod
    def _outcome(link: NodeLink, phase: str) -> Message | None:
        event = link.phases.get(phase)
        if event is not None and event["state"] in (PhaseState.FINISHED, PhaseState.FAILED):
            keys = ("script", "exit_code", "text", "tail")
            return {"answer": event["state"], **{key: event[key] for key in keys}}
        if link.aborted is not None:
            return {"answer": Verdict.ABORT, **link.aborted}
        if link.loss:
            return {"answer": PhaseState.FAILED, "script": None, "exit_code": None, "text": link.loss, "tail": ""}
        return None

    async def _keeper(self, request: Message) -> RunKeeper | None:
        cluster_id = request["cluster_id"]
        if cluster_id is None:
            return None
        async with self.locks.setdefault("keepers", asyncio.Lock()):
            if cluster_id not in self.keepers:
                settings = RedisSettings.from_options(request["redis"])
                coordinator = await asyncio.to_thread(Coordinator.connect, settings)
                self.keepers[cluster_id] = RunKeeper(cluster_id, coordinator, lease=request["lease"])
        return self.keepers[cluster_id]

    async def _forget(self, link: NodeLink) -> None:
        await link.close()
        if self.links.get((link.job_id, link.node)) is link:
            del self.links[link.job_id, link.node]
        keeper = self.keepers.get(link.cluster_id or "")
        if keeper is not None:
            keeper.forget(link)
            if not keeper.links:
                self.keepers.pop(keeper.cluster_id, None)
                await keeper.close()


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


def main() -> None:
    """Serve one controller: ``_server.py FOLDER PID``."""
    folder = Path(sys.argv[1])
    logging.basicConfig(filename=folder / "relay.log", level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(Relay(folder).serve(int(sys.argv[2])))
    # Threads that still try to reach the Redis that has just been ended would be waited for otherwise.
    os._exit(0)


if __name__ == "__main__":
    main()
