# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reserving machines: all or none, first come first served, nothing lost with a dead holder."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.reservations import Blocker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from support.plans import make_plan
from support.redis_server import RedisServer

MACHINES = ["a", "b", "c", "d"]
LONG = 600.0


def register(coordinator: Coordinator, machines: t.Sequence[str], **options: t.Any) -> str:
    """Register a run of these machines; returns its id."""
    plan = make_plan([["client"] for _ in machines])
    for node, machine in zip(plan["runs"][0]["nodes"], machines, strict=True):
        node["node"] = machine
    coordinator.registration.register(plan, **options)
    return str(plan["runs"][0]["cluster_id"])


def reserve(coordinator: Coordinator, run: str, lease: float = LONG) -> list[tuple[str, str, bool]]:
    """What is in the way: machine, run, and whether that run holds it rather than waits for it."""
    blockers, _waited = coordinator.reservations.reserve(run, lease=lease)
    return [(blocker.machine, blocker.run, blocker.since is not None) for blocker in blockers]


def client_of(coordinator: Coordinator) -> t.Any:
    return coordinator.connection.redis


@pytest.fixture
def lab(coordinator: Coordinator) -> t.Iterator[Coordinator]:
    yield coordinator
    for machine, run in coordinator.reservations.holders().items():
        coordinator.reservations.free(run, machine)
    for run in coordinator.reservations.waiting():
        coordinator.reservations.withdraw(run)


def test_a_run_gets_all_of_its_machines_or_none(lab: Coordinator) -> None:
    first, second = register(lab, ["a", "b"]), register(lab, ["b", "c"])
    assert lab.reservations.reserve(first, lease=LONG) == ([], 0)
    assert lab.reservations.reserve(first, lease=LONG) == ([], 0)
    assert reserve(lab, second) == [("b", first, True)]
    assert lab.reservations.holders() == {"a": first, "b": first}
    assert (lab.reservations.holder("a"), lab.reservations.holder("c")) == (first, None)
    assert lab.reservations.free(first, "a")
    assert not lab.reservations.free(first, "a")
    assert not lab.reservations.free(second, "b")
    assert reserve(lab, second) == [("b", first, True)]
    assert lab.reservations.free(first, "b")
    assert reserve(lab, second) == []
    assert lab.reservations.holders() == {"b": second, "c": second}


def test_who_comes_first_keeps_what_it_waits_for(lab: Coordinator) -> None:
    holder, early, late = (register(lab, machines) for machines in (["a"], ["a", "b"], ["b"]))
    other = register(lab, ["c"])
    assert reserve(lab, holder) == []
    assert reserve(lab, early) == [("a", holder, True)]
    assert reserve(lab, late) == [("b", early, False)]
    assert reserve(lab, other) == []
    lab.reservations.withdraw(early)
    assert reserve(lab, late) == []


def end_lease(coordinator: Coordinator, run: str) -> None:
    """As when a controller has not been heard from for as long as its lease allows; others were."""
    client_of(coordinator).zadd("sched/reservation_leases", {run: 1})


def lease_left(coordinator: Coordinator, run: str) -> float | None:
    """How many seconds are left of a controller's lease."""
    end = client_of(coordinator).zscore("sched/reservation_leases", run)
    return None if end is None else end / 1000 - coordinator.history.now()


def test_what_a_dead_controller_holds_or_waits_for_becomes_free(lab: Coordinator) -> None:
    holder, waiter, last = (register(lab, machines) for machines in (["a"], ["a", "b"], ["a", "b"]))
    assert reserve(lab, holder) == []
    assert reserve(lab, waiter) == [("a", holder, True)]
    assert reserve(lab, last) == [("a", holder, True), ("b", waiter, False)]
    end_lease(lab, holder)
    assert reserve(lab, last) == [("a", waiter, False), ("b", waiter, False)]
    end_lease(lab, waiter)
    assert reserve(lab, last) == []
    assert lab.reservations.holders() == {"a": last, "b": last}
    assert lab.reservations.waiting() == []
    assert lease_left(lab, holder) is lease_left(lab, waiter) is None


def test_a_lease_that_ends_is_seen_by_who_waits_without_a_word_of_anybody(lab: Coordinator) -> None:
    holder, waiter = register(lab, ["a"]), register(lab, ["a"])
    assert reserve(lab, holder, lease=0.5) == []
    blockers, waited = lab.reservations.reserve(waiter, lease=1.2, slice_seconds=60)
    assert blockers == []
    assert waited < 30


@pytest.mark.parametrize(("lease", "seconds", "longest"), [(0.3, 0.25, 100), (LONG, 0.05, 50)])
def test_who_waits_looks_three_times_in_its_lease_and_at_the_end_of_its_slice(
    lab: Coordinator, lease: float, seconds: float, longest: int
) -> None:
    holder, waiter = register(lab, ["a"]), register(lab, ["a"])
    assert reserve(lab, holder) == []
    blocks: list[int] = []
    with client_of(lab).monitor() as asked:
        assert lab.reservations.reserve(waiter, lease=lease, slice_seconds=seconds)[0] != []
        client_of(lab).echo("over")
        while (command := asked.next_command()["command"]) != "ECHO over":
            if command.startswith("XREAD BLOCK "):
                blocks.append(int(command.split()[2]))
    assert 0 < max(blocks) <= longest


