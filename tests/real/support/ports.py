# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports for servers that cannot choose one themselves."""

from __future__ import annotations

import socket
import typing as t
from contextlib import contextmanager


@contextmanager
def reserved_port(address: str = "127.0.0.1") -> t.Iterator[int]:
    """A port that the kernel gives to nobody else meanwhile.

    It is bound but not listened on. A server that sets SO_REUSEADDR, as they all do, can listen on it beside that.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, 0))
        yield int(holder.getsockname()[1])
