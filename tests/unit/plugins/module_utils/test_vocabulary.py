# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    Barrier,
    Phase,
    ReasonKind,
    Report,
    ScriptKind,
    State,
    make_reason,
)

KINDS = list(ScriptKind)


def test_words_are_written_as_they_are() -> None:
    assert f"{Barrier.START} {ScriptKind.TEST!s}" == "start test"
    assert json.dumps([State.ABORT, {Report.FAILED: ReasonKind.LOST}]) == '["abort", {"failed": "lost"}]'


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_found_by_its_folder_and_by_what_stands_before_a_name(kind: ScriptKind) -> None:
    assert ScriptKind.of_folder(kind.properties.folder) is kind
    assert [ScriptKind.of_prefix(prefix) for prefix in kind.properties.prefixes] == [kind] * len(
        kind.properties.prefixes
    )


def test_what_belongs_to_no_kind() -> None:
    assert ScriptKind.of_folder("test") is None
    assert ScriptKind.of_prefix("tests") is None


def test_no_two_kinds_could_be_confused() -> None:
    for names in (
        [kind.properties.folder for kind in KINDS],
        [prefix for kind in KINDS for prefix in kind.properties.prefixes],
        [file for kind in KINDS for file in kind.properties.program_files],
    ):
        assert len(set(names)) == len(names)
        assert all(names)


@pytest.mark.parametrize("phase", list(Phase))
def test_in_each_phase_some_kinds_come_first_and_some_do_not(phase: Phase) -> None:
    kinds = [kind.properties for kind in KINDS if kind.properties.phase is phase]
    assert {kind.comes_first for kind in kinds} == {True, False}
    assert [kind.comes_first for kind in kinds] == sorted((kind.comes_first for kind in kinds), reverse=True)


def test_a_node_never_goes_back() -> None:
    way = [State.REGISTERED, State.WRITE_STATE, State.START, State.STARTED, State.READY, State.FINISH, State.ABORT]
    assert [state.rank for state in way] == list(range(len(State)))


@pytest.mark.parametrize("barrier", list(Barrier))
def test_whoever_has_passed_a_barrier_is_in_the_state_of_its_name(barrier: Barrier) -> None:
    assert State(barrier).rank > State.WRITE_STATE.rank


@pytest.mark.parametrize(
    ("report", "state"),
    [("started", "started"), ("finished", "finish"), ("failed", "abort"), ("abort", "abort")],
)
def test_what_is_recorded_of_a_report(report: str, state: str) -> None:
    assert Report(report).recorded is State(state)


def test_a_reason_has_all_of_its_parts_and_plain_words() -> None:
    assert make_reason("no") == {"node": None, "script": None, "exit_code": None, "text": "no", "kind": "abort"}
    why = make_reason("3", kind=ReasonKind.FAILED, node="a", script="test-x", exit_code=3)
    assert why == {"node": "a", "script": "test-x", "exit_code": 3, "text": "3", "kind": "failed"}
    assert not isinstance(why["kind"], ReasonKind)
