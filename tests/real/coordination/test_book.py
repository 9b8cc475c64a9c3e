# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reserving machines: all or none, first come first served, nothing lost with a dead holder."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from coordination.plans import make_plan
from coordination.redis_server import RedisServer

MACHINES = ["a", "b", "c", "d"]
LONG = 600.0


def register(coordinator: Coordinator, machines: t.Sequence[str], **options: t.Any) -> str:
    """Register a run of these machines; returns its id."""
    plan = make_plan([["client"] for _ in machines])
    for node, machine in zip(plan["runs"][0]["nodes"], machines, strict=True):
        node["node"] = machine
    coordinator.register(plan, **options)
    return str(plan["runs"][0]["cluster_id"])


def reserve(coordinator: Coordinator, run: str, lease: float = LONG) -> list[tuple[str, str, bool]]:
    """What is in the way: machine, run, and whether that run holds it rather than waits for it."""
    blockers, _waited = coordinator.book.reserve(run, lease=lease)
    return [(blocker.machine, blocker.run, blocker.since is not None) for blocker in blockers]


@pytest.fixture
def book_of(coordinator: Coordinator) -> t.Iterator[Coordinator]:
    yield coordinator
    for machine, run in coordinator.book.holders().items():
        coordinator.book.release(run, machine)
    for run in coordinator.book.waiting():
        coordinator.book.withdraw(run)


def test_a_run_gets_all_of_its_machines_or_none(book_of: Coordinator) -> None:
    first, second = register(book_of, ["a", "b"]), register(book_of, ["b", "c"])
    assert reserve(book_of, first) == []
    assert reserve(book_of, first) == []
    assert reserve(book_of, second) == [("b", first, True)]
    assert book_of.book.holders() == {"a": first, "b": first}
    assert book_of.book.release(first, "a")
    assert not book_of.book.release(first, "a")
    assert not book_of.book.release(second, "b")
    assert reserve(book_of, second) == [("b", first, True)]
    assert book_of.book.release(first, "b")
    assert reserve(book_of, second) == []
    assert book_of.book.holders() == {"b": second, "c": second}


def test_who_comes_first_keeps_what_it_waits_for(book_of: Coordinator) -> None:
    holder, early, late = (register(book_of, machines) for machines in (["a"], ["a", "b"], ["b"]))
    other = register(book_of, ["c"])
    assert reserve(book_of, holder) == []
    assert reserve(book_of, early) == [("a", holder, True)]
    assert reserve(book_of, late) == [("b", early, False)]
    assert reserve(book_of, other) == []
    book_of.book.withdraw(early)
    assert reserve(book_of, late) == []


def test_what_a_dead_controller_holds_or_waits_for_becomes_free(book_of: Coordinator) -> None:
    holder, waiter, last = (register(book_of, machines) for machines in (["a"], ["a", "b"], ["a", "b"]))
    assert reserve(book_of, holder, lease=0.4) == []
    assert reserve(book_of, waiter, lease=0.2) == [("a", holder, True)]
    begin = time.monotonic()
    blockers, waited = book_of.book.reserve(last, lease=0.6, slice_seconds=20)
    assert blockers == []
    assert 0.2 <= waited <= time.monotonic() - begin + 0.1
    assert time.monotonic() - begin < 10
    assert book_of.book.holders() == {"a": last, "b": last}


def test_machines_of_a_run_that_is_gone_become_free_with_its_controller(book_of: Coordinator) -> None:
    removed, expired = register(book_of, ["a", "b"]), register(book_of, ["c"], retention=0.2)
    assert reserve(book_of, removed, lease=0.3) == reserve(book_of, expired, lease=0.3) == []
    assert book_of.remove(removed)
    assert book_of.book.release(removed, "a")
    assert book_of.book.holders() == {"b": removed, "c": expired}
    time.sleep(0.4)
    book_of.queues.turn()
    assert book_of.book.holders() == {}


