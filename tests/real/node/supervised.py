# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A supervisor on this machine, in a folder of its own, and somebody who talks to it."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import tarfile
import time
import typing as t
from contextlib import suppress
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._node import _install, _processes

from support.waiting import wait_until

TOKEN = "a token"
Message = dict[str, t.Any]


def script(kind: str, text: str, *, name: str = "it", **more: t.Any) -> Message:
    """A script of a plan, with its text in it."""
    return {"id": f"{kind}-{name}", "name": name, "kind": kind, "content": f"#!/bin/sh\n{text}\n", **more}


class Controller:
    """Speaks to a supervisor like the relay does, one request at a time, and keeps all events."""

    def __init__(self, folder: Path, *, token: str = TOKEN, after: int = 0) -> None:
        self.events: list[Message] = []
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(20)
        self._connection.connect(str(folder / "socket"))
        self._lines = self._connection.makefile("rb")
        self._number = 0
        self.hello = self.ask("hello", token=token, after=after)
        self.events += self.hello.get("events", [])

    def tell(self, op: str, **request: t.Any) -> int:
        """Put a request and do not wait for its answer."""
        self._number += 1
        self._connection.sendall(json.dumps({"id": self._number, "op": op, **request}).encode() + b"\n")
        return self._number

    def ask(self, op: str, **request: t.Any) -> Message:
        """Put a request; its answer."""
        number = self.tell(op, **request)
        while True:
            message = self._next()
            if message.get("id") == number:
                return message

    def wait_for(self, event: str, seconds: float = 10, **having: t.Any) -> Message:
        """The first event of that name that has these values, or that has them in its script."""
        deadline = time.monotonic() + seconds
        seen = 0
        while True:
            for message in self.events[seen:]:
                inner = message["script"] if isinstance(message.get("script"), dict) else {}
                if message["event"] == event and having.items() <= {**inner, **message, **inner}.items():
                    return message
            seen = len(self.events)
            assert time.monotonic() < deadline, f"no {event} with {having}: {self.events}"
            self._next()

    def run(self, *scripts: Message, phase: str = "test", armed: bool = False) -> Message:
        """Start a phase; how it ends."""
        assert self.ask("start", phase=phase, scripts=list(scripts), armed=armed)["ok"]
        return self.wait_for("phase", phase=phase) if not armed else {}

    def record(self, name: str) -> Message:
        """What is known of a script now."""
        return next(record for record in self.ask("status")["scripts"] if record["id"] == name)

    def collect(self, limit: int = 10**9) -> tuple[dict[str, bytes], list[str]]:
        """The results, file by file, and what was cut from them."""
        assert self.ask("collect", limit=limit)["ok"]
        packed = b""
        while True:
            piece = self.ask("read")
            if not piece["data"]:
                break
            packed += base64.b64decode(piece["data"])
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            files = {member.name: t.cast(t.IO[bytes], archive.extractfile(member)).read() for member in archive}
        return files, piece["notes"]

    def close(self) -> None:
        self._connection.close()

    def _next(self) -> Message:
        line = self._lines.readline()
        assert line, "the supervisor has hung up"
        message: Message = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message


class Machine:
    """A place for runs on this machine, in which nothing may be left."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "runs"
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.untouched = self.hosts.read_bytes()
        self._jobs: list[str] = []

    def new_run(self, *, lease: float = 30.0, job_id: str | None = None) -> tuple[Path, Controller]:
        """Start a supervisor, and speak to it."""
        job_id = job_id or f"test-{os.getpid()}.{len(self._jobs)}.1"
        config = {"token": TOKEN, "lease": lease, "hosts_file": str(self.hosts)}
        folder, started = _install.install(self.base, job_id, {"job_id": job_id, **config})
        assert started
        self._jobs.append(job_id)
        return folder, Controller(folder)

    def left(self) -> list[t.Any]:
        """What is left of all runs."""
        processes = [pid for job in self._jobs for pid in _processes.marked(_processes.JOB_VARIABLE, job)]
        # Unlike a search by pathlib, it goes on when a folder is gone meanwhile.
        files = [name for _folder, folders, names in os.walk(self.base) for name in (*folders, *names)]
        hosts = [] if self.hosts.read_bytes() == self.untouched else [self.hosts.read_text()]
        return [*processes, *files, *hosts]

    def assert_clean(self, seconds: float = 10) -> None:
        with suppress(AssertionError):
            wait_until("nothing is left", lambda: not self.left(), seconds)
        # Says what is left.
        assert self.left() == []

    def end(self) -> None:
        """Whatever a failed test has left."""
        for job in self._jobs:
            _install.clean(self.base / job)
