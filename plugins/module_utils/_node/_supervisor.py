# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hmac
import json
import os
import secrets
import select
import selectors
import signal
import socket
import sys
import tarfile
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _locks as locks
from ansible_collections.lab.multidevice.plugins.module_utils._archives import file_digest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message
from ansible_collections.lab.multidevice.plugins.module_utils._links import changes as links
from ansible_collections.lab.multidevice.plugins.module_utils._links import records as link_records
from ansible_collections.lab.multidevice.plugins.module_utils._names import check_address, check_name
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders as folders
from ansible_collections.lab.multidevice.plugins.module_utils._node import _processes as processes
from ansible_collections.lab.multidevice.plugins.module_utils._node import _results as results
from ansible_collections.lab.multidevice.plugins.module_utils._node import _script as scripts
from ansible_collections.lab.multidevice.plugins.module_utils._node import _spawn as spawn
from ansible_collections.lab.multidevice.plugins.module_utils._node import _ssh as ssh
from ansible_collections.lab.multidevice.plugins.module_utils._node import _undo as undo
from ansible_collections.lab.multidevice.plugins.module_utils._node._account import Account
from ansible_collections.lab.multidevice.plugins.module_utils._node._clients import CHUNK, SupervisorClient
from ansible_collections.lab.multidevice.plugins.module_utils._node._runner import Runner
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import EventName

END_GRACE = 1.0
# So much longer than its lease may a turn of the supervisor take.
STUCK = 10.0
# So many connections at a time may not have shown a token yet; of more, those that came first are closed.
STRANGERS = 32


