# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest
from ansible_collections.lab.multidevice.tests.unit import hypothesis_profile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine


def test_a_failure_is_shown_in_time_with_its_example(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.MAX_SHRINKING_SECONDS == hypothesis_profile.SHRINKING_SECONDS
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", 0.5)
    calls = 0

    # So many values that it would take minutes until each of them is as small as can be.
    @settings(database=None)
    @given(st.lists(st.integers(0, 10**9), min_size=40, max_size=60))
    def fails(values: list[int]) -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.2)
        assert len(set(values)) < 10

    started = time.monotonic()
    with pytest.raises(AssertionError) as failure:
        fails()
    assert time.monotonic() - started < 30
    assert calls > 1
    said = "\n".join(failure.value.__notes__)
    assert "fails(\n    values=[" in said
    assert "@reproduce_failure(" in said


def test_what_failed_is_kept_for_the_next_time() -> None:
    profile = settings()
    assert profile.database is not None
    assert profile.deadline is None
