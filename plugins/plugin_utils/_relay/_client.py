# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message, decode, encode
from ansible_collections.lab.multidevice.plugins.module_utils._locks import locked
from ansible_collections.lab.multidevice.plugins.module_utils._node._processes import is_alive, start_time

START_TIMEOUT = 20.0


def call(
    op: str, *, start_relay: bool = True, timeout: float | None = 90.0, controller: int | None = None, **request: t.Any
) -> Message:
    """Put a request to the relay of this ansible-playbook process and return its answer.

    :param start_relay: start the relay when it does not run; otherwise the answer is empty.
    :param controller: the process id of ansible-playbook, unless a task's worker process calls: there it is the parent.
    :param timeout: how many seconds the answer may take; None for as long as the relay is there.
    :raises NodeError: the relay refuses, or does not answer in time.
    """
    controller = controller or _parent()
    folder = _folder(controller)
    connection = _connect(folder)
    if connection is None:
        if not start_relay:
            return {}
        connection = _start(folder, controller)
    with contextlib.closing(connection):
        connection.settimeout(timeout)
        try:
            with connection.makefile("rwb") as lines:
                lines.write(encode({"op": op, **request}))
                lines.flush()
                line = lines.readline()
        except OSError as error:
            raise NodeError(f"the relay does not answer to {op!r}: {error}; see {folder}/relay.log") from error
    if not line:
        raise NodeError(f"the relay ended while it worked on {op!r}; see {folder}/relay.log")
    answer = decode(line)
    if not answer.pop("ok"):
        raise NodeError(answer["text"])
    return answer


def cache_folder() -> Path:
    """A private folder on the controller that goes away with its ansible-playbook process."""
    call("hello")
    return _folder(_parent())


def _parent() -> int:
    """The ansible-playbook process of this worker process.

    :raises NodeError: it was killed. Whoever is the parent now would get a relay of its own, which never ends.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        raise NodeError("this task's ansible-playbook has ended")
    return os.getppid()


def _folder(controller: int) -> Path:
    return _base() / f"{controller}-{start_time(controller)}"


def _base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir() and os.access(runtime, os.W_OK):
        base = Path(runtime, "multidevice")
    else:
        base = Path(tempfile.gettempdir(), f"multidevice-controller-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        base.mkdir(mode=0o700)
    status = os.lstat(base)
    if base.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise MultideviceError(f"{base} must be a folder of mode 0700 that user {os.getuid()} owns")
    return base


def _connect(folder: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(folder / "relay.sock"))
    except OSError:
        connection.close()
        return None
    return connection


def _start(folder: Path, controller: int) -> socket.socket:
    with locked(folder.parent):
        connection = _connect(folder)
        if connection is not None:
            return connection
        _remove_stale(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        process = _spawn(folder, controller)
        deadline = time.monotonic() + START_TIMEOUT
        while (connection := _connect(folder)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                said = (folder / "relay.out").read_text(errors="replace").strip()
                raise NodeError(f"the relay does not start: {said[-2000:]}")
            time.sleep(0.01)
        # It is to outlive this worker process; Popen would warn otherwise.
        process.returncode = 0
        return connection


def _spawn(folder: Path, controller: int) -> subprocess.Popen[bytes]:
    # The collection under its own name, wherever it lies; real packages win over those of an installed Ansible.
    package = folder / "lib" / "ansible_collections" / "lab"
    package.mkdir(parents=True, exist_ok=True)
    for part in (package.parent, package):
        (part / "__init__.py").touch()
    collection = Path(__file__).absolute().parents[3]
    alias = package / "multidevice"
    if not alias.is_symlink():
        alias.symlink_to(collection)
    server = alias / "plugins" / "plugin_utils" / "_relay" / "_server.py"
    paths = [str(folder / "lib"), *[path for path in sys.path if path]]
    with open(folder / "relay.out", "wb") as output:
        return subprocess.Popen(
            [sys.executable, str(server), str(folder), str(controller)],
            cwd="/",
            env={**os.environ, "PYTHONPATH": ":".join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _remove_stale(base: Path) -> None:
    """Remove the folders of relays that were killed."""
    for folder in base.iterdir():
        pid, _dash, started = folder.name.partition("-")
        if not folder.is_dir() or not pid.isdigit():
            continue
        if not (is_alive(int(pid)) and str(start_time(int(pid))) == started) and _connect(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)
