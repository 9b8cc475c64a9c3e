# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import signal
import socket
import struct
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _account, _folders, _processes, _script

if t.TYPE_CHECKING:
    # Ansible sends to the machine what is imported anywhere in the text. Only the text of these is needed there: to compile
    # them from Ansible's archive would take longer than all else.
    from ansible_collections.lab.multidevice.plugins.module_utils._node import (
        _attach,  # noqa: F401
        _commands,  # noqa: F401
        _supervisor,  # noqa: F401
    )

OURS = "ansible_collections.lab.multidevice.plugins.module_utils"
SUPERVISOR = "_node._supervisor"
# The supervisor, and what it imports.
PARTS = (
    *("_archives", "_errors", "_format", "_json_lines", "_locks", "_names", "_vocabulary"),
    *("_links.changes", "_links.checks", "_links.devices", "_links.options", "_links.probes", "_links.records"),
    *("_node._account", "_node._clients", "_node._folders", "_node._marked_block", "_node._processes"),
    *("_node._readiness", "_node._results", "_node._runner", "_node._script", "_node._spawn", "_node._ssh"),
    *("_node._strangers", SUPERVISOR, "_node._undo"),
)
# What scripts call: the same program by each of its names.
COMMANDS = ("multidevice-barrier", "multidevice-send", "multidevice-receive")
START_TIMEOUT = 15.0
# A run of this age, in seconds, that nobody serves is not one that is being installed.
YOUNG = 120.0
END_TIMEOUT = 15.0


def install(base: Path, job_id: str, config: dict[str, t.Any]) -> tuple[Path, bool]:
    """Start the supervisor of a node job, unless it runs already. Returns its folder, and whether it was started.

    :raises NodeError: it does not start; with the end of its log.
    """
    folder = _folders.of_run(base, job_id)
    if answers(folder):
        return folder, False
    clean(folder)
    _clean_abandoned(base)
    keep_results = config.pop("keep_results", None)
    if config.get("script_user"):
        _account.Account.of(config["script_user"])
    _folders.create(base, job_id, config)
    try:
        if keep_results:
            _folders.keep_results(folder, Path(keep_results))
        for part in PARTS:
            _write_part(_folders.library(folder), part)
        for name in COMMANDS:
            _write_command(_folders.commands(folder) / name)
        _start(folder)
    except (NodeError, OSError) as error:
        _folders.remove(folder)
        raise NodeError(f"the supervisor does not start in {folder}: {error}{_script.full_disk_note(base)}") from error
    return folder, True


def _start(folder: Path) -> None:
    # Its folder is gone when it fails; what it said is not.
    with open(_folders.log(folder), "w+b") as log:
        # It outlives the module, which run_command cannot have it do.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable, str(_file_of(_folders.library(folder), SUPERVISOR)), str(folder)],
            cwd="/",
            env={**_script.base_environment("", Path("/usr/bin")), "PYTHONPATH": str(_folders.library(folder))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not answers(folder):
            if process.poll() is not None or time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                log.seek(0)
                said = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise NodeError(f"{sys.executable} said {said!r}")
            time.sleep(0.01)
    # It is to outlive this process; Popen would warn otherwise.
    process.returncode = 0


def attach_command(folder: Path) -> list[str]:
    """The command that joins its standard input and output with the supervisor of a folder.

    It carries its program, since the login user cannot read what belongs to root.
    """
    return [sys.executable, "-S", "-E", "-c", _text_of("_node._attach"), str(_folders.socket(folder))]


def answers(folder: Path) -> bool:
    """Whether a supervisor serves this folder."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(_folders.socket(folder)))
    except OSError:
        return False
    finally:
        connection.close()
    return True


def clean(folder: Path) -> bool:
    """End and undo whatever a run has left on this machine, whoever drives it. Tells whether there was any."""
    if not _folders.is_run(folder):
        return False
    # Most machines have nothing to clean, and need not compile it.
    from ansible_collections.lab.multidevice.plugins.module_utils._node import _undo

    _end_supervisor(folder)
    left = _processes.kill_all(lambda: _processes.marked(_processes.JOB_VARIABLE, folder.name), grace=1.0)
    notes = [f"process {pid} cannot be ended" for pid in left]
    if not _folders.wait_unlocked(folder, END_TIMEOUT):
        notes.append(f"a process of the run in {folder} does not end")
    notes += _undo.undo(folder)
    if notes:
        raise NodeError("; ".join(notes))
    return True


def _clean_abandoned(base: Path) -> None:
    """Undo other runs that nobody serves: their machine was switched off, or everything of them was killed."""
    for folder in _folders.runs(base):
        with contextlib.suppress(FileNotFoundError, NodeError):
            young = time.time() - folder.stat().st_mtime < YOUNG
            if not young and not answers(folder) and _folders.wait_unlocked(folder, 0):
                clean(folder)


def _end_supervisor(folder: Path) -> None:
    """Have a living supervisor clean up and end."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        try:
            connection.connect(str(_folders.socket(folder)))
            pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except OSError:
            return
    _processes.send_signal([pid], signal.SIGTERM)
    deadline = time.monotonic() + END_TIMEOUT
    while _processes.is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    _processes.send_signal([pid], signal.SIGKILL)


def _file_of(library: Path, part: str) -> Path:
    return library.joinpath(*f"{OURS}.{part}".split(".")).with_suffix(".py")


def _text_of(part: str) -> str:
    spec = importlib.util.find_spec(f"{OURS}.{part}")
    text = t.cast(importlib.abc.InspectLoader, spec.loader).get_source(spec.name) if spec else None
    if text is None:
        raise NodeError(f"the collection is not whole: {part} is not there")
    return text


def _write_command(path: Path) -> None:
    path.write_text(f"#!{sys.executable} -IS\n{_text_of('_node._commands')}", encoding="utf-8")
    path.chmod(0o755)


def _write_part(library: Path, part: str) -> None:
    path = _file_of(library, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text_of(part), encoding="utf-8")
    # Real packages: a machine with Ansible of its own has an ansible_collections package, which would win otherwise.
    for package in path.relative_to(library).parents:
        (library / package / "__init__.py").touch()
