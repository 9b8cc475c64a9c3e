# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def read_by_playbooks() -> set[str]:
    """What a user can set: the playbooks give each such variable a default."""
    texts = [
        path.read_text() for folder in ("playbooks", "playbooks/tasks") for path in (REPOSITORY / folder).glob("*.yml")
    ]
    return set(re.findall(r"\b(multidevice_\w+) \| default\(", "\n".join(texts)))


def named_in(path: Path, line_start: str = "") -> set[str]:
    lines = [line for line in path.read_text().splitlines() if line.startswith(line_start)]
    return set(re.findall(r"\bmultidevice_\w+", "\n".join(lines)))


def test_every_variable_is_documented() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    documented = set().union(*(named_in(page) for page in pages))
    assert read_by_playbooks() - documented == set()


def test_no_variable_of_the_table_is_made_up() -> None:
    in_table = named_in(REPOSITORY / "README.md", "| `multidevice_")
    assert len(in_table) > 20
    assert in_table - read_by_playbooks() == set()
