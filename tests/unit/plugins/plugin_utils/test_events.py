# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import asyncio
import json
import typing as t

import pytest

pytest.importorskip("redis")

from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _events
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._questions import Questions
from hypothesis import given
from hypothesis import strategies as st

Message = dict[str, t.Any]

SCRIPT = {
    "id": "test-x",
    "name": "x",
    "kind": "test",
    "state": "ended",
    "exit_code": -15,
    "started": 1.5,
    "finished": None,
    "timed_out": False,
    "stopped": True,
    "note": None,
}
EVENTS: dict[str, Message] = {
    "script": {"script": SCRIPT, "tail": "why"},
    "phase": {"phase": "test", "state": "failed", "script": "test-x", "exit_code": 3, "text": "it failed", "tail": ""},
    "died": {"script": "daemon-x", "exit_code": 1, "text": "it died", "tail": ""},
    "stopped": {"took": 0.25},
    "ask": {"number": 1, "asked": 7, "question": {"what": "barrier"}},
}


def event(what: str, **more: t.Any) -> Message:
    return {"seq": 1, "event": what, "at": 1767225600.5, **EVENTS.get(what, {}), **more}


@pytest.mark.parametrize("what", sorted(EVENTS))
def test_what_supervisors_say_is_let_in_as_it_is(what: str) -> None:
    assert _events.checked(event(what)) == event(what)
    assert _events.checked(event(what, forged={"x": 1})) == event(what)


def test_what_need_not_be_there() -> None:
    assert _events.checked(event("script", ready=True))["ready"] is True
    assert "ready" not in _events.checked(event("script"))
    assert _events.checked(event("phase", script=None, exit_code=None, text=None))["text"] is None


@pytest.mark.parametrize(
    "forged",
    [
        event("left"),
        event("results_lost"),
        event("release", data="finish"),
        event(""),
        {**event("stopped"), "event": ["stopped"]},
        {"seq": 1, "at": 1.0},
        event("stopped", seq=-1),
        event("stopped", seq=True),
        event("stopped", seq="1"),
        event("stopped", seq=2**60),
        event("stopped", at=float("nan")),
        event("stopped", at=10**400),
        event("stopped", took="long"),
        event("died", script="../../../etc"),
        event("died", script="a/b"),
        event("died", script="a\nb"),
        event("died", script="x" * 300),
        event("died", exit_code=2**40),
        event("died", text=["x"]),
        event("phase", phase="setup"),
        event("phase", state="ready"),
        event("script", script=None),
        event("script", script={**SCRIPT, "kind": "stranger"}),
        event("script", script={**SCRIPT, "state": "gone"}),
        event("script", script={**SCRIPT, "id": "test-x/../../y"}),
        event("script", script={**SCRIPT, "stopped": "yes"}),
        event("script", script={name: value for name, value in SCRIPT.items() if name != "id"}),
        event("script", ready="yes"),
    ],
)
def test_what_no_supervisor_says_is_refused(forged: Message) -> None:
    with pytest.raises((ValueError, KeyError)):
        _events.checked(forged)


def test_texts_are_cut_and_move_no_cursor() -> None:
    told = _events.checked(event("died", text="a\x1b[2J\ud800\u202e\n\tb" + "x" * 30000))
    assert told["text"].startswith("a\ufffd[2J\ufffd\ufffd\n\tb") and len(told["text"]) == _events.TEXT_LIMIT
    json.dumps(told, ensure_ascii=False).encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["seq", "event", "at", "script", "phase", "state", "text", "tail", "took"]) | st.text(),
                inner,
            )
        ),
    )
)
def test_whatever_comes_is_an_event_or_refused(said: t.Any) -> None:
    message = said if isinstance(said, dict) else {"event": said}
    with pytest.raises((KeyError, ValueError)):
        _events.checked(message)
        raise ValueError("it was one")


class Asked:
    """A connection that keeps what is sent through it."""

    job_id, node = "s.1.1", "client-1"

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.mark.parametrize(
    "question",
    [
        None,
        {},
        {"what": "sudo"},
        {"what": ["send"]},
        {"what": "send"},
        {"what": "receive", "key": "k", "timeout": float("nan")},
        {"what": "receive", "key": "k", "timeout": float("inf")},
        {"what": "receive", "key": "k", "timeout": -1},
        {"what": "receive", "key": "k", "timeout": "soon"},
        {"what": "barrier", "name": []},
    ],
)
def test_whatever_a_script_asks_is_answered(question: t.Any) -> None:
    async def ask() -> list[Message]:
        asked, questions = Asked(), Questions("s.1", t.cast(t.Any, None))
        questions.take(t.cast(t.Any, asked), {"number": 3, "asked": 9, "question": question})
        for _turn in range(1000):
            if asked.sent:
                break
            await asyncio.sleep(0.01)
        questions.close()
        return asked.sent

    (answer,) = asyncio.run(ask())
    assert (answer["number"], answer["asked"], answer["answer"]["ok"]) == (3, 9, False)
    assert answer["answer"]["text"]
