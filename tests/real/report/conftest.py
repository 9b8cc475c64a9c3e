# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tarfile
import typing as t
from pathlib import Path

import pytest

from report.browser import Browser, executable
from support.sites import Site, new_site

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def browser() -> t.Iterator[Browser]:
    program = executable()
    if program is None:
        pytest.skip("shows pages in Chromium, which is not installed (Debian: chromium)")
    shown = Browser(program)
    try:
        yield shown
    finally:
        shown.close()


@pytest.fixture
def sample(tmp_path: Path) -> t.Callable[[str], Path]:
    """A copy of what a real run of a job in site/ has left, but for the page: `good`, `fails`, `lost` or `six`.

    Those in recorded/ hold what was in Redis too.
    """

    def unpack(name: str) -> Path:
        with tarfile.open(SAMPLES / f"{name}.tar.gz") as packed:
            # The first releases of Python 3.11, such as Debian's, have no filters.
            packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(tmp_path)
        return tmp_path / Path(name).name

    return unpack


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """One server and two clients, for all tests that do not break them."""
    if os.geteuid() != 0:
        pytest.skip("runs jobs in a lab of namespaces, as only root can")
    with new_site(tmp_path_factory.mktemp("site")) as here:
        yield here
