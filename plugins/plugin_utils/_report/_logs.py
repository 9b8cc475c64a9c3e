# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ansible_collections.lab.multidevice.plugins.plugin_utils._report._store import Submission
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._text import clean
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.script_record import has_failed
from markupsafe import escape

ALL_LOGS = 1_100_000
ONE_LOG = 16_000
FAILED_LOG = 64_000
WORTHWHILE = 1_500
STREAMS = ("stdout", "stderr")
FILES_SHOWN = 20


@dataclass(frozen=True)
class Log:
    """What a script printed, or the end of it, with a link to all of it. Without a text there is only the link."""

    name: str
    href: str
    size: int
    text: str
    is_cut: bool


@dataclass(frozen=True)
class Output:
    """What a script left in its folder."""

    logs: list[Log]
    files: list[tuple[str, str]]  # name, address
    more_files: int


Key = tuple[int, str, str]  # the run's number, node, id of the script


def read_all(submission: Submission) -> dict[Key, Output]:
    """What all scripts of a submission printed, together not more than a page can hold.

    Failed scripts may say more than others. Of very many scripts there are only links.
    """
    keys: list[tuple[Key, Path, bool]] = []
    for run in submission.runs:
        for node, record in run.summary["nodes"].items():
            for script in record["scripts"]:
                key = (run.summary["number"], node, script["id"])
                keys.append((key, run.script_folder(node, script), has_failed(script)))
    limits = _limits([(folder, failed) for _key, folder, failed in keys])
    outputs = {}
    for key, folder, failed in keys:
        logs = [_read(submission.folder, folder / stream, limits[failed]) for stream in STREAMS]
        outputs[key] = Output([log for log in logs if log is not None], *_files(submission.folder, folder))
    return outputs


def _limits(folders: list[tuple[Path, bool]]) -> dict[bool, int]:
    """How much of a log is shown of scripts that failed (True), and of the others."""
    counts = {False: 0, True: 0}
    for folder, failed in folders:
        counts[failed] += sum(_size(folder / stream) > 0 for stream in STREAMS)
    of_failed = min(FAILED_LOG, ALL_LOGS // 2 // max(1, counts[True]))
    of_others = min(ONE_LOG, (ALL_LOGS - of_failed * counts[True]) // max(1, counts[False]))
    return {failed: limit if limit >= WORTHWHILE else 0 for failed, limit in ((True, of_failed), (False, of_others))}


def href(submission: Path, path: Path) -> str:
    """The address of a file as seen from a page in the submission's folder."""
    return quote(os.fsencode(path.relative_to(submission)))


def _read(submission: Path, path: Path, limit: int) -> Log | None:
    size = _size(path)
    if not size:
        return None
    if not limit:
        return Log(path.name, href(submission, path), size, "", True)
    with open(path, "rb") as stream:
        stream.seek(max(0, size - limit))
        text = clean(stream.read(limit).decode("utf-8", errors="replace"))
    is_cut = size > limit
    while (length := len(escape(text))) > limit:
        text = text[len(text) - limit * len(text) // length :]
        is_cut = True
    if is_cut and "\n" in text:
        text = text.partition("\n")[2]  # not from the middle of a line
    return Log(path.name, href(submission, path), size, text.rstrip("\n"), is_cut)


def _files(submission: Path, folder: Path) -> tuple[list[tuple[str, str]], int]:
    found = [path for path in sorted(_walk(folder)) if path.name not in (*STREAMS, "result.json")]
    shown = [(clean(str(path.relative_to(folder))), href(submission, path)) for path in found[:FILES_SHOWN]]
    return shown, len(found) - len(shown)


def _walk(folder: Path) -> Iterator[Path]:
    for where, _folders, names in os.walk(folder):
        for name in names:
            yield Path(where, name)


def _size(path: Path) -> int:
    try:
        return 0 if path.is_symlink() else path.stat().st_size
    except OSError:
        return 0
