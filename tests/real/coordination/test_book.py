# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reserving machines: all or none, first come first served, nothing lost with a dead holder."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.book import Blocker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.plans import make_plan
from support.redis_server import RedisServer
from support.waiting import wait_until

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


def client_of(coordinator: Coordinator) -> t.Any:
    return coordinator._client.redis


@pytest.fixture
def book_of(coordinator: Coordinator) -> t.Iterator[Coordinator]:
    yield coordinator
    for machine, run in coordinator.book.holders().items():
        coordinator.book.release(run, machine)
    for run in coordinator.book.waiting():
        coordinator.book.withdraw(run)


def test_a_run_gets_all_of_its_machines_or_none(book_of: Coordinator) -> None:
    first, second = register(book_of, ["a", "b"]), register(book_of, ["b", "c"])
    assert book_of.book.reserve(first, lease=LONG) == ([], 0)
    assert book_of.book.reserve(first, lease=LONG) == ([], 0)
    assert reserve(book_of, second) == [("b", first, True)]
    assert book_of.book.holders() == {"a": first, "b": first}
    assert (book_of.book.holder("a"), book_of.book.holder("c")) == (first, None)
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


def end_lease(coordinator: Coordinator, run: str) -> None:
    """As when a controller has not been heard from for as long as its lease allows; others were."""
    client_of(coordinator).zadd("sched/reservation_leases", {run: 1})


def lease_left(coordinator: Coordinator, run: str) -> float | None:
    """How many seconds are left of a controller's lease."""
    end = client_of(coordinator).zscore("sched/reservation_leases", run)
    return None if end is None else end / 1000 - coordinator.now()


def test_what_a_dead_controller_holds_or_waits_for_becomes_free(book_of: Coordinator) -> None:
    holder, waiter, last = (register(book_of, machines) for machines in (["a"], ["a", "b"], ["a", "b"]))
    assert reserve(book_of, holder) == []
    assert reserve(book_of, waiter) == [("a", holder, True)]
    assert reserve(book_of, last) == [("a", holder, True), ("b", waiter, False)]
    end_lease(book_of, holder)
    assert reserve(book_of, last) == [("a", waiter, False), ("b", waiter, False)]
    end_lease(book_of, waiter)
    assert reserve(book_of, last) == []
    assert book_of.book.holders() == {"a": last, "b": last}
    assert book_of.book.waiting() == []
    assert lease_left(book_of, holder) is lease_left(book_of, waiter) is None


def test_a_lease_that_ends_is_seen_by_who_waits_without_a_word_of_anybody(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, holder, lease=0.5) == []
    blockers, waited = book_of.book.reserve(waiter, lease=1.2, slice_seconds=60)
    assert blockers == []
    assert waited < 30


@pytest.mark.parametrize(("lease", "seconds", "longest"), [(0.3, 0.25, 100), (LONG, 0.05, 50)])
def test_who_waits_looks_three_times_in_its_lease_and_at_the_end_of_its_slice(
    book_of: Coordinator, lease: float, seconds: float, longest: int
) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, holder) == []
    blocks: list[int] = []
    with client_of(book_of).monitor() as asked:
        assert book_of.book.reserve(waiter, lease=lease, slice_seconds=seconds)[0] != []
        client_of(book_of).echo("over")
        while (command := asked.next_command()["command"]) != "ECHO over":
            if command.startswith("XREAD BLOCK "):
                blocks.append(int(command.split()[2]))
    assert 0 < max(blocks) <= longest


def test_who_waits_does_so_for_its_slice_and_in_redis(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, holder) == []
    client_of(book_of).config_resetstat()
    begin = time.monotonic()
    blockers, waited = book_of.book.reserve(waiter, lease=LONG, slice_seconds=0.3)
    assert time.monotonic() - begin >= 0.3
    assert waited > 0.2
    assert [blocker.run for blocker in blockers] == [holder]
    assert client_of(book_of).info("commandstats")["cmdstat_xread"]["calls"] < 5


