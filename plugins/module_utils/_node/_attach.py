# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import selectors
import socket
import sys


def bridge(path: str) -> None:
    """Join standard input and output with a unix socket until either end closes."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(connection, selectors.EVENT_READ)
    while True:
        for key, _mask in selector.select():
            if key.fileobj == 0:
                data = os.read(0, 262144)
                connection.sendall(data)
            else:
                data = connection.recv(262144)
                _write_all(1, data)
            if not data:
                return


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


if __name__ == "__main__":
    bridge(sys.argv[1])
