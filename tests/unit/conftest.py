# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest


# Last, because ansible-test finds the collection only after another plugin has been configured.
@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    from ansible_collections.lab.multidevice.tests.unit import hypothesis_profile

    hypothesis_profile.load()
