# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all tests share that use real servers, namespaces and playbooks."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.lab.multidevice.tests.unit import hypothesis_profile

# Its assertions say as much as those of the tests.
pytest.register_assert_rewrite("support")

from support.repository import REPOSITORY


def pytest_configure() -> None:
    hypothesis_profile.load()


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    return REPOSITORY
