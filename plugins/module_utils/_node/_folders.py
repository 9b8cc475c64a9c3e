# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tarfile
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils import _locks as locks
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError

# What the kernel takes as the path of a unix socket (unix(7)).
SOCKET_PATH = 107
# An empty file in each run's folder.
MARK = ".multidevice-run"
# Where its results are to go at the end.
KEEP_RESULTS = "keep-results"
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def default_base() -> Path:
    """Where runs have their folders on a node: one place per user, on a disk rather than in memory."""
    return Path(f"/var/tmp/multidevice-{os.getuid()}")


def of_run(base: Path, job_id: str) -> Path:
    """Where a run has its folder. Nothing outside of the base can be named, and no base that is not ours.

    :raises NodeError: the base belongs to somebody else or lets nothing run, or the name is no name for a folder.
    """
    if not JOB_ID.fullmatch(job_id):
        raise NodeError(f"job_id {job_id!r} cannot name a folder: letters, digits, '.', '_' and '-' are right")
    if base.exists() or base.is_symlink():
        _check_base(base)
    folder = base / job_id
    if folder.is_symlink() or (
        folder.exists() and not is_run(folder) and (not folder.is_dir() or any(folder.iterdir()))
    ):
        raise NodeError(f"{folder} is not the folder of a run; it is left alone")
    return folder


def is_run(folder: Path) -> bool:
    """Whether a folder was made by ``create``: only such a one is ever removed."""
    return not folder.is_symlink() and (folder / MARK).is_file() and os.lstat(folder).st_uid == os.getuid()


def create(base: Path, job_id: str, config: dict[str, t.Any]) -> Path:
    """Make the folder of a run, ``base/job_id``, and leave the supervisor's settings in it.

    The folder can be passed through but not listed by others, so that the login user reaches the socket in it.

    :raises NodeError: the base belongs to somebody else or lets nothing run, or the name is no name for a folder.
    """
    folder = of_run(base, job_id)
    if len(os.fsencode(socket(folder))) > SOCKET_PATH:
        raise NodeError(f"{folder} is too long for the path of a socket: set node_dir to a shorter one")
    for tries_left in (2, 1, 0):
        with contextlib.suppress(FileExistsError):
            base.mkdir(mode=0o711, parents=True)
        _check_base(base)
        try:
            folder.mkdir(mode=0o711, exist_ok=True)
            break
        except FileNotFoundError:
            # The last of the other runs has just removed the base.
            if not tries_left:
                raise
    try:
        (folder / MARK).touch()
        folder.chmod(0o711)
        for part in (results(folder), tmp(folder), commands(folder)):
            part.mkdir(mode=0o755 if part == commands(folder) else 0o700)
        _write_private(folder / "config.json", json.dumps(config))
    except OSError:
        # Made a moment ago, and perhaps without its mark.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _check_base(base: Path) -> None:
    status = os.lstat(base)
    if not base.is_dir() or base.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise NodeError(f"{base} must be a folder that user {os.getuid()} owns and nobody else can write to")
    if os.statvfs(base).f_flag & os.ST_NOEXEC:
        raise NodeError(f"no program can be run from {base}, which is mounted noexec: set node_dir to another folder")


def keep_results(folder: Path, target: Path) -> None:
    """Have the results of a run moved to a folder of this machine at its end, whatever ends it."""
    (folder / KEEP_RESULTS).write_text(str(target), encoding="utf-8")


def take_config(folder: Path) -> dict[str, t.Any]:
    """Read the supervisor's settings and remove their file, which holds the token."""
    path = folder / "config.json"
    config: dict[str, t.Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return config


def socket(folder: Path) -> Path:
    """The supervisor's socket."""
    return folder / "socket"


def log(folder: Path) -> Path:
    """What the supervisor itself prints, which is nothing unless it is broken."""
    return folder / "supervisor.log"


def library(folder: Path) -> Path:
    """The supervisor's own Python files."""
    return folder / "lib"


def commands(folder: Path) -> Path:
    """The folder in every script's PATH."""
    return folder / "bin"


def results(folder: Path) -> Path:
    """One folder per script: its output and its ``RESULT_ROOT``."""
    return folder / "results"


def tmp(folder: Path) -> Path:
    """``TMP`` of all scripts of the node."""
    return folder / "tmp"


def wait_unlocked(folder: Path, timeout: float) -> bool:
    """Wait until no process has locked a run's folder any more, or it is gone."""
    try:
        with locks.locked(folder, timeout):
            return True
    except FileNotFoundError:
        return True
    except TimeoutError:
        return False


def runs(base: Path) -> list[Path]:
    """The folders of all runs below a base."""
    with contextlib.suppress(FileNotFoundError):
        return [folder for folder in base.iterdir() if is_run(folder)]
    return []


def remove(folder: Path) -> bool:
    """Remove a run's folder, and the base when this was its last run. Tells whether it is gone.

    The mark goes last: what a process that is killed meanwhile leaves can still be told from what is not ours.
    """
    if is_run(folder):
        for part in folder.iterdir():
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part, ignore_errors=True)
            elif part.name != MARK:
                part.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
    return not folder.exists()


def trees(base: Path) -> Path:
    """Where the script trees of all runs lie."""
    return base / "trees"


def tree(folder: Path, checksum: str) -> Path:
    """Where a script tree lies, shared by the runs that use it."""
    return trees(folder.parent) / f"{int(checksum, 16):064x}"


def use_tree(folder: Path, checksum: str) -> None:
    """Note that this run uses a tree, so that no other run's end removes it."""
    with locks.locked(folder.parent):
        users = _users(tree(folder, checksum))
        users.mkdir(parents=True, exist_ok=True)
        (users / folder.name).touch()


def give_up_trees(folder: Path, *, keep: bool) -> None:
    """Give up this run's trees; those that no run uses are removed, unless the next run is to find them."""
    shared = trees(folder.parent)
    if not shared.is_dir():
        return
    with locks.locked(folder.parent):
        for part in shared.glob(f"*.{folder.name}"):
            shutil.rmtree(part, ignore_errors=True)
        for users in shared.glob("*.users"):
            with contextlib.suppress(FileNotFoundError):
                (users / folder.name).unlink()
            if not keep and not any(users.iterdir()):
                shutil.rmtree(shared / users.name[: -len(".users")], ignore_errors=True)
                users.rmdir()
        with contextlib.suppress(OSError):
            shared.rmdir()


def unpack_tree(folder: Path, archive_file: Path, checksum: str) -> Path:
    """Unpack a script tree that the controller packed; two runs may do it at once."""
    path = tree(folder, checksum)
    fresh = path.with_name(f"{path.name}.{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with tarfile.open(archive_file) as packed:
            if hasattr(tarfile, "data_filter"):
                packed.extractall(fresh, filter="tar")
            else:
                packed.extractall(fresh)
        with locks.locked(folder.parent):
            if not path.is_dir():
                fresh.rename(path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return path


def _users(path: Path) -> Path:
    return path.with_name(f"{path.name}.users")


def _write_private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
