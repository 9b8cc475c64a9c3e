# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random interleavings of everything that nodes, controllers and operators can do, against a small model.

A step is one call by one party. Some of them lose their answer and are repeated by the client. Waiters are threads that
really block. After every step all that Redis says of the run is compared with the model.
"""

from __future__ import annotations

import os
import threading
import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import Answer, Arrival
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from coordination.losing_connection import LosingConnection
from support.plans import make_plan
from support.redis_server import RedisServer

STEPS = int(os.environ.get("MULTIDEVICE_STATE_MACHINE_STEPS", "2000"))
STEPS_OF_AN_EXAMPLE = 40
CORE = ("start", "ready", "finish")
RANK = ("registered", "write_state", "start", "started", "ready", "finish", "abort")
MOMENT = 0.002
LOST = st.sampled_from([False, False, False, False, True])


class Barrier:
    def __init__(self, participants: set[str]) -> None:
        self.participants = participants
        self.arrived: set[str] = set()
        self.expired = False
        self.retries: dict[str, int] = {}

    @property
    def released(self) -> bool:
        return self.arrived == self.participants


class Waiter(threading.Thread):
    def __init__(self, coordinator: Coordinator, node: str, job_id: str, barrier: str, arrival: Arrival) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.barrier = barrier
        self.answer: Answer | Exception | None = None
        self._wait: t.Callable[[], Answer] = lambda: coordinator.barriers.wait(
            job_id, barrier, arrival=arrival, slice_seconds=60, retries=0
        )

    def run(self) -> None:
        try:
            self.answer = self._wait()
        except Exception as error:
            self.answer = error


class Coordination(RuleBasedStateMachine):
    server: t.ClassVar[RedisServer]
    steps: t.ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.client = LosingConnection(RedisSettings(url=self.server.url))
        self.coordinator = Coordinator(self.client)
        self.coordinator_of_waiters = Coordinator.connect(RedisSettings(url=self.server.url))
        self.waiters: list[Waiter] = []
        self.blocked: set[str] = set()
        self.taken = 0

    @initialize(
        roles=st.lists(
            st.lists(st.sampled_from(["client", "server"]), min_size=1, max_size=2, unique=True), min_size=2, max_size=8
        ),
        chosen=st.sets(st.integers(1, 8), min_size=1),
    )
    def begin(self, roles: list[list[str]], chosen: set[int]) -> None:
        self.plan = make_plan(roles)
        self.run = self.plan["runs"][0]
        self.id = self.run["cluster_id"]
        self.jobs = {node["node"]: node["job_id"] for node in self.run["nodes"]}
        self.names = list(self.jobs)
        by_role = {role: {node["node"] for node in self.run["nodes"] if role in node["roles"]} for role in ("client",)}
        listed = {name for number, name in enumerate(self.names, 1) if number in chosen} or {self.names[0]}
        self.participants = {name: set(self.names) for name in (*CORE, "everybody")}
        self.asked: dict[str, dict[str, t.Any]] = {name: {} for name in self.participants}
        self.participants["listed"], self.asked["listed"] = listed, {"nodes": sorted(listed)}
        if by_role["client"]:
            self.participants["clients"], self.asked["clients"] = by_role["client"], {"roles": ["client"]}
        self.forget()
        other = make_plan(roles)
        self.coordinator.registration.register(other)
        self.other_id = other["runs"][0]["cluster_id"]
        self.coordinator.barriers.arrive(f"{self.other_id}.1", "start")
        self.coordinator.messages.send(self.other_id, "node-1", "key", "of the other run")
        self.other = self.untimed(self.coordinator.history.info(self.other_id))

    def forget(self) -> None:
        """The model of a run of which nothing has happened yet."""
        self.verdict: str | None = None
        self.closed = False
        self.reason: tuple[str, str | None] | None = None
        self.states = dict.fromkeys(self.names, "registered")
        self.barriers = {name: Barrier(self.participants[name]) for name in CORE}
        self.kept: set[str] = set()
        self.waiting_lease: set[str] = set()
        self.expired: set[str] = set()
        self.messages: list[tuple[str, str]] = []
        assert self.coordinator.registration.register(self.plan, lease=3600)

    # The model

    def advance(self, node: str, state: str) -> bool:
        if RANK.index(state) <= RANK.index(self.states[node]):
            return False
        self.states[node] = state
        return True

    def end(self, verdict: str, kind: str = "", node: str | None = None) -> None:
        self.verdict = verdict
        self.reason = (kind, node) if verdict == "abort" else None
        self.kept, self.waiting_lease, self.expired = set(), set(), set()
        for barrier in self.barriers.values():
            barrier.expired = False
        if verdict == "abort" and node:
            self.advance(node, "abort")

    def judge(self) -> None:
        if self.verdict:
            return
        overdue = [name for name, barrier in self.barriers.items() if barrier.expired]
        if self.expired:
            lost = self.coordinator.history.info(self.id)["reason"]
            assert lost["node"] in self.expired
            assert lost["text"].startswith(f"node {lost['node']} not heard from for ")
            self.end("abort", "lost", lost["node"])
        elif overdue:
            name = str(self.coordinator.history.info(self.id)["reason"]["text"]).split()[1]
            assert name in overdue
            self.time_out(name)

    def time_out(self, barrier: str) -> None:
        missing = sorted(self.barriers[barrier].participants - self.barriers[barrier].arrived)
        text = self.coordinator.history.info(self.id)["reason"]["text"]
        assert all(f"{node} (" in text for node in missing)
        assert not any(f"{node} (" in text for node in set(self.names) - set(missing))
        self.end("abort", "timeout", missing[0] if len(missing) == 1 else None)

    def expect_arrival(self, node: str, name: str, *, hold: bool = False, timeout: float | None = None) -> str | None:
        """What an arrival is answered, after the model has made it."""
        barrier = self.barriers.get(name)
        if barrier is None or not barrier.released:
            if self.verdict == "abort":
                self.advance(node, "abort")
            if self.verdict:
                return "abort"
        if barrier is None:
            barrier = self.barriers[name] = Barrier(self.participants[name])
        if node not in barrier.participants:
            return "stranger"
        if barrier.released:
            return name
        if hold and node not in self.kept:
            self.waiting_lease.add(node)
        self.judge()
        if self.verdict:
            self.advance(node, "abort")
            return "abort"
        barrier.arrived.add(node)
        if name in CORE:
            self.advance(node, name)
        if barrier.released:
            barrier.expired = False
            if name == "finish":
                self.end("finish")
            return name
        if timeout is not None:
            barrier.expired = True
        return None

    def settle(self) -> None:
        """No waiter is left without a verdict, and all of a barrier get the same."""
        for waiter in list(self.waiters):
            released = self.barriers[waiter.barrier].released
            if not released and not self.verdict:
                continue
            waiter.join(10)
            assert isinstance(waiter.answer, Answer), f"{waiter.node} waits for {waiter.barrier}: {waiter.answer}"
            assert waiter.answer.answer == (waiter.barrier if released else "abort")
            if not released and self.verdict == "abort":
                assert waiter.answer.reason is not None
                assert (waiter.answer.reason["kind"], waiter.answer.reason["node"]) == self.reason
                self.advance(waiter.node, "abort")
            self.waiters.remove(waiter)

    def lose(self, lost: bool) -> None:
        type(self).steps += 1
        self.taken += 1
        self.client.lose_next = lost

    def node(self, number: int) -> str:
        return self.names[number % len(self.names)]

    def barrier(self, number: int) -> str:
        return sorted(self.participants)[number % len(self.participants)]

    # What can happen

    @rule(number=st.integers(0, 7), choice=st.integers(0, 7), lost=LOST)
    def arrive(self, number: int, choice: int, lost: bool) -> None:
        self.arrive_at(self.node(number), self.barrier(choice), lost)

    @precondition(lambda self: not self.verdict)
    @rule(choice=st.integers(0, 7), lost=LOST)
    def all_but_one_arrive(self, choice: int, lost: bool) -> None:
        name = self.barrier(choice)
        for node in sorted(self.participants[name])[1:]:
            self.arrive_at(node, name, lost)

    def arrive_at(self, node: str, name: str, lost: bool, timeout: float | None = None) -> None:
        self.lose(lost)
        before = self.barriers.get(name)
        released_before = before is not None and before.released
        try:
            arrival = self.coordinator.barriers.arrive(self.jobs[node], name, timeout=timeout, **self.asked[name])
        except CoordinationError as error:
            assert "does not take part" in str(error)
            assert self.expect_arrival(node, name) == "stranger"
            return
        expected = self.expect_arrival(node, name, timeout=timeout)
        assert arrival.verdict == expected, f"{node} at {name}: {arrival}"
        if released_before or expected == "abort":
            assert not arrival.changed
        elif expected is None:
            assert arrival.missing == len(self.participants[name] - self.barriers[name].arrived)
        self.settle()

    @rule(number=st.integers(0, 7), choice=st.integers(0, 7))
    def arrive_with_a_timeout_that_passes(self, number: int, choice: int) -> None:
        self.arrive_at(self.node(number), self.barrier(choice), False, MOMENT)
        time.sleep(2 * MOMENT)

    @rule(number=st.integers(0, 7), choice=st.integers(0, 7))
    def arrive_and_block(self, number: int, choice: int) -> None:
        node, name = self.node(number), self.barrier(choice)
        self.lose(False)
        try:
            arrival = self.coordinator.barriers.arrive(self.jobs[node], name, **self.asked[name])
        except CoordinationError:
            assert self.expect_arrival(node, name) == "stranger"
            return
        assert arrival.verdict == self.expect_arrival(node, name)
        if not arrival.verdict:
            waiter = Waiter(self.coordinator_of_waiters, node, self.jobs[node], name, arrival)
            waiter.start()
            self.waiters.append(waiter)
            self.blocked.add(node)
        self.settle()

    @rule(number=st.integers(0, 7), choice=st.integers(0, 7), lost=LOST)
    def wait_one_slice(self, number: int, choice: int, lost: bool) -> None:
        node, name = self.node(number), self.barrier(choice)
        self.lose(lost)
        try:
            answer = self.coordinator.barriers.wait(
                self.jobs[node], name, slice_seconds=0, retries=2, **self.asked[name]
            )
        except CoordinationError:
            assert self.expect_arrival(node, name) == "stranger"
            return
        expected = self.expect_arrival(node, name, hold=True)
        if expected is None:
            barrier = self.barriers[name]
            barrier.retries[node] = barrier.retries.get(node, 0) + 1
            if barrier.retries[node] > 2:
                self.time_out(name)
                self.advance(node, "abort")
                expected = "abort"
        assert answer.answer == (expected or "retry")
        if expected is None:
            missing = self.participants[name] - self.barriers[name].arrived
            assert {entry["node"] for entry in answer.missing} == missing
        self.settle()

    @rule(number=st.integers(0, 7), state=st.sampled_from(["started", "finished", "failed"]), lost=LOST)
    def report(self, number: int, state: str, lost: bool) -> None:
        node = self.node(number)
        self.lose(lost)
        report = self.coordinator.nodes.report(self.jobs[node], state, make_reason("", script="job", exit_code=7))
        if self.verdict == "finish":
            assert not report.changed
        elif state == "failed":
            if not self.verdict:
                self.end("abort", "failed", node)
            else:
                self.advance(node, "abort")
        elif self.verdict == "abort":
            self.advance(node, "abort")
        else:
            changed = self.advance(node, {"finished": "finish"}.get(state, state))
            assert report.changed == (changed and not lost)
        assert report.verdict == self.verdict
        self.settle()

    @rule(number=st.integers(0, 7), ip=st.sampled_from(["172.18.0.2", "172.18.0.3"]), lost=LOST)
    def write_state(self, number: int, ip: str, lost: bool) -> None:
        node = self.node(number)
        self.lose(lost)
        self.coordinator.nodes.write_state(self.jobs[node], ip=ip)
        self.advance(node, "write_state")
        assert not self.coordinator.nodes.write_state(self.jobs[node], ip=ip)

    @precondition(lambda self: self.taken % 5 == 0)
    @rule(lost=LOST)
    def abort(self, lost: bool) -> None:
        self.lose(lost)
        changed = self.coordinator.runs.abort(self.id, make_reason("the operator wants it"))
        assert changed == (not self.verdict and not lost)
        if not self.verdict:
            self.end("abort", "abort")
        self.settle()

    @rule(numbers=st.sets(st.integers(0, 7), min_size=1), lost=LOST)
    def renew(self, numbers: set[int], lost: bool) -> None:
        nodes = sorted({self.node(number) for number in numbers})
        self.lose(lost)
        self.coordinator.runs.renew_leases(self.id, nodes, 3600)
        if not self.verdict:
            self.kept |= set(nodes)
            self.waiting_lease -= set(nodes)
            self.expired -= set(nodes)

    @precondition(lambda self: self.taken % 3 == 0)
    @rule(number=st.integers(0, 7))
    def let_a_lease_run_out(self, number: int) -> None:
        self.lose(False)
        self.coordinator.runs.renew_leases(self.id, [self.node(number)], MOMENT)
        time.sleep(2 * MOMENT)
        if not self.verdict:
            self.kept.add(self.node(number))
            self.waiting_lease.discard(self.node(number))
            self.expired.add(self.node(number))

    @rule(number=st.integers(0, 7), lost=LOST)
    def release_lease(self, number: int, lost: bool) -> None:
        self.lose(lost)
        node = self.node(number)
        self.coordinator.runs.drop_lease(self.id, node)
        for leases in (self.kept, self.waiting_lease, self.expired):
            leases.discard(node)

    @rule(lost=LOST)
    def sweep(self, lost: bool) -> None:
        self.lose(lost)
        reason = self.coordinator.runs.sweep(self.id)
        self.judge()
        assert (reason is not None) == (self.verdict == "abort")
        self.settle()

    @rule(number=st.integers(0, 7), value=st.text(max_size=20), lost=LOST)
    def send(self, number: int, value: str, lost: bool) -> None:
        self.lose(lost)
        self.coordinator.messages.send(self.id, self.node(number), "key", value)
        self.messages.append((self.node(number), value))

    @rule(number=st.integers(0, 7), lost=LOST)
    def event(self, number: int, lost: bool) -> None:
        before = len(self.coordinator.history.events(self.id))
        self.lose(lost)
        self.coordinator.runs.record_event(self.id, self.node(number), "script", {"id": "test-job"})
        assert len(self.coordinator.history.events(self.id)) == before + 1

    @precondition(lambda self: self.verdict)
    @rule(lost=LOST)
    def close(self, lost: bool) -> None:
        self.lose(lost)
        assert self.coordinator.runs.close(self.id) == (not self.closed and not lost)
        self.closed = True

    @precondition(lambda self: self.verdict or self.taken % 7 == 0)
    @rule(lost=LOST)
    def remove_and_repeat(self, lost: bool) -> None:
        self.lose(lost)
        assert self.coordinator.runs.remove(self.id) == (not lost)
        for waiter in self.waiters:
            waiter.join(10)
            # What it waited for is gone, so that it may find the abort or nothing at all.
            assert isinstance(waiter.answer, CoordinationError) or (
                isinstance(waiter.answer, Answer) and waiter.answer.answer == "abort"
            ), f"{waiter.node} waits for {waiter.barrier}: {waiter.answer}"
        self.waiters = []
        with pytest.raises(CoordinationError, match="not known"):
            self.coordinator.history.info(self.id)
        with pytest.raises(CoordinationError, match="not known"):
            self.coordinator.barriers.arrive(self.jobs[self.names[0]], "start")
        self.forget()

    @rule(number=st.integers(0, 7))
    def a_stranger_asks(self, number: int) -> None:
        self.lose(False)
        with pytest.raises(CoordinationError, match="not known"):
            self.coordinator.nodes.report(f"{self.id}.{len(self.names) + 1 + number}", "started")

    # What is true after each of them

    @invariant()
    def redis_and_model_agree(self) -> None:
        if not hasattr(self, "id"):
            return
        info = self.coordinator.history.info(self.id)
        assert info["result"] == self.verdict
        assert self.reason == (info["reason"] and (info["reason"]["kind"], info["reason"]["node"]))
        assert {name: node["state"] for name, node in info["nodes"].items()} == self.states
        leases = {name for name, node in info["nodes"].items() if node["lease"]}
        # Whoever has blocked for long gives a sign of life in between.
        assert (leases - self.blocked) == (self.kept | self.waiting_lease) - self.blocked
        assert set(info["barriers"]) == set(self.barriers)
        for name, barrier in self.barriers.items():
            seen = info["barriers"][name]
            assert set(seen["arrived"]) == barrier.arrived
            assert {entry["node"] for entry in seen["missing"]} == barrier.participants - barrier.arrived
            assert bool(seen["released"]) == barrier.released
        got = self.coordinator.messages.receive(self.id, "key", slice_seconds=0)
        assert [(message["node"], message["value"]) for message in got.messages] == self.messages

    @invariant()
    def the_other_run_is_untouched(self) -> None:
        if hasattr(self, "other"):
            assert self.untimed(self.coordinator.history.info(self.other_id)) == self.other

    @staticmethod
    def untimed(info: dict[str, t.Any]) -> dict[str, t.Any]:
        return {key: value for key, value in info.items() if key != "now"}

    def teardown(self) -> None:
        if hasattr(self, "id") and hasattr(self, "states"):
            self.client.lose_next = False
            self.coordinator.runs.abort(self.id, make_reason("the test is over"))
            for waiter in self.waiters:
                waiter.join(10)
                assert not waiter.is_alive(), f"{waiter.node} is left waiting for {waiter.barrier}"
            self.coordinator.runs.remove(self.id)
            self.coordinator.runs.remove(self.other_id)
        self.coordinator.close()
        self.coordinator_of_waiters.close()


@pytest.mark.timeout(1800)
def test_random_interleavings(start_server: t.Callable[..., RedisServer]) -> None:
    Coordination.server = start_server()
    Coordination.steps = 0
    run_state_machine_as_test(
        Coordination,
        settings=settings(
            max_examples=-(-STEPS // STEPS_OF_AN_EXAMPLE) * 3 // 2,
            stateful_step_count=STEPS_OF_AN_EXAMPLE,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Coordination.steps >= STEPS
    leftover = [str(key) for key in Coordination.server.client().keys("sched/cluster/*")]
    assert all(key.endswith("/verdicts") or "/sent/" in key for key in leftover), leftover
