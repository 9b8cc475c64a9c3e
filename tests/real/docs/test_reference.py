# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages that are written from the documentation in the code, and the check that they are right."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from docs.pages import DOCS
from support.repository import REPOSITORY

PARTS = ("plugins", "roles", "meta", "playbooks", "tools", "docs/reference", "galaxy.yml")


def test_markup_that_cannot_be_read_is_an_error_and_on_no_page(tmp_path: Path) -> None:
    for part in PARTS:
        if (REPOSITORY / part).is_dir():
            shutil.copytree(REPOSITORY / part, tmp_path / part, symlinks=True)
        else:
            shutil.copy(REPOSITORY / part, tmp_path / part)
    plant(tmp_path / "roles/direct_links/meta/argument_specs.yml", "O(direct_links_ips)", "O(a.b.c#role:option)")
    plant(tmp_path / "plugins/modules/cluster_report.py", "short_description: ", "short_description: P(nothing) ")
    said = subprocess.run(
        [checkers() / "python", tmp_path / "tools/reference.py", "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 1, said.stderr
    faults = said.stdout.splitlines()
    assert any(line.startswith("lab.multidevice.direct_links: ") and "a.b.c#role" in line for line in faults), faults
    assert any(line.startswith("lab.multidevice.cluster_report: ") and "P(nothing)" in line for line in faults), faults
    assert not any("ERROR" in page.read_text() for page in (DOCS / "reference").glob("*.md"))


def plant(path: Path, right: str, wrong: str) -> None:
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))


def checkers() -> Path:
    """The folder of the programs of the environment that the stage runs in."""
    command = [sys.executable, str(REPOSITORY / "tools" / "environments.py"), "checkers"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return Path(done.stdout.strip())
