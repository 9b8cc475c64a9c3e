# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the collection in which tests can run beside one another, while the files here are changed."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import typing as t

from environments import REPOSITORY
from stage import tracked_files

# Through it the collection's own playbooks find the collection.
LINK = "playbooks/collections/ansible_collections/lab/multidevice"


class Copy:
    """The files that are committed or would be, in a folder of its own."""

    def __init__(self) -> None:
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="multidevice-"))
        self.root = self.base / "ansible_collections" / "lab" / "multidevice"
        for name in tracked_files():
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target, follow_symlinks=False)
        (self.root / LINK).parent.mkdir(parents=True)
        (self.root / LINK).symlink_to(os.readlink(REPOSITORY / LINK))

    def variables(self) -> dict[str, str]:
        """Of a process that runs tests here. What Python compiles goes with the copy."""
        return {
            "PYTHONPATH": str(self.base),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self.base / "bytecode"),
        }

    def tests(self, patterns: t.Iterable[str]) -> list[str]:
        found = [sorted(self.root.glob(pattern)) for pattern in patterns]
        return list(dict.fromkeys(str(path.relative_to(self.root)) for paths in found for path in paths))

    def remove(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
