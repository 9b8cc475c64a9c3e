# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# A program of its own, which prints and exits; the rules for modules do not hold for it.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import selectors
import socket
import sys

# What the relay takes as: there is no supervisor any more.
NOBODY_THERE = 3


def bridge(path: str) -> None:
    """Join standard input and output with a unix socket until either end closes."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError as error:
        print(f"nobody serves {path}: {error.strerror}", file=sys.stderr)
        sys.exit(NOBODY_THERE)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(connection, selectors.EVENT_READ)
    try:
        while True:
            for key, _mask in selector.select():
                data = os.read(key.fd, 262144)
                if not data:
                    return
                write_all(connection.fileno() if key.fd == 0 else 1, data)
    except OSError:
        # One of the ends has gone.
        return


def write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


if __name__ == "__main__":
    bridge(sys.argv[1])