class Supervisor:
    """Runs the scripts of one node job on one machine, answers the controller, and cleans up by itself.

    It speaks JSON lines over a unix socket in its folder. A request is ``{"id", "op", …}``, its answer
    ``{"id", "ok", …}``; what happens by itself is ``{"seq", "event", …}``, numbered, and sent again from a number that
    a returning controller names. When no controller has been heard from for ``lease`` seconds, the supervisor stops
    all scripts, takes back what the run changed on the machine, removes its folder and ends.
    """

    def __init__(self, folder: Path, config: Message) -> None:
        self.folder = folder
        self.token: str = config["token"]
        self.lease: float = config["lease"]
        self.hosts_file = Path(config["hosts_file"])
        self.script_token = secrets.token_hex(16)
        environment = scripts.base_environment(folder.name, folders.commands(folder))
        environment.update(MULTIDEVICE_FOLDER=str(folder), MULTIDEVICE_TOKEN=self.script_token)
        account = Account.of(config["script_user"]) if config.get("script_user") else None
        if account is not None:
            # Its scripts pass through to their own folders, and see nothing of what root has there.
            folders.results(folder).chmod(0o711)
        self.runner = Runner(folder, environment, self._tell, account)
        self.packing: results.Packing | None = None
        self.events: list[Message] = []
        self.told = 0
        self.clients: dict[int, SupervisorClient] = {}
        self.asked: dict[int, SupervisorClient] = {}
        self.asks = 0
        self.stopping: list[tuple[SupervisorClient, int, bool]] = []
        self.lease_end = _now() + self.lease
        self.running = True
        self.selector = selectors.DefaultSelector()

    # The loop

    def serve(self, heartbeat: int) -> None:
        """Run until told to end, or until the lease has run out.

        :param heartbeat: where a byte is written in each turn.
        """
        os.set_blocking(heartbeat, False)
        processes.become_subreaper()
        wake_out, wake_in = socket.socketpair()
        for end in (wake_out, wake_in):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, lambda number, frame: setattr(self, "running", False))
        signal.set_wakeup_fd(wake_in.fileno(), warn_on_full_buffer=False)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folders.socket(self.folder)))
        # The login user attaches without becoming root; the token is what lets it in.
        folders.socket(self.folder).chmod(0o666)
        listener.listen(64)
        listener.setblocking(False)
        self._watch(listener, lambda mask: self._accept(listener))
        self._watch(wake_out, lambda mask: wake_out.recv(4096))
        try:
            while self.running:
                with contextlib.suppress(BlockingIOError):
                    os.write(heartbeat, b".")
                for key, mask in self.selector.select(self._pause()):
                    key.data(mask)
                self.runner.step()
                self._answer_stops()
                if _now() > self.lease_end:
                    self.running = False
        finally:
            os.close(heartbeat)
            listener.close()
            self._clean()

    def _watch(self, file: t.Any, work: t.Callable[[int], t.Any]) -> None:
        self.selector.register(file, selectors.EVENT_READ, work)

    def _pause(self) -> float:
        # After a suspend the clock of the lease has gone on, that of a pause has not.
        pause = min(self.lease_end - _now() + 0.01, self.lease / 3)
        due = self.runner.pause()
        return max(0.0, pause if due is None else min(pause, due))

    def _accept(self, listener: socket.socket) -> None:
        strangers = [client for client in self.clients.values() if client.role is None]
        if len(strangers) >= STRANGERS:
            self._drop(strangers[0])
        try:
            connection = listener.accept()[0]
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is left: scripts have them, who may not keep the controller out.
            asking = [client for client in self.clients.values() if client.role != "controller"]
            if asking:
                self._drop(asking[0])
            return
        connection.setblocking(False)
        client = SupervisorClient(connection)
        self.clients[connection.fileno()] = client
        self._watch(connection, lambda mask: self._serve_client(client, mask))

    def _serve_client(self, client: SupervisorClient, mask: int) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                client.flush()
            if mask & selectors.EVENT_READ:
                for request in client.messages():
                    self._answer(client, request)
                    if client.role is None:
                        raise EOFError
        except EOFError:
            self._drop(client)
        else:
            self._watch_writes(client)

    def _send(self, client: SupervisorClient, message: Message) -> None:
        client.send(message)
        self._watch_writes(client)

    def _watch_writes(self, client: SupervisorClient) -> None:
        number = client.connection.fileno()
        if number in self.clients:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.has_unsent else 0)
            self.selector.modify(client.connection, wanted, self.selector.get_key(number).data)

    def _drop(self, client: SupervisorClient) -> None:
        # What it has said may still be waiting for its turn when it is dropped to make room.
        if self.clients.pop(client.connection.fileno(), None) is None:
            return
        self.selector.unregister(client.connection)
        client.connection.close()
        for number in [number for number, asker in self.asked.items() if asker is client]:
            del self.asked[number]

    # Requests

    def _answer(self, client: SupervisorClient, request: Message) -> None:
        answer: Message = {"id": request.get("id")}
        try:
            if client.role is None and request.get("op") != "hello":
                raise NodeError("say hello with the token first")
            if client.role == "script" and request.get("op") != "ask":
                raise NodeError("a script can ask for barriers and messages only")
            if client.role == "controller":
                self.lease_end = _now() + self.lease
            operation = _OPERATIONS.get(request["op"])
            if operation is None:
                raise NodeError(f"the supervisor knows no {request['op']!r}")
            reply = operation(self, client, request)
            if reply is None:
                return
            answer.update(ok=True, **reply)
        except (MultideviceError, OSError, tarfile.TarError, LookupError, TypeError, ValueError) as error:
            answer.update(ok=False, text=f"{str(error) or repr(error)}{scripts.full_disk_note(self.folder)}")
        self._send(client, answer)

    def _op_hello(self, client: SupervisorClient, request: Message) -> Message:
        """Let a client in. ``after``: the number of the last event that a returning controller has seen."""
        given = str(request.get("token", "")).encode(errors="replace")
        if hmac.compare_digest(given, self.token.encode()):
            client.role = "controller"
            self.lease_end = _now() + self.lease
            self._forget_events(request.get("after", 0))
            return {"events": list(self.events), "time": time.time(), **self.runner.status()}
        if hmac.compare_digest(given, self.script_token.encode()):
            client.role = "script"
            return {}
        raise NodeError("the token is not this run's")

    def _op_alive(self, client: SupervisorClient, request: Message) -> Message:
        """Renew the lease; tells the time of this machine. ``after`` is as with ``hello``."""
        self._forget_events(request["after"])
        return {"time": time.time()}

    def _op_status(self, client: SupervisorClient, request: Message) -> Message:
        """How far phases and scripts have come; ``busy``: whether any process is left of them."""
        return {"busy": not self.runner.is_idle(), **self.runner.status()}

    def _op_export(self, client: SupervisorClient, request: Message) -> Message:
        """Add variables for all scripts that start from now on, host entries, and whom ssh is to let in."""
        shares = scripts.cpu_shares(request.get("cpu_shares", {}))
        self.runner.environment.update({**request.get("env", {}), **shares})
        if "hosts" in request:
            lines = [f"{check_address(address)} {check_name(name)}" for address, name in request["hosts"]]
            undo.put_block(self.folder, self.hosts_file, lines)
        if "ssh" in request:
            ssh.let_in(self.folder, request["ssh"]["keys"], request["ssh"]["names"])
        return {}

    def _op_has_tree(self, client: SupervisorClient, request: Message) -> Message:
        """Use a script tree that is on this machine already; tells whether it is."""
        path = folders.tree(self.folder, request["checksum"])
        folders.use_tree(self.folder, request["checksum"])
        if path.is_dir():
            self.runner.trees[request["root"]] = str(path)
        return {"present": path.is_dir()}

    def _op_put_tree(self, client: SupervisorClient, request: Message) -> Message:
        """Take a piece of a script tree's archive, which belongs at ``offset``; with ``last``, unpack it."""
        archive = self.folder / f"tree-{int(request['checksum'], 16):x}.tar.gz"
        with open(archive, "ab") as stream:
            stream.truncate(request["offset"])
            stream.write(base64.b64decode(request["data"]))
        if request["last"]:
            if file_digest(archive) != request["checksum"]:
                raise NodeError("the script tree did not arrive whole: its checksum differs")
            path = folders.unpack_tree(self.folder, archive, request["checksum"])
            archive.unlink()
            self.runner.trees[request["root"]] = str(path)
        return {}

    def _op_links(self, client: SupervisorClient, request: Message) -> None:
        """Bind or unbind direct addresses; see ``_links/changes.py``. Answers when it is done: checks on the wire take seconds."""
        record = link_records.record_path(links.DEFAULT_RECORD_DIR, self.folder.name)

        def work() -> Message:
            if request["state"] == "absent":
                return dataclasses.asdict(links.remove_links(record))
            return dataclasses.asdict(links.apply_links(request["links"], record=record, **request.get("options", {})))

        self._in_the_background(client, request, work)

    def _op_ssh_key(self, client: SupervisorClient, request: Message) -> None:
        """Make a key with which this machine's scripts reach the others of the run; answers with its public part."""
        self._in_the_background(client, request, lambda: {"key": ssh.make_key(self.folder)})

    def _in_the_background(self, client: SupervisorClient, request: Message, work: t.Callable[[], Message]) -> None:
        """Answer when the work is done, and go on meanwhile. It may start programs; here their ends would be ours to reap."""
        reader = spawn.fork_work(work)[1]
        said = b""

        def take(mask: int) -> None:
            nonlocal said
            piece = os.read(reader, CHUNK)
            said += piece
            if piece:
                return
            self.selector.unregister(reader)
            os.close(reader)
            answer: Message = json.loads(said) if said else {"error": f"{request['op']} was stopped"}
            if "error" in answer:
                self._send(client, {"id": request["id"], "ok": False, "text": answer["error"]})
            else:
                self._send(client, {"id": request["id"], "ok": True, **answer["answer"]})

        self._watch(reader, take)

    def _op_start(self, client: SupervisorClient, request: Message) -> Message:
        """Run the scripts of a phase in order; ``armed``: get ready, and start at ``go``."""
        changed = self.runner.start(request["phase"], request["scripts"], armed=request["armed"])
        return {"changed": changed, **self.runner.status()}

    def _op_go(self, client: SupervisorClient, request: Message) -> Message:
        """Start a phase that is armed."""
        return {"changed": self.runner.go(request["phase"])}

    def _op_stop(self, client: SupervisorClient, request: Message) -> None:
        """TERM to all scripts and what they started; KILL after ``grace`` seconds. Answers when all have ended."""
        busy = not self.runner.is_idle()
        self.runner.stop(float(request["grace"]))
        self.stopping.append((client, request["id"], busy))

    def _answer_stops(self) -> None:
        if self.stopping and self.runner.is_idle():
            if any(busy for _client, _number, busy in self.stopping):
                self._tell(EventName.STOPPED, took=self.runner.stopping_for)
            for client, number, busy in self.stopping:
                self._send(client, {"id": number, "ok": True, "changed": busy})
            self.stopping.clear()

    def _op_collect(self, client: SupervisorClient, request: Message) -> Message:
        """Begin to pack the results, ``limit`` bytes of files at most; they are then read with ``read``."""
        self.runner.write_records()
        self._stop_packing()
        self.packing = results.Packing(folders.results(self.folder), limit=int(request["limit"]))
        return self.runner.status()

    def _op_read(self, client: SupervisorClient, request: Message) -> None:
        """The next piece of the packed results, as soon as there is one; at the end an empty one, with notes."""
        packing = self.packing
        if packing is None:
            raise NodeError("nothing is being collected")

        def answer(mask: int) -> None:
            read = packing.read()
            if read is None:
                return
            offset, piece = read
            self.selector.unregister(packing.reader)
            if not piece:
                self._stop_packing()
            found = {"offset": offset, "data": base64.b64encode(piece).decode("ascii"), "notes": packing.notes}
            self._send(client, {"id": request["id"], "ok": True, **found})

        self._watch(packing.reader, answer)

    def _stop_packing(self) -> None:
        if self.packing is not None:
            with contextlib.suppress(KeyError):
                self.selector.unregister(self.packing.reader)
            self.packing.close()
            self.packing = None

    def _op_end(self, client: SupervisorClient, request: Message) -> Message:
        """Stop everything, take back what the run changed, remove the folder, end."""
        notes = self._clean(keep_trees=bool(request.get("keep_trees")))
        self.running = False
        if notes:
            raise NodeError("; ".join(notes))
        return {"changed": True}

    def _op_ask(self, client: SupervisorClient, request: Message) -> None:
        """Pass a script's question on to the controller; its answer comes with ``answer``."""
        self.asks += 1
        self.asked[self.asks] = client
        question = {key: value for key, value in request.items() if key not in ("id", "op")}
        self._tell("ask", number=self.asks, asked=request.get("id"), question=question)

    def _op_answer(self, client: SupervisorClient, request: Message) -> Message:
        """The controller's answer to a script's question."""
        asker = self.asked.pop(request["number"], None)
        if asker is not None:
            self._send(asker, {"id": request["asked"], **request["answer"]})
        return {}

    # Events, and the end

    def _tell(self, event: str, **data: t.Any) -> None:
        self.told += 1
        message = {"seq": self.told, "event": event, "at": time.time(), **data}
        self.events.append(message)
        for client in self.clients.values():
            if client.role == "controller":
                self._send(client, message)

    def _forget_events(self, last_seen: int) -> None:
        self.events = [event for event in self.events if event["seq"] > last_seen]

    def _clean(self, *, keep_trees: bool = False) -> list[str]:
        left = processes.end_descendants(grace=END_GRACE)
        self.runner.write_records()
        notes = [f"process {pid} cannot be ended" for pid in left]
        return notes + undo.undo(self.folder, keep_trees=keep_trees)


