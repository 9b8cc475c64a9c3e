# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import json
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import tarfile
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _link_records as link_records
from ansible_collections.lab.multidevice.plugins.module_utils import _links as links
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders as folders
from ansible_collections.lab.multidevice.plugins.module_utils._node import _hosts_file as hosts_file
from ansible_collections.lab.multidevice.plugins.module_utils._node import _processes as processes
from ansible_collections.lab.multidevice.plugins.module_utils._node import _results as results
from ansible_collections.lab.multidevice.plugins.module_utils._node import _script as scripts

LINE_LIMIT = 16 * 1048576
READY_TIMEOUT = 60.0
READY_INTERVAL = 0.1
DAEMON_GRACE = 1.0
CHUNK = 262144

# A phase is a list of scripts that run in order: `daemon` (setup scripts, then daemons), `test` (monitors, then tests).
IDLE, ARMED, RUNNING, FINISHED, FAILED, STOPPED = "idle", "armed", "running", "finished", "failed", "stopped"


class Client:
    """One connection to the supervisor's socket: the controller's relay, a module, or a command of a script."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.role: str | None = None
        self.received = b""
        self.unsent = b""

    def lines(self) -> list[bytes]:
        """Whole lines that have come since the last call.

        :raises EOFError: the other end has closed.
        """
        try:
            data = self.connection.recv(CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise EOFError from error
        if not data or len(self.received) + len(data) > LINE_LIMIT:
            raise EOFError
        *whole, self.received = (self.received + data).split(b"\n")
        return whole

    def send(self, message: dict[str, t.Any]) -> None:
        """Queue a message; what the socket does not take at once goes out when it can."""
        self.unsent += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes now."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.connection.send(self.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self.unsent = b""


class Phase:
    """A list of scripts that run one after another, and how far it has come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = IDLE
        self.scripts: list[scripts.Script] = []
        self.position = 0
        self.failed_script: str | None = None
        self.text: str | None = None

    @property
    def current(self) -> scripts.Script | None:
        """The script that the phase waits for."""
        return self.scripts[self.position] if self.position < len(self.scripts) else None


