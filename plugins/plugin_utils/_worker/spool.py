# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._archives import file_digest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._names import is_name
from ansible_collections.lab.multidevice.plugins.module_utils._node import _results
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import (
    check_name,
    result_name,
    tree_name,
)

TREES_KEPT = 8


class Spool:
    """What a worker keeps on its machine's disk: node jobs until they are handed in, and packed script trees."""

    def __init__(self, folder: str | Path) -> None:
        """:raises NodeError: the folder cannot be made, or belongs to somebody else."""
        self.folder = Path(folder)
        self._handle: int | None = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in (self._jobs, self._trees):
                part.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise NodeError(f"spool: {error.filename} cannot be made: {error.strerror}") from error
        status = self.folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise NodeError(f"spool: {self.folder} must belong to user {os.getuid()}, and nobody else may write to it")

    def lock(self) -> bool:
        """Become the only user of the spool; False while another process is."""
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def unlock(self) -> None:
        """Let the next one use it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def add_notice(self, text: str) -> None:
        """Have the next worker say something that this one has nobody left to say to."""
        with contextlib.suppress(OSError), open(self._notices, "a", encoding="utf-8") as stream:
            stream.write(" ".join(text.split()) + "\n")

    def take_notices(self) -> list[str]:
        """What workers before this one had nobody left to say to."""
        try:
            notices = self._notices.read_text(encoding="utf-8", errors="replace").splitlines()
            self._notices.unlink()
        except OSError:
            return []
        return notices

    def job(self, job_id: str) -> JobSpool:
        """The folder of a node job.

        :raises NodeError: the id leads elsewhere.
        """
        if not is_name(job_id):
            raise NodeError(f"{job_id!r} is no id of a node job")
        return JobSpool(self._jobs / job_id)

    def left(self) -> list[JobSpool]:
        """The node jobs that have not been handed in, oldest first."""
        found = [JobSpool(path) for path in self._jobs.iterdir() if path.is_dir() and is_name(path.name)]
        return sorted(found, key=lambda job: job.folder.stat().st_mtime)

    @contextlib.contextmanager
    def place_for_tree(self, checksum: str) -> t.Iterator[tuple[Path, Path | None]]:
        """Where a packed script tree is, and where to write it if it is not there.

        :raises NodeError: what was written is not the tree, or there is no place for it.
        :raises InputError: that is no checksum.
        """
        path = self._trees / check_name(tree_name(checksum))
        if path.exists():
            path.touch()
            yield path, None
            return
        partial = path.with_suffix(".part")
        try:
            yield path, partial
            if file_digest(partial) != checksum:
                raise NodeError("the script tree did not arrive whole: its checksum differs")
            partial.rename(path)
        except OSError as error:
            raise NodeError(f"the script tree cannot be written to {self._trees}: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
        self._forget_old_trees()

    def _forget_old_trees(self) -> None:
        trees = sorted(self._trees.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in trees[TREES_KEPT:]:
            path.unlink()

    @property
    def _jobs(self) -> Path:
        return self.folder / "jobs"

    @property
    def _notices(self) -> Path:
        return self.folder / "last-words"

    @property
    def _trees(self) -> Path:
        return self.folder / "trees"


class JobSpool:
    """A node job in the spool: what is to be done, and afterwards its results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job_id = folder.name

    @property
    def results(self) -> Path:
        """Where the supervisor leaves the results at its end."""
        return self.folder / "results"

    @property
    def archive_name(self) -> str:
        """The name under which the results are handed in."""
        return result_name(self.job_id)

    @property
    def work(self) -> dict[str, t.Any]:
        """What is to be done.

        :raises NodeError: that was never written down, or only in part.
        """
        try:
            found: dict[str, t.Any] = json.loads((self.folder / "work.json").read_text(encoding="utf-8"))
            settings = found["settings"]
            if {"node", "exchange"} <= found.keys() and {"results_limit", "retention"} <= settings.keys():
                return found
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise NodeError(f"{self.folder} holds no node job: {error}") from error
        raise NodeError(f"{self.folder} holds no node job: something is missing in work.json")

    def begin(self, work: t.Mapping[str, t.Any]) -> None:
        """Write down what is to be done.

        :raises NodeError: there is no place for it.
        """
        self.remove()
        partial = self.folder / ".work.json"
        try:
            self.folder.mkdir(mode=0o700)
            with open(partial, "w", encoding="utf-8") as stream:
                json.dump(work, stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.rename(self.folder / "work.json")
        except OSError as error:
            raise NodeError(f"the node job cannot be written down in {self.folder}: {error.strerror}") from error

    @contextlib.contextmanager
    def packed(self, limit: int, notes: list[str]) -> t.Iterator[Path | None]:
        """The results as an archive, None when there are none; ``notes`` is told what was cut."""
        if not self.results.is_dir():
            yield None
            return
        with contextlib.ExitStack() as stack:
            try:
                archive = stack.enter_context(self._pack(self.folder, limit, notes))
            except OSError:
                # The disk may be full; there may be place on another one.
                archive = stack.enter_context(self._pack(None, limit, notes))
            yield archive

    @contextlib.contextmanager
    def _pack(self, folder: Path | None, limit: int, notes: list[str]) -> t.Iterator[Path]:
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".tar.gz") as stream:
            said = _results.pack(self.results, t.cast("t.IO[bytes]", stream), limit=limit)
            stream.flush()
            notes += said
            yield Path(stream.name)

    def set_aside(self) -> Path:
        """Keep what cannot be handed in, out of the way; returns where."""
        damaged = self.folder.parent.with_name("damaged")
        damaged.mkdir(mode=0o700, exist_ok=True)
        target = damaged / self.job_id
        shutil.rmtree(target, ignore_errors=True)
        self.folder.rename(target)
        return target

    def remove(self) -> None:
        """It is handed in, or given back."""
        if self.results.is_symlink():
            shutil.rmtree(self.results.resolve(), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
