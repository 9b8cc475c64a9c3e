# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls the functions of _links/changes.py, each call in a process and a network namespace of its own.

It stands for the module and for the supervisor, which call the same functions, and its processes can be killed like
them. They are forked from one that has imported everything, since hundreds of Python starts would take minutes.

A connection is a call: a JSON line with the request in, the process id and a JSON answer out. Ends with its input.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import select
import signal
import socket
import sys
import traceback
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._links import changes as links

FUNCTIONS: dict[str, t.Callable[..., links.LinkChange]] = {
    "apply": links.apply_links,
    "remove": links.remove_links,
    "remove_addresses": links.remove_addresses,
}
CLONE_NEWNET = 0x40000000


def enter(namespace: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", "rb") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


def call(request: dict[str, t.Any]) -> dict[str, t.Any]:
    enter(request["namespace"])
    os.environ.update(request["environment"])
    options = request["options"]
    for name in ("record", "record_dir"):
        if options.get(name):
            options[name] = Path(options[name])
    try:
        return dataclasses.asdict(FUNCTIONS[request["function"]](*request["arguments"], **options))
    except MultideviceError as error:
        return {"error": str(error)}


def serve(connection: socket.socket) -> t.NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        with connection.makefile("rw", encoding="utf-8") as stream:
            print(os.getpid(), file=stream, flush=True)
            print(json.dumps(call(json.loads(stream.readline()))), file=stream, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def main() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(sys.argv[1])
        listener.listen(100)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection = listener.accept()[0]
            if os.fork() == 0:
                serve(connection)
            connection.close()


if __name__ == "__main__":
    main()