def test_a_run_that_waits_is_told_since_when(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert book_of.book.reserve(holder, lease=LONG) == ([], 0)
    blockers, waited = book_of.book.reserve(waiter, lease=LONG)
    assert waited == 0
    since = blockers[0].since
    assert since is not None and abs(since - book_of.now()) < 60
    at = time.strftime("%H:%M:%S", time.localtime(since))
    assert str(blockers[0]) == f"a is held by run {holder} since {at}"
    client_of(book_of).hincrby(f"sched/cluster/{waiter}", "asked", -3000_000)
    client_of(book_of).hincrby(f"sched/cluster/{holder}/held", "a", -2000_000)
    blockers, waited = book_of.book.reserve(waiter, lease=LONG)
    assert 3000 <= waited < 3060
    assert blockers[0].since == since - 2000
    late, last = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, late) == reserve(book_of, last) == [("a", holder, True)]
    book_of.book.release(holder, "a")
    assert [str(blocker) for blocker in book_of.book.reserve(last, lease=LONG)[0]] == [
        f"run {waiter} waits for a already"
    ]
    blockers, waited = book_of.book.reserve(waiter, lease=LONG)
    assert blockers == [] and 3000 <= waited < 3060


def test_machines_of_a_run_that_is_gone_become_free_with_its_controller(book_of: Coordinator) -> None:
    removed, expired = register(book_of, ["a", "b"]), register(book_of, ["c"])
    assert reserve(book_of, removed) == reserve(book_of, expired) == []
    assert book_of.remove(removed)
    client_of(book_of).delete(*client_of(book_of).keys(f"sched/cluster/{expired}*"))
    assert book_of.book.release(removed, "a")
    assert book_of.book.holders() == {"b": removed, "c": expired}
    (blocker,), _waited = book_of.book.reserve(register(book_of, ["c"]), lease=LONG)
    assert blocker.run == expired and blocker.since == pytest.approx(book_of.now(), abs=60), "since when, nobody knows"
    book_of.book.withdraw(book_of.book.waiting()[0])
    end_lease(book_of, removed)
    end_lease(book_of, expired)
    book_of.queues.turn()
    assert book_of.book.holders() == {}


def test_a_lease_lasts_until_the_last_machine_is_released(book_of: Coordinator) -> None:
    there, removed = register(book_of, ["a", "b"]), register(book_of, ["c", "d"])
    assert reserve(book_of, there) == reserve(book_of, removed) == []
    assert book_of.remove(removed)
    for run, (first, second) in ((removed, "cd"), (there, "ab")):
        assert book_of.book.release(run, first)
        assert lease_left(book_of, run) is not None
        assert book_of.book.release(run, second)
        assert lease_left(book_of, run) is None
    assert client_of(book_of).keys("sched/cluster/*/held") == []


def test_a_lease_that_is_renewed_lasts(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, holder, lease=1000) == []
    assert reserve(book_of, waiter, lease=2000) == [("a", holder, True)]
    for run, seconds in ((holder, 1000), (waiter, 2000)):
        left = lease_left(book_of, run)
        assert left is not None and seconds - 60 < left <= seconds
        # Too late, but before anybody has noticed.
        end_lease(book_of, run)
        book_of.book.renew(run, seconds + 5000)
        left = lease_left(book_of, run)
        assert left is not None and seconds + 4940 < left <= seconds + 5000
    assert reserve(book_of, waiter, lease=3000) == [("a", holder, True)]
    left = lease_left(book_of, waiter)
    assert left is not None and 2940 < left <= 3000, "to ask is a sign of life too"
    assert reserve(book_of, holder, lease=4000) == []
    left = lease_left(book_of, holder)
    assert left is not None and 3940 < left <= 4000


