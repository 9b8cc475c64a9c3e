# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scripts that leave what should have root open, wait for, or give away something."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._node import _results, _script, _strangers

from support.repository import COLLECTIONS

SECRET = "only for root"


def link(folder: Path) -> None:
    (folder / "stderr").symlink_to(folder.parent.parent / "secret")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "stderr")


def device(folder: Path) -> None:
    os.mknod(folder / "stderr", 0o600 | 0o020000, os.makedev(1, 5))


def linked_folder(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(folder.parent.parent / "elsewhere")


def folder_in_its_place(folder: Path) -> None:
    (folder / "stderr").mkdir()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Where a script has its folder; beside it is what only root may read."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "stderr").write_text(SECRET)
    (tmp_path / "results" / "test-x").mkdir(parents=True)
    return tmp_path / "results"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("leave", [link, pipe, device, linked_folder, folder_in_its_place])
def test_only_a_file_of_its_own_is_read(results: Path, leave: t.Callable[[Path], None]) -> None:
    """A device never ends and a pipe never begins; both would have hung the supervisor."""
    leave(results / "test-x")
    assert _script.read_tail(results, Path("test-x", "stderr")) == ""
    with pytest.raises(OSError):
        _strangers.open_file(results, Path("test-x", "stderr"))
    assert SECRET.encode() not in packed(results)


def test_what_is_a_file_is_read(results: Path) -> None:
    (results / "test-x" / "deep").mkdir()
    (results / "test-x" / "deep" / "stderr").write_text("why\n")
    assert _script.read_tail(results, Path("test-x", "deep", "stderr")) == "why"
    with tarfile.open(fileobj=io.BytesIO(packed(results))) as archive:
        assert archive.getnames() == ["test-x/deep/stderr"]


def packed(results: Path) -> bytes:
    stream = io.BytesIO()
    _results.pack(results, stream, limit=1_000_000)
    return stream.getvalue()


def test_a_folder_that_becomes_a_link_while_it_is_packed_gives_nothing_away(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = results / "test-x"
    (folder / "stderr").write_text("mine")
    found = _results._files(results)
    (folder / "stderr").unlink()
    linked_folder(folder)
    monkeypatch.setattr(_results, "_files", lambda _results: found)
    stream = io.BytesIO()
    notes = _results.pack(results, stream, limit=1_000_000)
    assert len(notes) == 1 and notes[0].startswith("test-x/stderr: left out: ")
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        assert archive.getnames() == []


# As a worker that is not root starts a script: its service has given it some of root's rights.
START = """
import os, sys
from pathlib import Path
from ansible_collections.lab.multidevice.plugins.module_utils._node import _spawn
folder = Path(sys.argv[1])
assert "CapAmb:\\t0000000000001000" in Path("/proc/self/status").read_text()
pid, gate = _spawn.fork_at_gate(
    ["/bin/grep", "^Cap", "/proc/self/status"],
    environment={}, folder=folder, out=folder / "stdout", err=folder / "stderr",
)
_spawn.open_gate(gate)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_script_inherits_no_rights_of_the_service() -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can give capabilities, with setpriv")
    # One that everybody may run, whoever owns this one.
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None:
        pytest.skip("there is no python3 in /usr/bin for another user")
    # Another user reaches nothing in pytest's own folder.
    folder = Path(tempfile.mkdtemp(prefix="md-capabilities-", dir="/tmp"))
    try:
        ours = "ansible_collections/lab/multidevice/plugins/module_utils"
        shutil.copytree(COLLECTIONS / ours, folder / "lib" / ours, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.chown(folder, 65534, 65534)
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        command += ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
        environment = {**os.environ, "PYTHONPATH": str(folder / "lib"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*command, python, "-c", START, str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        rights = dict(line.split(":\t") for line in (folder / "stdout").read_text().splitlines())
        assert {name: int(rights[name], 16) for name in ("CapEff", "CapPrm", "CapAmb")} == dict.fromkeys(
            ("CapEff", "CapPrm", "CapAmb"), 0
        )
    finally:
        shutil.rmtree(folder)
