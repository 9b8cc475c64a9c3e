# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a worker keeps on its machine's disk: whose it is, what of it counts, and what is left of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import archive as _results_archive
from ansible_collections.lab.multidevice.plugins.plugin_utils._worker.spool import TREES_KEPT, Spool

JOB = "20260131T120000-k3f9.1.1"
WORK: dict[str, t.Any] = {"node": "a", "exchange": "redis", "settings": {"results_limit": 1, "retention": 60}}
LOCK = """
import fcntl, sys
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "far" / "spool")


def test_it_is_its_users_own(spool: Spool) -> None:
    Spool(spool.folder).job(JOB).begin(WORK)
    for path in (spool.folder, spool.folder / "jobs", spool.folder / "trees", spool.job(JOB).folder):
        assert path.stat().st_mode & 0o777 == 0o700, path


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_one_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(NodeError, match="must belong to user .*, and nobody else may write to it"):
        Spool(folder)
    folder.chmod(0o755)
    Spool(folder)


def test_one_of_somebody_else_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(NodeError, match="must belong to user 0"):
        Spool(tmp_path)


def test_one_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="spool: .*/file/spool cannot be made: Not a directory"):
        Spool(tmp_path / "file" / "spool")


def test_one_process_uses_it_at_a_time(spool: Spool) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(spool.folder / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    before = os.listdir("/proc/self/fd")
    assert not spool.lock()
    assert os.listdir("/proc/self/fd") == before
    other.communicate(timeout=30)
    assert spool.lock()
    second = Spool(spool.folder)
    assert not second.lock()
    second.unlock()
    assert not second.lock(), "it cannot give away what it does not have"
    spool.unlock()
    spool.unlock()
    assert second.lock()
    second.unlock()


def test_notices_are_given_once(spool: Spool) -> None:
    assert spool.take_notices() == []
    spool.add_notice("it was\n  late")
    spool.add_notice("and dark")
    assert Spool(spool.folder).take_notices() == ["it was late", "and dark"]
    assert spool.take_notices() == []


def test_what_is_left_comes_oldest_first_and_nothing_else_counts(spool: Spool) -> None:
    names = [f"20260131T120000-k3f9.1.{number}" for number in (2, 10, 1)]
    for age, name in enumerate(names):
        spool.job(name).begin(WORK)
        os.utime(spool.job(name).folder, (1000 + age, 1000 + age))
    (spool.folder / "jobs" / ".hidden").mkdir()
    (spool.folder / "jobs" / "file").write_text("")
    assert [job.job_id for job in spool.left()] == names
    assert spool.left()[0].archive_name == f"result-{names[0]}.tar.gz"
    spool.job(names[1]).remove()
    assert [job.job_id for job in spool.left()] == [names[0], names[2]]


def test_a_tree_is_kept_once_it_has_arrived_whole(spool: Spool) -> None:
    checksum = hashlib.sha256(b"packed").hexdigest()
    with (
        pytest.raises(NodeError, match="the script tree did not arrive whole: its checksum differs"),
        spool.place_for_tree(checksum) as (path, partial),
    ):
        assert partial is not None
        partial.write_bytes(b"pack")
    assert list((spool.folder / "trees").iterdir()) == []
    with spool.place_for_tree(checksum) as (path, partial):
        assert partial is not None and partial.parent == path.parent
        partial.write_bytes(b"packed")
        assert not path.exists()
    assert path == spool.folder / "trees" / f"tree-{checksum}.tar.gz"
    os.utime(path, (1, 1))
    with spool.place_for_tree(checksum) as found:
        assert found == (path, None)
    assert path.read_bytes() == b"packed" and path.stat().st_mtime > 1
    assert list(path.parent.iterdir()) == [path]


def test_trees_that_were_used_last_are_kept(spool: Spool) -> None:
    def fetch(number: int) -> Path:
        content = str(number).encode()
        with spool.place_for_tree(hashlib.sha256(content).hexdigest()) as (path, partial):
            if partial is not None:
                partial.write_bytes(content)
        return path

    paths = [fetch(number) for number in range(TREES_KEPT)]
    for age, path in enumerate(paths):
        os.utime(path, (1000 + age, 1000 + age))
    fetch(0)
    newest = fetch(TREES_KEPT)
    assert set((spool.folder / "trees").iterdir()) == {newest, paths[0], *paths[2:]}


def test_a_node_job_is_written_down_whole(spool: Spool) -> None:
    job = spool.job(JOB)
    job.results.mkdir(parents=True)
    job.begin(WORK)
    assert job.work == WORK
    assert [path.name for path in job.folder.iterdir()] == ["work.json"], "nothing of an earlier try"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "holds no node job: .*No such file"),
        ('{"node": "a"', "holds no node job: Expecting"),
        ("[]", "holds no node job: list indices must be integers"),
        ('"text"', "holds no node job: string indices must be integers"),
        (json.dumps({**WORK, "settings": None}), "holds no node job: 'NoneType' object has no attribute 'keys'"),
        *(
            (json.dumps({name: value for name, value in WORK.items() if name != left_out}), sentence)
            for left_out, sentence in (
                ("node", "something is missing in work.json"),
                ("exchange", "something is missing in work.json"),
                ("settings", "holds no node job: 'settings'"),
            )
        ),
        (json.dumps({**WORK, "settings": {"retention": 60}}), "something is missing in work.json"),
        (json.dumps({**WORK, "settings": {"results_limit": 1}}), "something is missing in work.json"),
    ],
)
def test_what_is_no_node_job_is_told(spool: Spool, content: str | None, sentence: str) -> None:
    job = spool.job(JOB)
    job.folder.mkdir()
    if content is not None:
        (job.folder / "work.json").write_text(content)
    with pytest.raises(NodeError, match=sentence):
        _ = job.work


def test_results_are_packed_within_their_limit_or_not_at_all(spool: Spool, tmp_path: Path) -> None:
    job, notes = spool.job(JOB), ["said before"]
    job.begin(WORK)
    with job.packed(1000, notes) as archive:
        assert archive is None
    (job.results / "test-work").mkdir(parents=True)
    (job.results / "test-work" / "stdout").write_text("x" * 2000)
    with job.packed(500, notes) as archive:
        assert archive is not None and archive.parent == job.folder
        _results_archive.unpack(archive, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "test-work" / "stdout").read_text() == "x" * 500
    assert notes[0] == "said before" and len(notes) == 2 and "cut to its last 500 of 2000 bytes" in notes[1]
    assert not archive.exists()


def test_what_is_damaged_is_set_aside(spool: Spool) -> None:
    job = spool.job(JOB)
    for text in ("first", "second"):
        job.begin(WORK)
        (job.folder / "said").write_text(text)
        assert job.set_aside() == spool.folder / "damaged" / JOB
        assert not job.folder.exists()
    assert (spool.folder / "damaged" / JOB / "said").read_text() == "second"
    assert (spool.folder / "damaged").stat().st_mode & 0o777 == 0o700


def test_nothing_stays_of_a_node_job_that_is_removed(spool: Spool, tmp_path: Path) -> None:
    job = spool.job(JOB)
    job.begin(WORK)
    elsewhere = tmp_path / "elsewhere" / "results"
    elsewhere.mkdir(parents=True)
    (elsewhere / "stdout").write_text("worked")
    job.results.symlink_to(elsewhere)
    job.remove()
    assert not job.folder.exists() and not elsewhere.exists() and elsewhere.parent.exists()
    job.remove()