def test_a_controller_that_was_given_up_is_not_revived(book_of: Coordinator) -> None:
    given_up, stranger = register(book_of, ["a"]), register(book_of, ["b"])
    assert reserve(book_of, given_up) == []
    end_lease(book_of, given_up)
    book_of.queues.turn()
    book_of.book.renew(given_up, LONG)
    book_of.book.renew(stranger, LONG)
    assert lease_left(book_of, given_up) is lease_left(book_of, stranger) is None
    assert book_of.book.holders() == {}


def test_a_waiter_is_woken_by_the_release(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a"])
    assert reserve(book_of, holder) == []
    assert asks_until_woken(book_of, waiter, lambda: book_of.book.release(holder, "a")) == []
    client = client_of(book_of)
    assert client.xrevrange("sched/releases", count=1)[0][1] == {"machine": "a", "run": holder}
    assert 80_000 < client.ttl("sched/releases") <= 86_400


@pytest.mark.parametrize("how", ["withdraws", "is aborted and asks again", "is removed"])
def test_a_waiter_is_woken_by_one_before_it_that_waits_no_longer(book_of: Coordinator, how: str) -> None:
    holder, before, waiter = (register(book_of, machines) for machines in (["a"], ["a", "b"], ["b"]))
    assert reserve(book_of, holder) == []
    assert reserve(book_of, before) == [("a", holder, True)]

    def make_way() -> None:
        if how == "withdraws":
            book_of.book.withdraw(before)
        elif how == "is removed":
            book_of.remove(before)
        else:
            book_of.abort(before, {"text": "enough"})
            with pytest.raises(CoordinationError, match="is over: enough"):
                reserve(book_of, before)

    assert asks_until_woken(book_of, waiter, make_way) == []
    assert book_of.book.waiting() == []


def asks_until_woken(coordinator: Coordinator, run: str, wake: t.Callable[[], object]) -> list[Blocker]:
    """What is in a run's way after something has happened while it waited, which has to wake it."""
    answers: list[list[Blocker]] = []
    asking = threading.Thread(
        target=lambda: answers.append(coordinator.book.reserve(run, lease=LONG, slice_seconds=60)[0])
    )

    def waits() -> bool:
        return bool(client_of(coordinator).info("clients")["blocked_clients"])

    asking.start()
    wait_until("a controller waits in Redis", waits)
    wake()
    # Redis lets it go on together with the change, so that this is no matter of time.
    assert not waits()
    asking.join(90)
    return answers[0]


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
    assert lease_left(book_of, waiter) is None
    assert reserve(book_of, late) == []
    book_of.abort(holder, {"text": "enough"})
    assert reserve(book_of, holder) == []


def test_withdrawing_takes_nothing_away(book_of: Coordinator) -> None:
    holder, waiter = register(book_of, ["a"]), register(book_of, ["a", "b"])
    assert reserve(book_of, holder) == []
    assert reserve(book_of, waiter) == [("a", holder, True)]
    book_of.book.withdraw(holder)
    assert lease_left(book_of, holder) is not None
    book_of.book.withdraw(waiter)
    assert lease_left(book_of, waiter) is None
    assert book_of.book.holders() == {"a": holder}


def test_what_a_run_holds_is_noted_no_longer_than_the_run(book_of: Coordinator) -> None:
    run = register(book_of, ["a", "b"], retention=1000)
    assert reserve(book_of, run) == []
    held = f"sched/cluster/{run}/held"
    assert set(client_of(book_of).hgetall(held)) == {"a", "b"}
    assert 900 < client_of(book_of).ttl(held) <= 1000


def test_localhost_is_nobodys(book_of: Coordinator) -> None:
    first, second = register(book_of, ["localhost"]), register(book_of, ["localhost"])
    for run in (first, second):
        assert book_of.book.reserve(run, lease=LONG) == ([], 0)
    assert book_of.book.holders() == {}
    assert lease_left(book_of, first) is lease_left(book_of, second) is None


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
            suppress_health_check=list(HealthCheck),
        ),
    )
    Reservations.coordinator.close()
