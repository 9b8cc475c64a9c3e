# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import answers

FACTS = {"ansible_facts": {"multidevice_results_dir": "/root/.ssh"}, "add_host": {"host_name": "mine"}}
PRESENT = {"ip": answers.address, "attach": answers.command}


def deep(levels: int) -> list[t.Any]:
    value: list[t.Any] = []
    for _level in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("answer", "promised", "left"),
    [
        ({"changed": True, **FACTS}, {}, {"changed": True}),
        ({}, {}, {"changed": False}),
        ({"changed": False, "_ansible_no_log": True, "invocation": {}, "diff": {}}, {}, {"changed": False}),
        ({"changed": True, "ip": "192.0.2.1", **FACTS}, {}, {"changed": True}),
        (
            {"changed": True, "ip": "192.0.2.1", "attach": ["python3", "-c", "x"], "scripts": []},
            PRESENT,
            {"changed": True, "ip": "192.0.2.1", "attach": ["python3", "-c", "x"]},
        ),
        ({"ip": "2001:DB8::0:1"}, PRESENT, {"changed": False, "ip": "2001:db8::1"}),
        ({"ip": ""}, PRESENT, {"changed": False, "ip": ""}),
        ({"failed": True, "msg": "a\x1b[2Jb\n\tc"}, {}, {"changed": False, "failed": True, "msg": "a\ufffd[2Jb\n\tc"}),
        ({"msg": "x" * 30000}, {}, {"changed": False, "msg": "x" * answers.TEXT_LIMIT}),
        ({"rc": 1, "module_stderr": "x"}, {}, {"changed": False}),
        ({"failed": True, "msg": "no", "exception": object()}, {}, {"changed": False, "failed": True, "msg": "no"}),
        (
            {"warnings": ["old", types.SimpleNamespace(event=types.SimpleNamespace(msg="new"))]},
            {},
            {"changed": False, "warnings": ["old", "new"]},
        ),
        (
            {"failed": True, "rc": 1, "module_stderr": "no python", "ansible_facts": {}},
            {},
            {"changed": False, "failed": True, "rc": 1, "module_stderr": "no python"},
        ),
        ({"warnings": ["w" * 600] * 30}, {}, {"changed": False, "warnings": ["w" * 500] * 20}),
        ({"failed": True, "rc": -(2**31)}, {}, {"changed": False, "failed": True, "rc": -(2**31)}),
        ({"attach": ["python3"]}, PRESENT, {"changed": False, "attach": ["python3"]}),
        ({"attach": ["x"] * 99}, PRESENT, {"changed": False, "attach": ["x"] * 99}),
        ({"devices": {"a": [1]}}, {"devices": answers.data}, {"changed": False, "devices": {"a": [1]}}),
    ],
)
def test_only_what_was_promised_is_let_in(
    answer: dict[str, t.Any], promised: dict[str, answers.Check], left: dict[str, t.Any]
) -> None:
    assert answers.let_in("server-1", answer, promised) == left


@pytest.mark.parametrize(
    ("key", "value", "check", "what"),
    [
        ("changed", "yes", answers.flag, "true or false"),
        ("changed", 1, answers.flag, "true or false"),
        ("failed", "no", answers.flag, "true or false"),
        ("msg", ["x"], answers.text, "a text"),
        ("warnings", "x", answers.warnings, "a list of sentences"),
        ("warnings", [1], answers.warnings, "a text"),
        ("ip", "192.0.2.1\n192.0.2.2 forged", answers.address, "an address"),
        ("ip", "fe80::1%a\nb", answers.address, "an address"),
        ("ip", "server", answers.address, "an address"),
        ("ip", 3232235777, answers.address, "an address"),
        ("attach", "rm -rf /", answers.command, "a command"),
        ("attach", [], answers.command, "a command"),
        ("attach", ["a\0b"], answers.command, "a command"),
        ("attach", ["a", 1], answers.command, "a command"),
        ("attach", ["x"] * 100, answers.command, "a command"),
        ("attach", ["x" * (answers.COMMAND_LIMIT + 1)], answers.command, "a command"),
        ("devices", "x" * answers.DATA_LIMIT, answers.data, f"at most {answers.DATA_LIMIT} bytes"),
        ("devices", deep(100000), answers.data, "plain data"),
    ],
)
def test_what_is_not_as_promised_is_refused(key: str, value: t.Any, check: answers.Check, what: str) -> None:
    with pytest.raises(NodeError) as refused:
        answers.let_in("server-1", {key: value}, {key: check})
    assert str(refused.value) == f"server-1 answers with {key} that is not {what}: this is not the module's answer"


@pytest.mark.parametrize("code", [True, 2**31 + 1, "1"])
def test_an_exit_code_is_a_number(code: t.Any) -> None:
    with pytest.raises(NodeError, match="rc that is not a number"):
        answers.let_in("server-1", {"failed": True, "rc": code}, {})
