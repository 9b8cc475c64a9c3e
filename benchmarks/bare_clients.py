# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bare clients: sockets that send one command and notice an answer, nothing else."""

from __future__ import annotations

import select
import socket
import statistics
import typing as t

Seconds = float


class BareClients:
    """N connections of which each waits for one answer."""

    def __init__(self, path: str, count: int) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        for _ in range(count):
            one = socket.socket(socket.AF_UNIX)
            one.connect(path)
            self._sockets[one.fileno()] = one
            self._epoll.register(one.fileno(), select.EPOLLIN)

    def send(self, *words: str) -> None:
        """Every client sends this command."""
        text = encode(*words)
        for one in self._sockets.values():
            one.sendall(text)

    def wait(self) -> None:
        """Until every client has got something."""
        waiting = set(self._sockets)
        while waiting:
            ready = self._epoll.poll(30)
            assert ready, "a client was left without an answer"
            for number, _event in ready:
                self._sockets[number].recv(65536)
                waiting.discard(number)

    def close(self) -> None:
        self._epoll.close()
        for one in self._sockets.values():
            one.close()


def encode(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        data = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def summary(seconds: t.Sequence[Seconds]) -> dict[str, float]:
    """In milliseconds."""
    ordered = sorted(seconds)
    return {
        "median_ms": round(statistics.median(ordered) * 1000, 3),
        "best_ms": round(ordered[0] * 1000, 3),
        "worst_ms": round(ordered[-1] * 1000, 3),
        "rounds": len(ordered),
    }
