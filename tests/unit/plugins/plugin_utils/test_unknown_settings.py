# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.lab.multidevice.plugins.filter.unknown_settings import SETTINGS, unknown_settings


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (sorted(SETTINGS), []),
        (
            ["multidevice_check_link"],
            ["there is no variable multidevice_check_link; did you mean multidevice_check_links?"],
        ),
        (
            ["multidevice_redis_uri"],
            ["there is no variable multidevice_redis_uri; did you mean multidevice_redis_url?"],
        ),
        (
            ["multidevice_quality"],
            ["there is no variable multidevice_quality; docs/reference/variables.md lists all of them."],
        ),
    ],
)
def test_a_variable_that_nobody_reads(names: list[str], expected: list[str]) -> None:
    assert unknown_settings(names) == expected