def test_a_lease_that_is_renewed_lasts(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, holder, lease=0.3) == []
    for _ in range(4):
        time.sleep(0.15)
        book_of.book.renew(holder, 0.3)
    assert reserve(book_of, waiter) == [("a", holder, True)]


def test_a_waiter_is_woken_by_the_release(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, holder) == []
    releasing = threading.Timer(0.3, lambda: book_of.book.release(holder, "a"))
    releasing.start()
    begin = time.monotonic()
    blockers, _waited = book_of.book.reserve(waiter, lease=LONG, slice_seconds=30)
    releasing.join()
    assert blockers == []
    assert time.monotonic() - begin < 15


def test_an_unknown_run_is_refused(book_of: Coordinator) -> None:
    with pytest.raises(CoordinationError, match="is not known to Redis"):
        book_of.book.reserve("20260131T120000-none.1", lease=LONG)


def test_a_run_that_is_aborted_while_it_waits_waits_no_longer(book_of: Coordinator) -> None:
    holder, waiter, late = register(book_of, ["a"]), register(book_of, ["a", "b"]), register(book_of, ["b"])
    assert reserve(book_of, holder) == []
    assert reserve(book_of, waiter) == [("a", holder, True)]
    book_of.abort(waiter, {"text": "an operator has other plans"})
    with pytest.raises(CoordinationError, match=f"run {waiter} is over: an operator has other plans"):
        reserve(book_of, waiter)
    assert book_of.book.waiting() == []
    assert reserve(book_of, late) == []
    book_of.abort(holder, {"text": "enough"})
    assert reserve(book_of, holder) == []


def test_localhost_is_nobodys(book_of: Coordinator) -> None:
    first, second = register(book_of, ["localhost"]), register(book_of, ["localhost"])
    assert reserve(book_of, first) == reserve(book_of, second) == []
    assert book_of.book.holders() == {}


class Reservations(RuleBasedStateMachine):
    """Random reserving, releasing and withdrawing, beside a model that holds a line of waiters and a map of holders."""

    coordinator: t.ClassVar[Coordinator]

    def __init__(self) -> None:
        super().__init__()
        self.needs: dict[str, list[str]] = {}
        self.line: list[str] = []
        self.held: dict[str, str] = {}

    @rule(machines=st.lists(st.sampled_from(MACHINES), min_size=1, unique=True))
    def submit(self, machines: list[str]) -> None:
        self.needs[register(self.coordinator, machines)] = machines

    @precondition(lambda self: self.needs)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.needs)))
        expected = self.blockers(run)
        assert reserve(self.coordinator, run) == expected
        if not expected and run not in self.held.values():
            self.held.update(dict.fromkeys(self.needs[run], run))
            self.line = [other for other in self.line if other != run]

    def blockers(self, run: str) -> list[tuple[str, str, bool]]:
        if run in self.held.values():
            return []
        if run not in self.line:
            self.line.append(run)
        before = self.line[: self.line.index(run)]
        found = []
        for machine in self.needs[run]:
            ahead = next((other for other in before if machine in self.needs[other]), None)
            if machine in self.held:
                found.append((machine, self.held[machine], True))
            elif ahead:
                found.append((machine, ahead, False))
        return found

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        machine = data.draw(st.sampled_from(sorted(self.held)))
        run = self.held.pop(machine)
        assert self.coordinator.book.release(run, machine)
        if run not in self.held.values():
            # It has had its turn.
            del self.needs[run]

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.line))
        self.coordinator.book.withdraw(run)
        self.line.remove(run)
        del self.needs[run]

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.coordinator.book.holders() == self.held
        assert self.coordinator.book.waiting() == self.line

    def teardown(self) -> None:
        for machine, run in self.held.items():
            self.coordinator.book.release(run, machine)
        for run in self.line:
            self.coordinator.book.withdraw(run)


def test_random_interleavings(start_server: t.Callable[..., RedisServer]) -> None:
    Reservations.coordinator = Coordinator.connect(RedisSettings(url=start_server().url))
    run_state_machine_as_test(
        Reservations,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    Reservations.coordinator.close()
