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

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.exchange import (
    file_digest,
    result_name,
    tree_name,
)
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _results

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

    def job(self, job_id: str) -> JobSpool:
        """The folder of a node job."""
        return JobSpool(self._jobs / job_id)

    def left(self) -> list[JobSpool]:
        """The node jobs that have not been handed in, oldest first."""
        found = [JobSpool(path) for path in self._jobs.iterdir() if path.is_dir()]
        return sorted(found, key=lambda job: job.folder.stat().st_mtime)

    @contextlib.contextmanager
    def place_for_tree(self, checksum: str) -> t.Iterator[tuple[Path, Path | None]]:
        """Where a packed script tree is, and where to write it if it is not there.

        :raises NodeError: what was written is not the tree.
        """
        path = self._trees / tree_name(checksum)
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
        except (OSError, ValueError) as error:
            raise NodeError(f"{self.folder} is no node job: {error}") from error
        return found

    def begin(self, work: t.Mapping[str, t.Any]) -> None:
        """Write down what is to be done."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        partial = self.folder / ".work.json"
        partial.write_text(json.dumps(work), encoding="utf-8")
        partial.rename(self.folder / "work.json")

    @contextlib.contextmanager
    def packed(self, limit: int, notes: list[str]) -> t.Iterator[Path | None]:
        """The results as an archive, None when there are none; ``notes`` is told what was cut."""
        if not self.results.is_dir():
            yield None
            return
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tar.gz") as stream:
            notes += _results.pack(self.results, t.cast("t.IO[bytes]", stream), limit=limit)
            stream.flush()
            yield Path(stream.name)

    def remove(self) -> None:
        """It is handed in, or given back."""
        shutil.rmtree(self.folder, ignore_errors=True)