def test_who_waits_does_so_for_its_slice_and_in_redis(lab: Coordinator) -> None:
    holder, waiter = register(lab, ["a"]), register(lab, ["a"])
    assert reserve(lab, holder) == []
    client_of(lab).config_resetstat()
    begin = time.monotonic()
    blockers, waited = lab.reservations.reserve(waiter, lease=LONG, slice_seconds=0.3)
    assert time.monotonic() - begin >= 0.3
    assert waited > 0.2
    assert [blocker.run for blocker in blockers] == [holder]
    assert client_of(lab).info("commandstats")["cmdstat_xread"]["calls"] < 5


def test_a_run_that_waits_is_told_since_when(lab: Coordinator) -> None:
    holder, waiter = register(lab, ["a"]), register(lab, ["a"])
    assert lab.reservations.reserve(holder, lease=LONG) == ([], 0)
    blockers, waited = lab.reservations.reserve(waiter, lease=LONG)
    assert waited == 0
    since = blockers[0].since
    assert since is not None and abs(since - lab.history.now()) < 60
    at = time.strftime("%H:%M:%S", time.localtime(since))
    assert str(blockers[0]) == f"a is held by run {holder} since {at}"
    client_of(lab).hincrby(f"sched/cluster/{waiter}", "asked", -3000_000)
    client_of(lab).hincrby(f"sched/cluster/{holder}/held", "a", -2000_000)
    blockers, waited = lab.reservations.reserve(waiter, lease=LONG)
    assert 3000 <= waited < 3060
    assert blockers[0].since == since - 2000
    late, last = register(lab, ["a"]), register(lab, ["a"])
    assert reserve(lab, late) == reserve(lab, last) == [("a", holder, True)]
    lab.reservations.free(holder, "a")
    assert [str(blocker) for blocker in lab.reservations.reserve(last, lease=LONG)[0]] == [
        f"run {waiter} waits for a already"
    ]
    blockers, waited = lab.reservations.reserve(waiter, lease=LONG)
    assert blockers == [] and 3000 <= waited < 3060


def test_machines_of_a_run_that_is_gone_become_free_with_its_controller(lab: Coordinator) -> None:
    removed, expired = register(lab, ["a", "b"]), register(lab, ["c"])
    assert reserve(lab, removed) == reserve(lab, expired) == []
    assert lab.runs.remove(removed)
    client_of(lab).delete(*client_of(lab).keys(f"sched/cluster/{expired}*"))
    assert lab.reservations.free(removed, "a")
    assert lab.reservations.holders() == {"b": removed, "c": expired}
    (blocker,), _waited = lab.reservations.reserve(register(lab, ["c"]), lease=LONG)
    assert blocker.run == expired and blocker.since == pytest.approx(lab.history.now(), abs=60), (
        "since when, nobody knows"
    )
    lab.reservations.withdraw(lab.reservations.waiting()[0])
    end_lease(lab, removed)
    end_lease(lab, expired)
    lab.queues.go_along_line()
    assert lab.reservations.holders() == {}


def test_a_lease_lasts_until_the_last_machine_is_released(lab: Coordinator) -> None:
    there, removed = register(lab, ["a", "b"]), register(lab, ["c", "d"])
    assert reserve(lab, there) == reserve(lab, removed) == []
    assert lab.runs.remove(removed)
    for run, (first, second) in ((removed, "cd"), (there, "ab")):
        assert lab.reservations.free(run, first)
        assert lease_left(lab, run) is not None
        assert lab.reservations.free(run, second)
        assert lease_left(lab, run) is None
    assert client_of(lab).keys("sched/cluster/*/held") == []


def test_a_lease_that_is_renewed_lasts(lab: Coordinator) -> None:
    holder, waiter = register(lab, ["a"]), register(lab, ["a"])
    assert reserve(lab, holder, lease=1000) == []
    assert reserve(lab, waiter, lease=2000) == [("a", holder, True)]
    for run, seconds in ((holder, 1000), (waiter, 2000)):
        left = lease_left(lab, run)
        assert left is not None and seconds - 60 < left <= seconds
        # Too late, but before anybody has noticed.
        end_lease(lab, run)
        lab.reservations.renew(run, seconds + 5000)
        left = lease_left(lab, run)
        assert left is not None and seconds + 4940 < left <= seconds + 5000
    assert reserve(lab, waiter, lease=3000) == [("a", holder, True)]
    left = lease_left(lab, waiter)
    assert left is not None and 2940 < left <= 3000, "to ask is a sign of life too"
    assert reserve(lab, holder, lease=4000) == []
    left = lease_left(lab, holder)
    assert left is not None and 3940 < left <= 4000


def test_a_controller_that_was_given_up_is_not_revived(lab: Coordinator) -> None:
    given_up, stranger = register(lab, ["a"]), register(lab, ["b"])
    assert reserve(lab, given_up) == []
    end_lease(lab, given_up)
    lab.queues.go_along_line()
    lab.reservations.renew(given_up, LONG)
    lab.reservations.renew(stranger, LONG)
    assert lease_left(lab, given_up) is lease_left(lab, stranger) is None
    assert lab.reservations.holders() == {}


