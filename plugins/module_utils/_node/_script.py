# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import re
import shutil
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _processes as processes
from ansible_collections.lab.multidevice.plugins.module_utils._node import _spawn as spawn
from ansible_collections.lab.multidevice.plugins.module_utils._node._account import Account, own
from ansible_collections.lab.multidevice.plugins.module_utils._node._strangers import open_file
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ScriptKind, ScriptState

TAIL_BYTES = 4096
TAIL_LINES = 20
ALMOST_FULL = 1048576
# Where lkp-tests has its programs installed; a job says otherwise with a variable of this name.
BENCHMARK_ROOT = "/lkp/benchmarks"
LEFT_VARIABLES = "env.yaml"
MAX_LEFT_BYTES = 65536
_LEFT_VARIABLE = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*):(?:[ \t]+(.*))?")


@dataclasses.dataclass
class ScriptProcess:
    """One script of a node job, the process that runs it, and what became of it. Times are seconds since the epoch."""

    id: str
    name: str
    kind: ScriptKind
    root: str | None = None
    path: str | None = None
    content: str | None = None
    args: list[str] = dataclasses.field(default_factory=list)
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    cpu_shares: dict[str, float] = dataclasses.field(default_factory=dict)
    ready: dict[str, t.Any] | None = None
    timeout: float | None = None

    pid: int | None = None
    gate: int | None = None
    since: float | None = None  # its start, by the clock that nobody sets
    state: ScriptState = ScriptState.WAITING
    exit_code: int | None = None
    started: float | None = None
    finished: float | None = None
    timed_out: bool = False
    stopped: bool = False
    skipped: bool = False
    note: str | None = None

    @classmethod
    def from_plan(cls, plan: dict[str, t.Any]) -> ScriptProcess:
        """From a script of the plan; keys that only the controller needs are left aside.

        :raises NodeError: it is of no kind that there is.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        known = {key: value for key, value in plan.items() if key in names}
        try:
            known["kind"] = ScriptKind(plan.get("kind"))
        except ValueError:
            raise NodeError(
                f"scripts: {plan.get('id')} has the kind {plan.get('kind')!r}, right would be {', '.join(ScriptKind)}"
            ) from None
        return cls(**known)

    def record(self) -> dict[str, t.Any]:
        """What ``result.json`` and the answers to the controller say of the script."""
        keys = ("id", "name", "kind", "state", "exit_code", "started", "finished", "timed_out", "stopped", "note")
        return {key: getattr(self, key) for key in keys}

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"daemon {self.name}" if self.kind is ScriptKind.DAEMON else f"{self.kind} script {self.name}"

    def folder(self, results: Path) -> Path:
        """Its ``RESULT_ROOT``, which holds its output too."""
        return results / self.id

    def write_record(self, results: Path) -> None:
        """Write ``result.json``; a full disk costs the record, never the run."""
        fresh = results / f".{self.id}.result.json"
        try:
            fresh.write_text(json.dumps(self.record(), indent=2) + "\n", encoding="utf-8")
            # The script's folder may be another user's, who could have put a link there.
            os.replace(fresh, self.folder(results) / "result.json")
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            self.note = self.note or f"result.json could not be written: {error.strerror}"

    def tail(self, results: Path) -> str:
        """The end of its error output, or of its output when there is no error output."""
        for stream in ("stderr", "stdout"):
            text = read_tail(results, Path(self.id, stream))
            if text.strip():
                return text
        return ""


def read_tail(root: Path, name: Path) -> str:
    """The last lines of a stranger's file of any size and content, at most 20 lines and 4096 bytes, fit to be printed."""
    try:
        with open_file(root, name) as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            data = stream.read()
    except OSError:
        return ""
    lines = data.decode("utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join(_format.printable(line, keep="\t") for line in lines)


def cpu_shares(shares: dict[str, float]) -> dict[str, str]:
    """Percentages of this machine's CPUs as whole numbers, at least 1: ``{"nr_threads": 50.0}`` on 8 CPUs is 4."""
    cpus = len(os.sched_getaffinity(0))
    return {name: str(max(1, int(cpus * share / 100))) for name, share in shares.items()}


def left_variables(tmp: Path) -> dict[str, str]:
    """What scripts before have left for those after them: lines ``name: value`` in ``$TMP/env.yaml``.

    As in lkp-tests, all behind the name is its value, quotes too, and other lines mean nothing.

    :raises OSError: there is something else than a file of a sensible size.
    """
    try:
        with open_file(tmp, Path(LEFT_VARIABLES)) as stream:
            data = stream.read(MAX_LEFT_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OSError(error.errno, f"$TMP/{LEFT_VARIABLES} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_LEFT_BYTES:
        raise OSError(errno.EFBIG, f"$TMP/{LEFT_VARIABLES} has more than {MAX_LEFT_BYTES} bytes")
    matches = map(_LEFT_VARIABLE.fullmatch, data.replace(b"\0", b"").decode(errors="surrogateescape").split("\n"))
    left = {match.group(1): (match.group(2) or "").strip(" \t") for match in matches if match is not None}
    # By it processes are found that are to be ended.
    left.pop(processes.JOB_VARIABLE, None)
    return left


def base_environment(job_id: str, commands: Path) -> dict[str, str]:
    """What every script sees of the machine: its user, its locale, and a PATH that holds the system's programs."""
    kept = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    inherited = [folder for folder in os.environ.get("PATH", "").split(":") if folder and folder not in system]
    environment["PATH"] = ":".join([str(commands), *system, *inherited])
    environment[processes.JOB_VARIABLE] = job_id
    return environment


def arm(
    script: ScriptProcess,
    *,
    environment: dict[str, str],
    results: Path,
    trees: dict[str, str],
    tmp: Path,
    account: Account | None = None,
) -> None:
    """Get a script ready in a process of its own, with its output in files; ``start`` then runs it.

    :param environment: what all scripts of the node see.
    :param trees: folder on the controller → where its scripts are on this machine.
    :param account: the user that it runs as, if that is another one.
    :raises OSError: there is no space left, or no process to be had.
    """
    folder = script.folder(results)
    folder.mkdir(parents=True, exist_ok=True)
    tmp.mkdir(exist_ok=True)
    own(account, folder)
    own(account, tmp)
    root = trees.get(script.root or "", "")
    variables = {
        "BENCHMARK_ROOT": BENCHMARK_ROOT,
        "RESULT_MNT": str(results),
        "testcase": script.name,
        **environment,
        **left_variables(tmp),
        **cpu_shares(script.cpu_shares),
        **script.env,
        "PATH": f"{environment['PATH']}:{root}/bin" if root else environment["PATH"],
        "RESULT_ROOT": str(folder),
        "TMP_RESULT_ROOT": str(folder),
        "TMP": str(tmp),
        "LKP_SRC": root,
        processes.SCRIPT_VARIABLE: script.id,
    }
    if script.content is not None:
        program = tmp / f"{script.id}.script"
        _write_program(program, script.content)
        own(account, program)
    else:
        program = Path(root) / (script.path or "")
    script.pid, script.gate = spawn.fork_at_gate(
        [str(program), *script.args],
        environment=variables,
        folder=folder,
        out=folder / "stdout",
        err=folder / "stderr",
        account=account,
    )


def _write_program(path: Path, text: str) -> None:
    """In a file that is new: its folder may be another user's, who could have put a link there."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        os.fchmod(handle, 0o700)
        stream.write(text)


def start(script: ScriptProcess) -> None:
    """Run a script that is armed."""
    if script.gate is None:
        raise RuntimeError(f"{script.title} is not armed")
    spawn.open_gate(script.gate)
    script.gate, script.started, script.since, script.state = None, time.time(), time.monotonic(), ScriptState.RUNNING


def was_skipped(script: ScriptProcess, tmp: Path) -> bool:
    """Whether a script has said that the condition it stands under does not hold on this machine."""
    return (tmp / f"{script.id}.skipped").exists()


def full_disk_note(path: Path) -> str:
    """A sentence for messages when the file system is full, empty otherwise."""
    try:
        free = shutil.disk_usage(path).free
    except OSError:
        return ""
    return f" (the disk is full: {free // 1024} KB are free in {path})" if free < ALMOST_FULL else ""
