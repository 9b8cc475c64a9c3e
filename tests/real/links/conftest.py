# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from links.links_bench import Bench, Caller, Machine, bench


@pytest.fixture(autouse=True)
def _only_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("network namespaces with cards are made by root only")


@pytest.fixture(scope="session")
def caller(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Caller]:
    running = Caller(tmp_path_factory.mktemp("caller"))
    yield running
    running.close()


@pytest.fixture
def wired(caller: Caller, tmp_path: Path) -> t.Iterator[tuple[Machine, Machine]]:
    """Two machines and two cables: eth1 to eth1, eth2 to eth2. The near machine's cards are down, the far one's are up."""
    with bench(caller, tmp_path) as here:
        near, far = here.machine(), here.machine()
        for number in (1, 2):
            here.cable(
                near, f"eth{number}", f"02:00:00:00:01:0{number}", far, f"eth{number}", f"02:00:00:00:02:0{number}"
            )
            far.ip("link", "set", f"eth{number}", "up")
        yield near, far


@pytest.fixture
def empty_bench(caller: Caller, tmp_path: Path) -> t.Iterator[Bench]:
    with bench(caller, tmp_path) as here:
        yield here
