# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lab.multidevice.plugins.filter.scripts_of_phase import scripts_of_phase

SCRIPTS = [
    {"name": name, "kind": kind}
    for name, kind in [
        ("t1", "test"),
        ("d1", "daemon"),
        ("s1", "setup"),
        ("m1", "monitor"),
        ("d2", "daemon"),
        ("t2", "test"),
    ]
]


@pytest.mark.parametrize(("phase", "expected"), [("daemon", ["s1", "d1", "d2"]), ("test", ["m1", "t1", "t2"])])
def test_kind_after_kind(phase: str, expected: list[str]) -> None:
    assert [script["name"] for script in scripts_of_phase(SCRIPTS, phase)] == expected


def test_nothing_to_pick_from() -> None:
    assert scripts_of_phase([], "daemon") == []


@pytest.mark.parametrize(
    ("script", "phase", "message"),
    [
        (
            {"name": "x", "kind": "tests"},
            "test",
            "script 'x': the kind 'tests' is none of setup, daemon, monitor, test.",
        ),
        ({"name": "x"}, "test", "script 'x': the kind None is none of setup, daemon, monitor, test."),
        ({"name": "x", "kind": "test"}, "tests", "'tests' is no phase: they are daemon and test."),
    ],
)
def test_what_cannot_be_meant_is_refused(script: dict[str, t.Any], phase: str, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        scripts_of_phase([script], phase)
    assert caught.value.message == message
