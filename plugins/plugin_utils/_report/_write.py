# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _junit, _page, _store
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._compare import Comparison


def write_reports(folder: Path, *, dry: bool = False) -> tuple[Path, bool]:
    """Make ``report.html`` and ``junit.xml`` of a submission from its stored files.

    :returns: where the page is, and whether it or the XML differs from what was there.
    :raises InputError: there are no results in the folder, or it cannot be written.
    """
    submission = _store.load(folder)
    report = folder / "report.html"
    changed = [
        _write(report, _page.page(submission), dry=dry),
        _write(folder / "junit.xml", _junit.junit(submission), dry=dry),
    ]
    return report, any(changed)


def write_comparison(folders: list[Path], dest: Path, *, dry: bool = False) -> tuple[Path, str, bool]:
    """Compare submissions on a page, and as a table for a terminal.

    :param dest: the page's path, or a folder in which it gets a name of its own.
    :returns: where the page is, the table, and whether the page differs from what was there.
    :raises InputError: there are no results in a folder, fewer than two were given, or it cannot be written.
    """
    submissions = [_store.load(folder) for folder in folders]
    comparison = Comparison(submissions)
    if dest.is_dir():
        first, last = submissions[0].summary["submission_id"], submissions[-1].summary["submission_id"]
        dest = dest / f"compare-{first}-{last}.html"
    return dest, comparison.table(), _write(dest, comparison.page(dest.parent), dry=dry)


def _write(path: Path, text: str, *, dry: bool) -> bool:
    data = text.encode()
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        if not dry:
            partial = path.with_name(f".{path.name}")
            partial.write_bytes(data)
            partial.rename(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return True
