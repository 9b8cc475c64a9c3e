# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The door for what modules say on test machines. A machine's Python is its own, so its answer can say anything.

Ansible takes more from an answer than a module means to give: facts, which outrank the variables of the play, hosts, how
to show it. So only the keys that were promised are let in, each of its type and of a bounded size.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._names import check_address

Answer = dict[str, t.Any]
Check = t.Callable[[t.Any], t.Any]

TEXT_LIMIT = 20000
DATA_LIMIT = 1048576
COMMAND_LIMIT = 262144
WARNINGS = 20
# What Ansible itself says of a module that has failed to answer. Its `exception` is an object of its own, which no machine
# is to make.
OF_A_FAILURE = ("module_stdout", "module_stderr")


def text(value: t.Any) -> str:
    """A text that can be shown: cut, and without what would move a terminal's cursor."""
    if not isinstance(value, str):
        raise ValueError("a text")
    return _format.printable(value[:TEXT_LIMIT], keep="\n\t")


def flag(value: t.Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def number(value: t.Any) -> int:
    """A whole number, such as an exit code."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**31:
        raise ValueError("a number")
    return value


def address(value: t.Any) -> str:
    """An address of a machine; empty where it has none."""
    if value == "":
        return ""
    try:
        return check_address(value)
    except InputError:
        raise ValueError("an address") from None


def command(value: t.Any) -> list[str]:
    """A command, which is run on the very machine that gave it."""
    if not isinstance(value, list) or not 0 < len(value) < 100:
        raise ValueError("a command")
    if not all(isinstance(word, str) and "\0" not in word for word in value) or sum(map(len, value)) > COMMAND_LIMIT:
        raise ValueError("a command")
    return value


def data(value: t.Any) -> t.Any:
    """Anything that is not too much."""
    try:
        size = len(json.dumps(value))
    except (RecursionError, TypeError, ValueError):
        raise ValueError("plain data") from None
    if size > DATA_LIMIT:
        raise ValueError(f"at most {DATA_LIMIT} bytes")
    return value


def warnings(value: t.Any) -> list[str]:
    """A few sentences. Newer versions of ansible-core have made objects of them by now."""
    if not isinstance(value, list):
        raise ValueError("a list of sentences")
    sentences = [getattr(getattr(each, "event", None), "msg", each) for each in value[:WARNINGS]]
    return [text(each)[:500] for each in sentences]


def let_in(who: str, answer: t.Mapping[str, t.Any], promised: t.Mapping[str, Check]) -> Answer:
    """What of a module's answer can be used: ``changed``, ``failed`` and ``msg``, and what was promised.

    :param who: the machine, for messages.
    :raises NodeError: something is there, and not what was promised.
    """
    checks: dict[str, Check] = {"changed": flag, "failed": flag, "msg": text, "warnings": warnings, **promised}
    if answer.get("failed"):
        checks.update({"rc": number, **dict.fromkeys(OF_A_FAILURE, text)})
    result: Answer = {"changed": False}
    for key, check in checks.items():
        if answer.get(key) is None:
            continue
        try:
            result[key] = check(answer[key])
        except ValueError as expected:
            raise NodeError(
                f"{who} answers with {key} that is not {expected}: this is not the module's answer"
            ) from None
    return result
