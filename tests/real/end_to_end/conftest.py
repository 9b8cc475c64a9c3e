# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from support.newest_server import newest_server
from support.redis_server import RedisServer
from support.sites import Site, new_site


@pytest.fixture
def only_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("looks into the machines of a lab, and at the network, as only root can")


@pytest.fixture
def site(only_root: None, tmp_path: Path) -> t.Iterator[Site]:
    """One server and two clients, reached through their namespaces."""
    with new_site(tmp_path) as here:
        yield here


@pytest.fixture
def ssh_site(only_root: None, tmp_path: Path) -> t.Iterator[Site]:
    """The same machines, reached over ssh."""
    with new_site(tmp_path, ssh=True) as here:
        yield here


@pytest.fixture
def server() -> t.Iterator[RedisServer]:
    """A Redis of the user's own."""
    with newest_server() as server:
        yield server