# What a client may ask for.
_OPERATIONS: dict[str, t.Callable[[Supervisor, SupervisorClient, Message], Message | None]] = {
    "hello": Supervisor._op_hello,
    "alive": Supervisor._op_alive,
    "status": Supervisor._op_status,
    "export": Supervisor._op_export,
    "has_tree": Supervisor._op_has_tree,
    "put_tree": Supervisor._op_put_tree,
    "links": Supervisor._op_links,
    "ssh_key": Supervisor._op_ssh_key,
    "start": Supervisor._op_start,
    "go": Supervisor._op_go,
    "stop": Supervisor._op_stop,
    "collect": Supervisor._op_collect,
    "read": Supervisor._op_read,
    "end": Supervisor._op_end,
    "ask": Supervisor._op_ask,
    "answer": Supervisor._op_answer,
}


def _now() -> float:
    """Seconds that go on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def main() -> None:
    """Serve the run whose folder is named, ``python3 _supervisor.py FOLDER``, and stand guard over it.

    This process is the guard: should the supervisor be killed, or hang, it ends what that has left, and takes back its
    changes.
    """
    folder = Path(sys.argv[1])
    config = folders.take_config(folder)
    locks.take(folder)
    reader, heartbeat = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        os.close(reader)
        Supervisor(folder, config).serve(heartbeat)
        return
    os.close(heartbeat)
    processes.become_subreaper()
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(supervisor, signal.SIGTERM))
    while select.select([reader], [], [], float(config["lease"]) + STUCK)[0]:
        if not os.read(reader, 4096):
            break
    else:
        os.kill(supervisor, signal.SIGKILL)
    while True:
        pid, status = os.wait()
        if pid == supervisor:
            break
    if status != 0:
        processes.end_descendants(grace=0.0)
        undo.undo(folder)


if __name__ == "__main__":
    main()
