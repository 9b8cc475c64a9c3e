# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words that stand in the commands for Redis are those of the vocabulary."""

from __future__ import annotations

import enum
import re

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination import _lua
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import OWN_ERRORS
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    Barrier,
    EventName,
    ReasonKind,
    State,
    Verdict,
)

LUA = "\n".join([*_lua.INCLUDES.values(), *(code for _includes, code in _lua.COMMANDS.values())])
# An argument may hold brackets with arguments of their own.
ARGUMENT = r"(?:[^(),\n]|\([^()\n]*\))+"


@pytest.mark.parametrize(
    ("pattern", "vocabulary", "at_least"),
    [
        (rf"\b(?:event|end_job)\({ARGUMENT}, '(\w+)'", EventName, 8),
        (rf"\bset_state\({ARGUMENT}, '(\w+)'", State, 2),
        (rf"\badvances\({ARGUMENT}, '(\w+)'", State, 1),
        (r"\bnode\.state, node\.times = '(\w+)'", State, 1),
        (r"\bkind = '(\w+)'", ReasonKind, 2),
        (r"\bend_run\('(\w+)'", Verdict, 2),
        (r"/barrier/(\w+)'", Barrier, 1),
    ],
)
def test_a_word_is_in_the_vocabulary(pattern: str, vocabulary: type[enum.Enum], at_least: int) -> None:
    words = set(re.findall(pattern, LUA))
    assert len(words) >= at_least, "the pattern does not fit what is written any more"
    assert words <= {word.value for word in vocabulary}


def test_an_error_of_a_command_is_told_from_those_of_the_server() -> None:
    assert set(re.findall(r"error_reply\('([A-Z]+)", LUA)) == set(OWN_ERRORS)
