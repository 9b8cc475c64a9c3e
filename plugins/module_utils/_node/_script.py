# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._node import _processes as processes

TAIL_BYTES = 4096
TAIL_LINES = 20
LISTEN = "0A"


@dataclasses.dataclass
class Script:
    """One script of a node job, and what became of it. Times are seconds since the epoch."""

    id: str
    name: str
    kind: str
    root: str | None = None
    path: str | None = None
    content: str | None = None
    args: list[str] = dataclasses.field(default_factory=list)
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    cpu_shares: dict[str, float] = dataclasses.field(default_factory=dict)
    ready: dict[str, t.Any] | None = None
    timeout: float | None = None

    pid: int | None = None
    state: str = "waiting"  # waiting, running, ready, ended
    exit_code: int | None = None
    started: float | None = None
    finished: float | None = None
    timed_out: bool = False
    stopped: bool = False
    note: str | None = None

    @classmethod
    def from_plan(cls, plan: dict[str, t.Any]) -> Script:
        """From a script of the plan; keys that only the controller needs are left aside."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in plan.items() if key in names})

    def record(self) -> dict[str, t.Any]:
        """What ``result.json`` and the answers to the controller say of the script."""
        keys = ("id", "name", "kind", "state", "exit_code", "started", "finished", "timed_out", "stopped", "note")
        return {key: getattr(self, key) for key in keys}

    def folder(self, results: Path) -> Path:
        """Its ``RESULT_ROOT``, which holds its output too."""
        return results / self.id

    def write_record(self, results: Path) -> None:
        """Write ``result.json``; a full disk costs the record, never the run."""
        try:
            text = json.dumps(self.record(), indent=2) + "\n"
            (self.folder(results) / "result.json").write_text(text, encoding="utf-8")
        except OSError as error:
            self.note = f"result.json could not be written: {error.strerror}"

    def tail(self, results: Path) -> str:
        """The end of its error output, or of its output when there is no error output."""
        for stream in ("stderr", "stdout"):
            text = read_tail(self.folder(results) / stream)
            if text.strip():
                return text
        return ""


def read_tail(path: Path) -> str:
    """The last lines of a file of any size and content, at most 20 lines and 4096 bytes."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            data = stream.read()
    except OSError:
        return ""
    return "\n".join(data.decode("utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def cpu_shares(shares: dict[str, float]) -> dict[str, str]:
    """Percentages of this machine's CPUs as whole numbers, at least 1: ``{"nr_threads": 50.0}`` on 8 CPUs is 4."""
    cpus = len(os.sched_getaffinity(0))
    return {name: str(max(1, int(cpus * share / 100))) for name, share in shares.items()}


def base_environment(job_id: str, commands: Path) -> dict[str, str]:
    """What every script sees of the machine: its user, its locale, and a PATH that holds the system's programs."""
    kept = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    inherited = [folder for folder in os.environ.get("PATH", "").split(":") if folder and folder not in system]
    environment["PATH"] = ":".join([str(commands), *system, *inherited])
    environment[processes.JOB_VARIABLE] = job_id
    return environment


def start(script: Script, *, environment: dict[str, str], results: Path, trees: dict[str, str], tmp: Path) -> None:
    """Start a script in its own session, with its output in files and nothing to read.

    :param environment: what all scripts of the node see.
    :param trees: folder on the controller → where its scripts are on this machine.
    :raises OSError: when it cannot be started: no such file, not executable, no space left.
    """
    folder = script.folder(results)
    folder.mkdir(parents=True, exist_ok=True)
    tmp.mkdir(exist_ok=True)
    root = trees.get(script.root or "", "")
    path = environment["PATH"]
    if root:
        path = f"{path}:{root}/bin"
    variables = {
        **environment,
        **cpu_shares(script.cpu_shares),
        **script.env,
        "PATH": path,
        "RESULT_ROOT": str(folder),
        "TMP": str(tmp),
        "LKP_SRC": root,
        processes.SCRIPT_VARIABLE: script.id,
    }
    if script.content is not None:
        program = tmp / f"{script.id}.script"
        program.write_text(script.content, encoding="utf-8")
        program.chmod(0o700)
    else:
        program = Path(root) / (script.path or "")
    script.started = time.time()
    with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
        try:
            process = _spawn([str(program), *script.args], variables, folder, out, err)
        except OSError as error:
            if error.errno != 8 or script.content is None and not program.is_file():
                raise
            # Without a first line that names its interpreter, a script is the shell's.
            process = _spawn(["/bin/sh", str(program), *script.args], variables, folder, out, err)
    script.pid = process.pid
    script.state = "running"
    # The supervisor reaps with waitpid itself; this keeps Popen from warning about a child it never waited for.
    process.returncode = 0


def _spawn(argv: list[str], variables: dict[str, str], folder: Path, out: t.IO[bytes], err: t.IO[bytes]) -> t.Any:
    return subprocess.Popen(
        argv,
        env=variables,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
        preexec_fn=processes.die_with_parent,
    )


def is_listening(port: int) -> bool:
    """Whether any socket of this machine's network listens on a TCP port, or is bound to it with UDP (proc_net(5))."""
    return any(
        _has_port(f"/proc/self/net/{table}", port, listening=table.startswith("tcp"))
        for table in ("tcp", "tcp6", "udp", "udp6")
    )


def _has_port(table: str, port: int, *, listening: bool) -> bool:
    try:
        with open(table, encoding="ascii") as stream:
            next(stream, None)
            for line in stream:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and (not listening or fields[3] == LISTEN):
                    return True
    except FileNotFoundError:
        return False
    return False


def free_space_note(path: Path) -> str:
    """A sentence about the free space of a file system, for errors that may come from a full disk."""
    try:
        free = shutil.disk_usage(path).free
    except OSError:
        return ""
    return f"{free // 1048576} MB are free in {path}"
