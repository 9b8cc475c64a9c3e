# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Until when a run is followed."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress import _follow

from coordination.conftest import Run
from support.plans import one_server_and

TURNS = 20


@pytest.fixture
def aborted(register: t.Callable[..., Run]) -> Run:
    """A run that nobody has closed: its controller was killed."""
    run = register(one_server_and(1))
    run.coordinator.nodes.report(run.job(1), "abort", make_reason("the disk is gone"))
    return run


@pytest.fixture
def turns(aborted: Run, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When those who follow have looked for more events; after some turns they are stopped."""
    looked: list[float] = []
    look = aborted.coordinator.history.follow

    def counted(*arguments: t.Any) -> t.Any:
        looked.append(time.monotonic())
        if len(looked) == TURNS:
            pytest.fail("the run is followed without an end")
        return look(*arguments)

    monkeypatch.setattr(aborted.coordinator.history, "follow", counted)
    monkeypatch.setattr(_follow, "SLICE", 0.1)
    return looked


def test_a_run_that_was_aborted_long_ago_is_told_at_once(
    aborted: Run, turns: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_follow, "CLEAN_UP", 0)
    lines = [text for text, _outcome in _follow.follow(aborted.coordinator, aborted.id)]
    assert "the disk is gone" in lines[-1]
    assert len(turns) == 1


def test_those_who_clean_up_are_waited_for(aborted: Run, turns: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_follow, "CLEAN_UP", 0.5)
    verdict = aborted.coordinator.history.info(aborted.id)["finished"]
    lines = list(_follow.follow(aborted.coordinator, aborted.id))
    assert aborted.coordinator.history.now() - verdict > 0.5
    assert "the disk is gone" in lines[-1][0]
