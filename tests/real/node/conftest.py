# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from node.supervised import Machine


@pytest.fixture
def machine(tmp_path: Path) -> t.Iterator[Machine]:
    """This machine; at the end nothing of what ran on it may be left."""
    machine = Machine(tmp_path)
    try:
        yield machine
        machine.assert_clean()
    finally:
        machine.end()