def test_a_waiter_is_woken_by_the_release(lab: Coordinator) -> None:
    holder, waiter = register(lab, ["a"]), register(lab, ["a"])
    assert reserve(lab, holder) == []
    assert asks_until_woken(lab, waiter, lambda: lab.reservations.free(holder, "a")) == []
    client = client_of(lab)
    assert client.xrevrange("sched/releases", count=1)[0][1] == {"machine": "a", "run": holder}
    assert 80_000 < client.ttl("sched/releases") <= 86_400


@pytest.mark.parametrize("how", ["withdraws", "is aborted and asks again", "is removed"])
def test_a_waiter_is_woken_by_one_before_it_that_waits_no_longer(lab: Coordinator, how: str) -> None:
    holder, before, waiter = (register(lab, machines) for machines in (["a"], ["a", "b"], ["b"]))
    assert reserve(lab, holder) == []
    assert reserve(lab, before) == [("a", holder, True)]

    def make_way() -> None:
        if how == "withdraws":
            lab.reservations.withdraw(before)
        elif how == "is removed":
            lab.runs.remove(before)
        else:
            lab.runs.abort(before, make_reason("enough"))
            with pytest.raises(CoordinationError, match="is over: enough"):
                reserve(lab, before)

    assert asks_until_woken(lab, waiter, make_way) == []
    assert lab.reservations.waiting() == []


def asks_until_woken(coordinator: Coordinator, run: str, wake: t.Callable[[], object]) -> list[Blocker]:
    """What is in a run's way after something has happened while it waited, which has to wake it."""
    answers: list[list[Blocker]] = []
    asking = threading.Thread(
        target=lambda: answers.append(coordinator.reservations.reserve(run, lease=LONG, slice_seconds=60)[0])
    )

    def waits() -> bool:
        return bool(client_of(coordinator).info("clients")["blocked_clients"])

    asking.start()
    deadline = time.monotonic() + 30
    while not waits():
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)
    wake()
    # Redis lets it go on together with the change, so that this is no matter of time.
    assert not waits()
    asking.join(90)
    return answers[0]


def test_an_unknown_run_is_refused(lab: Coordinator) -> None:
    with pytest.raises(CoordinationError, match="is not known to Redis"):
        lab.reservations.reserve("20260131T120000-none.1", lease=LONG)


def test_a_run_that_is_aborted_while_it_waits_waits_no_longer(lab: Coordinator) -> None:
    holder, waiter, late = register(lab, ["a"]), register(lab, ["a", "b"]), register(lab, ["b"])
    assert reserve(lab, holder) == []
    assert reserve(lab, waiter) == [("a", holder, True)]
    lab.runs.abort(waiter, make_reason("an operator has other plans"))
    with pytest.raises(CoordinationError, match=f"run {waiter} is over: an operator has other plans"):
        reserve(lab, waiter)
    assert lab.reservations.waiting() == []
    assert lease_left(lab, waiter) is None
    assert reserve(lab, late) == []
    lab.runs.abort(holder, make_reason("enough"))
    assert reserve(lab, holder) == []


def test_withdrawing_takes_nothing_away(lab: Coordinator) -> None:
    holder, waiter = register(lab, ["a"]), register(lab, ["a", "b"])
    assert reserve(lab, holder) == []
    assert reserve(lab, waiter) == [("a", holder, True)]
    lab.reservations.withdraw(holder)
    assert lease_left(lab, holder) is not None
    lab.reservations.withdraw(waiter)
    assert lease_left(lab, waiter) is None
    assert lab.reservations.holders() == {"a": holder}


def test_what_a_run_holds_is_noted_no_longer_than_the_run(lab: Coordinator) -> None:
    run = register(lab, ["a", "b"], retention=1000)
    assert reserve(lab, run) == []
    held = f"sched/cluster/{run}/held"
    assert set(client_of(lab).hgetall(held)) == {"a", "b"}
    assert 900 < client_of(lab).ttl(held) <= 1000


def test_localhost_is_nobodys(lab: Coordinator) -> None:
    first, second = register(lab, ["localhost"]), register(lab, ["localhost"])
    for run in (first, second):
        assert lab.reservations.reserve(run, lease=LONG) == ([], 0)
    assert lab.reservations.holders() == {}
    assert lease_left(lab, first) is lease_left(lab, second) is None


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
        assert self.coordinator.reservations.free(run, machine)
        if run not in self.held.values():
            # It has had its turn.
            del self.needs[run]

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.line))
        self.coordinator.reservations.withdraw(run)
        self.line.remove(run)
        del self.needs[run]

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.coordinator.reservations.holders() == self.held
        assert self.coordinator.reservations.waiting() == self.line

    def teardown(self) -> None:
        for machine, run in self.held.items():
            self.coordinator.reservations.free(run, machine)
        for run in self.line:
            self.coordinator.reservations.withdraw(run)


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
