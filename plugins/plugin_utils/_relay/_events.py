# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The door for what supervisors say. They run on machines that others are root on, so each can say anything."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    EventName,
    Phase,
    PhaseState,
    ScriptKind,
    ScriptState,
)

ASK = "ask"
TEXT_LIMIT = 20000
# It names a folder, too.
_SCRIPT_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")

Check = t.Callable[[t.Any], t.Any]


def checked(message: Message) -> Message:
    """A supervisor's event with all that it has to have, each of its type, and nothing else.

    :raises ValueError: it is none that a supervisor has.
    """
    what = message.get("event")
    shape = _SHAPES.get(what) if isinstance(what, str) else None
    if shape is None:
        raise ValueError(f"no event {_format.printable(str(what)[:80])!r}")
    return {"event": what, **_fields(message, {"seq": _count, "at": _number, **shape})}


def _fields(given: t.Any, shape: t.Mapping[str, Check]) -> Message:
    if not isinstance(given, dict):
        raise ValueError("no mapping")
    return {name: check(given[name]) for name, check in shape.items() if name in given or check not in _OPTIONAL}


def _count(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"no number: {str(value)[:80]!r}")
    return value


def _number(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e15:
        raise ValueError(f"no time: {str(value)[:80]!r}")
    return value


def _code(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**31:
        raise ValueError(f"no exit code: {str(value)[:80]!r}")
    return value


def _flag(value: t.Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"neither true nor false: {str(value)[:80]!r}")
    return value


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"no text: {str(value)[:80]!r}")
    return _format.printable(value[:TEXT_LIMIT], keep="\n\t")


def _script_id(value: t.Any) -> str:
    if not isinstance(value, str) or not _SCRIPT_ID.fullmatch(value) or ".." in value:
        raise ValueError(f"no script: {str(value)[:80]!r}")
    return value


def _word_of(words: type[ScriptKind | ScriptState | Phase | PhaseState]) -> Check:
    def check(value: t.Any) -> str:
        return str(words(value))

    return check


def _or_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _data(value: t.Any) -> t.Any:
    return value


def _ready(value: t.Any) -> bool:
    return _flag(value)


# What an event need not have.
_OPTIONAL = {_ready}
_SCRIPT: dict[str, Check] = {
    "id": _script_id,
    "name": _text,
    "kind": _word_of(ScriptKind),
    "state": _word_of(ScriptState),
    "exit_code": _or_none(_code),
    "started": _or_none(_number),
    "finished": _or_none(_number),
    "timed_out": _flag,
    "stopped": _flag,
    "note": _or_none(_text),
}
_SHAPES: dict[str, dict[str, Check]] = {
    EventName.SCRIPT: {"script": lambda value: _fields(value, _SCRIPT), "tail": _text, "ready": _ready},
    EventName.PHASE: {
        "phase": _word_of(Phase),
        "state": _word_of(PhaseState),
        "script": _or_none(_script_id),
        "exit_code": _or_none(_code),
        "text": _or_none(_text),
        "tail": _text,
    },
    EventName.DIED: {"script": _script_id, "exit_code": _or_none(_code), "text": _text, "tail": _text},
    EventName.WARNING: {"text": _text},
    EventName.STOPPED: {"took": _number},
    # What a script asks is answered, or refused, when it is looked at: its machine is not to blame.
    ASK: {"number": _count, "asked": _data, "question": _data},
}