class Supervisor:
    """Runs the scripts of one node job on one machine, answers the controller, and cleans up by itself.

    It speaks JSON lines over a unix socket in its folder. A request is ``{"id", "op", …}``, its answer
    ``{"id", "ok", …}``; what happens by itself is ``{"seq", "event", …}``, numbered, and sent again from a number that
    a returning controller names. When no controller has been heard from for ``lease`` seconds, the supervisor stops
    all scripts, takes back the machine's addresses and host entries, removes its folder and ends.
    """

    def __init__(self, folder: Path, config: dict[str, t.Any]) -> None:
        self.folder = folder
        self.job_id: str = config["job_id"]
        self.token: str = config["token"]
        self.lease: float = config["lease"]
        self.hosts_file = Path(config["hosts_file"])
        self.environment = scripts.base_environment(self.job_id, folders.commands(folder))
        self.script_token = secrets.token_hex(16)
        self.environment.update(MULTIDEVICE_FOLDER=str(folder), MULTIDEVICE_TOKEN=self.script_token)
        self.trees: dict[str, str] = {}
        self.phases = {name: Phase(name) for name in ("daemon", "test")}
        self.started_scripts: dict[int, scripts.Script] = {}
        self.forked_daemons: dict[str, scripts.Script] = {}
        self.ready_commands: dict[int, bool] = {}
        self.ready_command: int | None = None
        self.ready_since = 0.0
        self.events: list[dict[str, t.Any]] = []
        self.clients: dict[int, Client] = {}
        self.asked: dict[int, Client] = {}
        self.asks = 0
        self.lease_end = time.monotonic() + self.lease
        self.kill_at: float | None = None
        self.stopping: list[tuple[Client, int, bool]] = []
        self.running = True
        self.selector = selectors.DefaultSelector()

    # The loop

    def serve(self) -> None:
        """Run until told to end, or until the lease has run out."""
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
        self.selector.register(listener, selectors.EVENT_READ, "listener")
        self.selector.register(wake_out, selectors.EVENT_READ, "wake")
        try:
            while self.running:
                self._turn(listener, wake_out)
        finally:
            listener.close()
            self._clean()

    def _turn(self, listener: socket.socket, wake: socket.socket) -> None:
        for key, mask in self.selector.select(self._pause()):
            if key.data == "listener":
                self._accept(listener)
            elif key.data == "wake":
                with contextlib.suppress(BlockingIOError):
                    wake.recv(4096)
            else:
                self._serve_client(key.data, mask)
        self._reap()
        self._check_times()
        for phase in self.phases.values():
            self._advance(phase)
        self._answer_stops()
        if time.monotonic() > self.lease_end:
            self.running = False

    def _pause(self) -> float:
        waits = [self.lease_end - time.monotonic() + 0.01]
        now = time.time()
        for phase in self.phases.values():
            script = phase.current
            if phase.state != RUNNING or script is None:
                continue
            if script.kind == "daemon" and script.state == "running":
                waits.append(READY_INTERVAL)
        for script in self.started_scripts.values():
            if self._is_timed(script):
                assert script.started is not None and script.timeout is not None
                waits.append(script.started + script.timeout - now + 0.01)
        if self.kill_at is not None:
            waits.append(self.kill_at - time.monotonic())
        return max(0.0, min(waits))

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            connection = listener.accept()[0]
            connection.setblocking(False)
            client = Client(connection)
            self.clients[connection.fileno()] = client
            self.selector.register(connection, selectors.EVENT_READ, client)

    def _serve_client(self, client: Client, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            client.flush()
        if mask & selectors.EVENT_READ:
            try:
                for line in client.lines():
                    self._receive(client, line)
            except EOFError:
                self._drop(client)
                return
        self._watch_writes(client)

    def _watch_writes(self, client: Client) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        if client.connection.fileno() in self.clients:
            self.selector.modify(client.connection, wanted, client)

    def _drop(self, client: Client) -> None:
        self.clients.pop(client.connection.fileno(), None)
        self.selector.unregister(client.connection)
        client.connection.close()
        for number in [number for number, asker in self.asked.items() if asker is client]:
            del self.asked[number]

    # Requests

    def _receive(self, client: Client, line: bytes) -> None:
        try:
            request = json.loads(line)
        except ValueError:
            self._drop(client)
            raise EOFError from None
        answer: dict[str, t.Any] = {"id": request.get("id")}
        try:
            if client.role is None and request.get("op") != "hello":
                raise NodeError("say hello with the token first")
            if client.role == "script" and request.get("op") != "ask":
                raise NodeError("a script can ask for barriers and messages only")
            if client.role == "controller":
                self.lease_end = time.monotonic() + self.lease
            operation = getattr(self, f"_op_{request['op']}", None)
            if operation is None:
                raise NodeError(f"the supervisor knows no {request['op']!r}")
            reply = operation(client, request)
            if reply is None:
                return
            answer.update(ok=True, **reply)
        except (MultideviceError, OSError, tarfile.TarError, LookupError, TypeError, ValueError) as error:
            answer.update(ok=False, text=str(error) or repr(error))
        client.send(answer)
        self._watch_writes(client)

    def _op_hello(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Let a client in. ``after``: the number of the last event that a returning controller has seen."""
        given = str(request.get("token", ""))
        if hmac.compare_digest(given, self.token):
            client.role = "controller"
            self.lease_end = time.monotonic() + self.lease
            missed = [event for event in self.events if event["seq"] > request.get("after", len(self.events))]
            return {"pid": os.getpid(), "events": missed, **self._status()}
        if hmac.compare_digest(given, self.script_token):
            client.role = "script"
            return {}
        raise NodeError("the token is not this run's")

    def _op_alive(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Renew the lease."""
        return {}

    def _op_status(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """How far phases and scripts have come."""
        return self._status()

    def _op_export(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Add variables for all scripts that start from now on, and host entries."""
        self.environment.update({**request.get("env", {}), **scripts.cpu_shares(request.get("cpu_shares", {}))})
        if "hosts" in request:
            entries = [(address, name) for address, name in request["hosts"]]
            hosts_file.add_entries(self.hosts_file, self.job_id, entries, base=self.folder.parent)
        return {}

    def _op_has_tree(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Use a script tree that is on this machine already; tells whether it is."""
        path = folders.tree(self.folder, request["checksum"])
        folders.use_tree(self.folder, request["checksum"])
        if path.is_dir():
            self.trees[request["root"]] = str(path)
        return {"present": path.is_dir()}

    def _op_put_tree(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Take a piece of a script tree's archive; with ``last``, unpack it."""
        archive = self.folder / f"tree-{int(request['checksum'], 16):x}.tar.gz"
        with open(archive, "ab") as stream:
            stream.write(base64.b64decode(request["data"]))
        if request["last"]:
            digest = hashlib.sha256(archive.read_bytes()).hexdigest()
            if digest != request["checksum"]:
                raise NodeError("the script tree did not arrive whole: its checksum differs")
            path = folders.unpack_tree(self.folder, archive, request["checksum"])
            archive.unlink()
            self.trees[request["root"]] = str(path)
        return {}

    def _op_links(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Bind or unbind direct addresses; see ``_links.py``."""
        record = link_records.record_path(links.DEFAULT_RECORD_DIR, self.job_id)
        if request["state"] == "absent":
            change = links.remove_links(record)
        else:
            change = links.apply_links(request["links"], record=record, **request.get("options", {}))
        return dataclasses.asdict(change)

    def _op_start(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run the scripts of a phase in order; ``armed``: get ready, and start at ``go``."""
        phase = self.phases[request["phase"]]
        if phase.state != IDLE:
            return {"changed": False, **self._status()}
        phase.scripts = [scripts.Script.from_plan(plan) for plan in request["scripts"]]
        phase.state = ARMED if request.get("armed") else RUNNING
        self._advance(phase)
        return {"changed": True, **self._status()}

    def _op_go(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Start a phase that is armed."""
        phase = self.phases[request["phase"]]
        changed = phase.state == ARMED
        if changed:
            phase.state = RUNNING
            self._advance(phase)
        return {"changed": changed}

    def _op_stop(self, client: Client, request: dict[str, t.Any]) -> None:
        """TERM to all scripts and what they started; KILL after ``grace`` seconds. Answers when all have ended."""
        for phase in self.phases.values():
            if phase.state in (IDLE, ARMED, RUNNING):
                phase.state = STOPPED
        for script in self.started_scripts.values():
            script.stopped = True
        self.forked_daemons.clear()
        left = processes.descendants(os.getpid())
        processes.send_signal(left, signal.SIGTERM)
        self.stopping.append((client, request["id"], bool(left)))
        if left and self.kill_at is None:
            self.kill_at = time.monotonic() + float(request.get("grace", 1.0))

    def _answer_stops(self) -> None:
        if self.stopping and not processes.descendants(os.getpid()):
            for client, number, changed in self.stopping:
                client.send({"id": number, "ok": True, "changed": changed})
                self._watch_writes(client)
            self.stopping.clear()

    def _op_collect(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Pack the results; ``limit``: bytes of files at most. They are then read with ``read``."""
        for script in self._all_scripts():
            if script.started is not None:
                script.write_record(folders.results(self.folder))
        archive = folders.archive(self.folder)
        notes = results.pack(folders.results(self.folder), archive, limit=int(request["limit"]))
        return {"size": archive.stat().st_size, "notes": notes, **self._status()}

    def _op_read(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """A piece of the archive that ``collect`` made, from ``offset``."""
        with open(folders.archive(self.folder), "rb") as stream:
            stream.seek(int(request["offset"]))
            return {"data": base64.b64encode(stream.read(CHUNK * 4)).decode("ascii")}

    def _op_end(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """Stop everything, take back addresses and host entries, remove the folder, end."""
        notes = self._clean(keep_trees=bool(request.get("keep_trees")))
        self.running = False
        if notes:
            raise NodeError("; ".join(notes))
        return {"changed": True}

    def _op_ask(self, client: Client, request: dict[str, t.Any]) -> None:
        """Pass a script's question on to the controller; its answer comes with ``answer``."""
        self.asks += 1
        self.asked[self.asks] = client
        question = {key: value for key, value in request.items() if key not in ("id", "op")}
        self._event("ask", number=self.asks, asked=request.get("id"), question=question)

    def _op_answer(self, client: Client, request: dict[str, t.Any]) -> dict[str, t.Any]:
        """The controller's answer to a script's question."""
        asker = self.asked.pop(request["number"], None)
        if asker is not None:
            asker.send({"id": request["asked"], **request["answer"]})
            self._watch_writes(asker)
        return {}

    # Scripts

    def _advance(self, phase: Phase) -> None:
        while phase.state == RUNNING:
            script = phase.current
            if script is None:
                self._end_phase(phase, FINISHED)
                return
            if script.state == "waiting" and not self._start(phase, script):
                return
            if not self._has_passed(phase, script):
                return
            phase.position += 1

    def _start(self, phase: Phase, script: scripts.Script) -> bool:
        where = folders.results(self.folder)
        try:
            scripts.start(
                script, environment=self.environment, results=where, trees=self.trees, tmp=folders.tmp(self.folder)
            )
        except OSError as error:
            script.state, script.finished, script.exit_code = "ended", time.time(), 126
            reason = f"could not be started: {error.strerror or error} ({scripts.free_space_note(self.folder)})"
            script.note = reason
            script.write_record(where)
            self._event("script", script=script.record(), tail="")
            self._end_phase(phase, FAILED, script, f"{script.kind} script {script.name} {reason}")
            return False
        assert script.pid is not None
        self.started_scripts[script.pid] = script
        self.ready_since = time.monotonic()
        self._event("script", script=script.record(), tail="")
        return True

    def _has_passed(self, phase: Phase, script: scripts.Script) -> bool:
        if script.kind == "monitor":
            return True
        if script.kind in ("setup", "test"):
            if script.state != "ended":
                return False
            return self._has_succeeded(phase, script)
        if script.state == "ended" and not self._has_succeeded(phase, script):
            return False
        if not self._is_ready(phase, script):
            return False
        if script.state == "running":
            script.state = "ready"
        self._event("script", script=script.record(), tail="", ready=True)
        return True

    def _has_succeeded(self, phase: Phase, script: scripts.Script) -> bool:
        if script.exit_code == 0 and not script.timed_out:
            return True
        self._end_phase(phase, FAILED, script, self._what_happened(script))
        return False

    def _what_happened(self, script: scripts.Script) -> str:
        if script.timed_out:
            return f"{script.kind} script {script.name} timed out after {script.timeout:g} s"
        if script.exit_code is not None and script.exit_code < 0:
            return f"{script.kind} script {script.name} was ended by signal {-script.exit_code}"
        return f"{script.kind} script {script.name} ended with exit code {script.exit_code}"

    def _is_ready(self, phase: Phase, script: scripts.Script) -> bool:
        waited = time.monotonic() - self.ready_since
        check = script.ready
        if not check:
            return script.state == "ended" or waited >= DAEMON_GRACE
        if self._answers(script, check):
            return True
        limit = float(check.get("timeout", READY_TIMEOUT))
        if waited > limit:
            what = next(f"{key} {check[key]}" for key in ("port", "file", "command") if key in check)
            self._end_phase(phase, FAILED, script, f"daemon {script.name} is not ready after {limit:g} s: {what}")
        return False

    def _answers(self, script: scripts.Script, check: dict[str, t.Any]) -> bool:
        if "port" in check:
            return scripts.is_listening(int(check["port"]))
        if "file" in check:
            return (script.folder(folders.results(self.folder)) / str(check["file"])).exists()
        if self.ready_command is not None:
            if self.ready_command not in self.ready_commands:
                return False
            passed = self.ready_commands.pop(self.ready_command)
            self.ready_command = None
            return passed
        process = subprocess.Popen(
            ["/bin/sh", "-c", str(check["command"])],
            env={**self.environment, **script.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        process.returncode = 0
        self.ready_command = process.pid
        return False

    def _end_phase(
        self, phase: Phase, state: str, script: scripts.Script | None = None, text: str | None = None
    ) -> None:
        phase.state = state
        phase.failed_script, phase.text = (script.id if script else None), text
        tail = script.tail(folders.results(self.folder)) if script else ""
        code = script.exit_code if script else None
        if text and tail:
            text = f"{text}: {tail.splitlines()[-1].strip()}"
            phase.text = text
        self._event("phase", phase=phase.name, state=state, script=phase.failed_script, exit_code=code, text=text, tail=tail)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
            script = self.started_scripts.pop(pid, None)
            if script is not None:
                self._ended(script, code)
            elif pid == self.ready_command:
                self.ready_commands[pid] = code == 0
            elif code != 0:
                self._check_forked_daemons(code)

    def _ended(self, script: scripts.Script, code: int) -> None:
        was_ready = script.state == "ready"
        script.state, script.exit_code, script.finished = "ended", code, time.time()
        where = folders.results(self.folder)
        script.write_record(where)
        self._event("script", script=script.record(), tail=script.tail(where) if code else "")
        if script.kind != "daemon" or script.stopped:
            return
        alive = processes.marked_below(os.getpid(), processes.SCRIPT_VARIABLE, script.id)
        if code == 0 and alive:
            self.forked_daemons[script.id] = script
        elif was_ready:
            self._daemon_died(script, f"daemon {script.name} ended during the run with exit code {code}")

    def _check_forked_daemons(self, code: int) -> None:
        """A daemon that forked away has died when the last of its processes ended other than with success."""
        for script in list(self.forked_daemons.values()):
            if not processes.marked_below(os.getpid(), processes.SCRIPT_VARIABLE, script.id):
                del self.forked_daemons[script.id]
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                self._daemon_died(script, f"daemon {script.name} ended during the run with {how}")

    def _daemon_died(self, script: scripts.Script, text: str) -> None:
        script.note = text
        tail = script.tail(folders.results(self.folder))
        if tail:
            text = f"{text}: {tail.splitlines()[-1].strip()}"
        self._event("died", script=script.id, exit_code=script.exit_code, text=text, tail=tail)

    def _check_times(self) -> None:
        now = time.time()
        for script in self.started_scripts.values():
            if self._is_timed(script) and now > (script.started or 0) + (script.timeout or 0):
                script.timed_out = True
                # The supervisor goes on answering meanwhile; what ignores TERM is ended by the stop that follows.
                processes.send_signal(self._processes_of(script), signal.SIGTERM)
                self.kill_at = time.monotonic() + 1.0
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self._kill()

    @staticmethod
    def _is_timed(script: scripts.Script) -> bool:
        """A daemon's time limit is for its start; once it is ready it may run on."""
        return bool(script.timeout and script.started) and not script.timed_out and script.state == "running"

    def _kill(self) -> None:
        stopped = any(phase.state == STOPPED for phase in self.phases.values())
        left = processes.descendants(os.getpid()) if stopped else []
        for script in self.started_scripts.values():
            if script.timed_out:
                left += self._processes_of(script)
        processes.send_signal(left, signal.SIGKILL)
        self.kill_at = time.monotonic() + 0.05 if left else None

    def _processes_of(self, script: scripts.Script) -> list[int]:
        below = processes.descendants(script.pid) if script.pid else []
        marked = processes.marked_below(os.getpid(), processes.SCRIPT_VARIABLE, script.id)
        return [*below, *[pid for pid in marked if pid not in below]]

    # The state, and the end

    def _all_scripts(self) -> list[scripts.Script]:
        return [script for phase in self.phases.values() for script in phase.scripts]

    def _status(self) -> dict[str, t.Any]:
        return {
            "phases": {
                name: {"state": phase.state, "script": phase.failed_script, "text": phase.text}
                for name, phase in self.phases.items()
            },
            "scripts": [script.record() for script in self._all_scripts()],
        }

    def _event(self, event: str, **data: t.Any) -> None:
        message = {"seq": len(self.events) + 1, "event": event, "at": time.time(), **data}
        self.events.append(message)
        for client in list(self.clients.values()):
            if client.role == "controller":
                client.send(message)
                self._watch_writes(client)

    def _clean(self, *, keep_trees: bool = False) -> list[str]:
        me = os.getpid()
        left = processes.kill_all(lambda: _reaped_descendants(me), grace=1.0)
        notes = [f"process {pid} cannot be ended" for pid in left]
        return notes + undo(self.folder, job_id=self.job_id, hosts=self.hosts_file, keep_trees=keep_trees)


def _reaped_descendants(root: int) -> list[int]:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return processes.descendants(root)


def undo(folder: Path, *, job_id: str, hosts: Path, keep_trees: bool = False) -> list[str]:
    """Take back what a run changed on this machine, and remove its folder. Says in sentences what could not be done.

    Needs no supervisor, so what a killed one left is cleaned with it too. Every step is tried.
    """
    notes: list[str] = []
    if not folder.is_dir():
        return notes
    try:
        links.remove_links(link_records.record_path(links.DEFAULT_RECORD_DIR, job_id))
    except (MultideviceError, OSError) as error:
        notes.append(str(error))
    try:
        hosts_file.remove_entries(hosts, job_id, base=folder.parent)
    except OSError as error:
        notes.append(f"the host entries in {hosts} cannot be removed: {error.strerror}")
    folders.release_trees(folder, keep=keep_trees)
    if not folders.remove(folder):
        notes.append(f"the folder {folder} cannot be removed")
    return notes


def main() -> None:
    """Serve the run whose folder is named: ``python3 _supervisor.py FOLDER``."""
    folder = Path(sys.argv[1])
    Supervisor(folder, folders.take_config(folder)).serve()


if __name__ == "__main__":
    main()
