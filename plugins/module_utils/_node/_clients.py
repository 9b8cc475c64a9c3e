# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import socket

from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message, decode, encode

CHUNK = 262144
LINE_LIMIT = 16 * 1048576
# Of somebody who has not shown a token yet.
STRANGER_LIMIT = 4096


class SupervisorClient:
    """One connection to the supervisor's socket: the controller's relay, or a command of a script."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.role: str | None = None
        self._received = b""
        self._unsent = b""

    @property
    def has_unsent(self) -> bool:
        """Whether something waits until the socket takes more."""
        return bool(self._unsent)

    def messages(self) -> list[Message]:
        """Whole messages that have come since the last call.

        :raises EOFError: the other end has closed, or does not speak the protocol.
        """
        limit = LINE_LIMIT if self.role is not None else STRANGER_LIMIT
        try:
            data = self.connection.recv(min(CHUNK, limit))
        except BlockingIOError:
            return []
        except OSError as error:
            raise EOFError from error
        if not data or len(self._received) + len(data) > limit:
            raise EOFError
        *lines, self._received = (self._received + data).split(b"\n")
        try:
            return [decode(line) for line in lines]
        except ValueError as error:
            raise EOFError from error

    def send(self, message: Message) -> None:
        """Queue a message; what the socket does not take at once goes out when it can."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes now."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = b""
