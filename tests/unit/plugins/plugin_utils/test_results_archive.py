# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import io
import os
import random
import re
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _results
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import archive as _results_archive


def tar(*names: str, pax: t.Mapping[str, str] | None = None, **values: t.Any) -> bytes:
    """An uncompressed archive of members that are like this; of a file the content is its name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name in names:
            member = tarfile.TarInfo(name)
            content = name.encode()
            member.size, member.pax_headers = len(content), dict(pax or {})
            for key, value in values.items():
                setattr(member, key, value)
            packed.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return stream.getvalue()


def compressed(archive: bytes) -> bytes:
    return gzip.compress(archive, mtime=0)


def unpack(folder: Path, archive: bytes, **options: t.Any) -> Path:
    """Unpack it into a folder below this one."""
    path, dest = folder / "archive", folder / "below" / "results"
    path.write_bytes(archive)
    _results_archive.unpack(path, dest, **options)
    return dest


def everything(folder: Path) -> list[str]:
    """All that a test has left, but for the archive and the folders on the way to the results."""
    usual = {"archive", "below", "below/results"}
    return sorted({str(path.relative_to(folder)) for path in folder.rglob("*")} - usual)


def test_what_a_machine_packs_is_unpacked(tmp_path: Path) -> None:
    left = {
        "test-x/stdout": b"hello\n",
        "test-x/deep/er/data": random.Random(1).randbytes(100_000),
        "metrics.json": b"",
    }
    for name, content in left.items():
        (tmp_path / "left" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "left" / name).write_bytes(content)
    stream = io.BytesIO()
    assert _results.pack(tmp_path / "left", stream, limit=1_000_000) == []
    for _again in range(2):
        dest = unpack(tmp_path, stream.getvalue())
        assert {str(path.relative_to(dest)): path.read_bytes() for path in dest.rglob("*") if path.is_file()} == left


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("../outside", {}),
        ("inside/../../outside", {}),
        ("../results-of-another/stdout", {}),
        ("/tmp/multidevice-test-outside", {}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "first"}),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "first"}),
        ("device", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("disk", {"type": tarfile.BLKTYPE, "devmajor": 7, "devminor": 0}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("folder", {"type": tarfile.DIRTYPE}),
    ],
)
def test_only_files_below_the_folder_are_unpacked(name: str, values: dict[str, t.Any], tmp_path: Path) -> None:
    first = tar("first")[: 2 * tarfile.BLOCKSIZE]
    sentence = f"they hold {name!r}, which is no file below their folder"
    with pytest.raises(NodeError, match=f"^{re.escape(sentence)}$"):
        unpack(tmp_path, compressed(first + tar(name, **values)))
    assert everything(tmp_path) == ["below/results/first"], "what came before it stays, it itself is nowhere"
    assert not os.path.lexists("/tmp/multidevice-test-outside")


def test_a_link_that_is_there_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "below" / "results").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "below" / "results" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(NodeError, match="^they hold 'link/file', which is no file below their folder$"):
        unpack(tmp_path, compressed(tar("link/file")))
    assert list((tmp_path / "outside").iterdir()) == []


def test_results_may_be_kept_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "below").symlink_to(tmp_path / "disk")
    assert (unpack(tmp_path, compressed(tar("stdout"))) / "stdout").read_text() == "stdout"


def test_nothing_makes_an_empty_folder(tmp_path: Path) -> None:
    assert list(unpack(tmp_path, compressed(tar())).iterdir()) == []


WHOLE = compressed(tar("stdout", "stderr"))


@pytest.mark.parametrize("length", [0, 1, 9, 10, 40, len(WHOLE) // 2, len(WHOLE) - 9, len(WHOLE) - 8, len(WHOLE) - 1])
def test_an_archive_that_was_cut_off_is_damaged(length: int, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="^their archive is damaged: [^\n]+$"):
        unpack(tmp_path, WHOLE[:length])


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(b"no archive at all", id="text"),
        pytest.param(tar("stdout"), id="not compressed"),
        pytest.param(compressed(b"no archive at all"), id="compressed text"),
        pytest.param(compressed(tar("stdout")[:700]), id="cut off before it was compressed"),
        pytest.param(WHOLE[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(WHOLE + b"more", id="more behind it"),
        pytest.param(WHOLE[:20] + b"\xff\xff\xff\xff" + WHOLE[24:], id="spoilt"),
        pytest.param(compressed(tar("stdout", pax={"path": "a\0b"})), id="no name"),
        pytest.param(compressed(tar("stdout", pax={"GNU.sparse.map": "x", "GNU.sparse.size": "1"})), id="no map"),
        pytest.param(compressed(tar("stdout", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})), id="no holes"),
    ],
)
def test_a_damaged_archive_is_said_to_be_damaged(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="^their archive is damaged: [^\n]+$"):
        unpack(tmp_path, archive)


def test_no_place_for_them(tmp_path: Path) -> None:
    name = "x" * 300
    with pytest.raises(NodeError, match=f"^they cannot be written to {tmp_path}/below/results: File name too long$"):
        unpack(tmp_path, compressed(tar(name)))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NodeError, match=f"^they cannot be written to {tmp_path}/file/x: Not a directory$"):
        _results_archive.unpack(tmp_path / "archive", tmp_path / "file" / "x")


# What a machine sends may be made to cost more than it weighs


def sparse(size: int) -> bytes:
    """A file of that size that takes two blocks, as GNU tar writes it."""
    member = tarfile.TarInfo("sparse")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000000000\0"
    header[483:495] = f"{size:011o}\0".encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + bytes(2 * tarfile.BLOCKSIZE)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="they hold 'sparse', which is no file below their folder|more than"):
        unpack(tmp_path, compressed(sparse(2**32)))
    assert everything(tmp_path) == []


def test_files_are_counted_while_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_results_archive, "FILES_LIMIT", 5)
    with pytest.raises(NodeError, match="^they are more than 5 files or 1000 bytes, the limit for a node$"):
        unpack(tmp_path, compressed(tar(*(f"file-{number}" for number in range(6)))), limit=1000)
    assert len(everything(tmp_path)) == 5


@pytest.mark.parametrize(("limit", "enough"), [(12, True), (11, False), (0, False)])
def test_bytes_are_counted_while_they_come(tmp_path: Path, limit: int, enough: bool) -> None:
    archive = compressed(tar("stdout", "stderr"))
    if enough:
        assert len(list(unpack(tmp_path, archive, limit=limit).iterdir())) == 2
        return
    with pytest.raises(NodeError, match=f"^they are more than 100000 files or {limit} bytes, the limit for a node$"):
        unpack(tmp_path, archive, limit=limit)


@pytest.mark.parametrize("where", ["behind the end", "in a header"])
def test_what_unpacks_to_far_more_is_given_up(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_results_archive, "HEADERS", 100_000)
    large = (
        tar("stdout", pax={"comment": "x" * 10_000_000})
        if where == "in a header"
        else tar("stdout") + bytes(10_000_000)
    )
    with pytest.raises(NodeError, match="^they unpack to more than the limit for a node$"):
        unpack(tmp_path, compressed(large), limit=1000)
