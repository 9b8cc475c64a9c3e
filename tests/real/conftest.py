# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Import path and ground shared by the tests that use real servers, namespaces and playbooks."""

from __future__ import annotations

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
COLLECTIONS = REPOSITORY / "playbooks" / "collections"

# ansible_collections.lab.multidevice, and the fixtures that lie beside this file.
for folder in (str(COLLECTIONS), str(HERE)):
    if folder not in sys.path:
        sys.path.insert(0, folder)


def pytest_configure() -> None:
    from ansible_collections.lab.multidevice.tests.unit import hypothesis_profile

    hypothesis_profile.load()


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    return REPOSITORY
