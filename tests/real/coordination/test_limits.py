# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time-outs, leases and silences. No test waits for a limit: what Redis holds of the time is moved instead."""

from __future__ import annotations

import re
import typing as t

import pytest
import redis
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.message import MESSAGE
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from coordination.background import Background
from coordination.conftest import Run
from coordination.moments import pass_time, wait_until_blocked
from support.plans import one_server_and
from support.redis_server import RedisServer
from support.waiting import wait_until

Register = t.Callable[..., Run]
# Seconds that a test may take between two of its steps on a loaded machine.
SLACK = 30


@pytest.fixture
def server_client(server: RedisServer) -> redis.Redis:
    return server.client()


class Limits:
    """What Redis holds of a run's leases and deadlines, in seconds from now."""

    def __init__(self, server_client: redis.Redis, run: Run) -> None:
        self.redis = server_client
        self.run = run
        self.base = f"sched/cluster/{run.id}"

    def left(self, kind: str) -> dict[str, float]:
        now = self.run.coordinator.history.now()
        found = t.cast(list, self.redis.zrange(f"{self.base}/{kind}", 0, -1, withscores=True))
        return {name: moment / 1000 - now for name, moment in found}

    def exact(self, kind: str, name: str) -> float:
        return t.cast(float, self.redis.zscore(f"{self.base}/{kind}", name))

    def promises(self) -> dict[str, str]:
        return t.cast(dict, self.redis.hgetall(f"{self.base}/promises"))


def about(seconds: float) -> t.Any:
    """So many seconds less what the test has taken."""
    return pytest.approx(seconds - SLACK / 2, abs=SLACK / 2 + 0.01)


def seconds_in(text: str) -> int:
    found = re.search(r"(?:after|in|for) (\d+) s", text)
    assert found, text
    return int(found[1])


def reason_of(run: Run) -> dict[str, t.Any]:
    return t.cast(dict, run.coordinator.history.info(run.id)["reason"])


# Time-outs of barriers and runs


def test_a_timeout_is_never_a_pass(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(30))
    for number in range(1, 5):
        assert run.coordinator.barriers.arrive(run.job(number), "start", timeout=100).verdict is None
    pass_time(server_client, run, 101)
    late = [run.coordinator.barriers.arrive(run.job(number), "start") for number in range(5, 32)]
    assert {arrival.verdict for arrival in late} == {"abort"}
    reason = reason_of(run)
    assert 101 <= seconds_in(reason["text"]) <= 101 + SLACK
    named = ", ".join(f"node-{number} (client)" for number in range(5, 25))
    assert reason["text"].endswith(f" s: {named} and 7 more did not arrive")
    assert reason["text"].startswith("barrier start timed out after ")
    assert (reason["kind"], reason["node"]) == ("timeout", None)


@pytest.mark.parametrize(
    ("nodes", "missing"),
    [
        ([["a"], ["b"]], "node-2 (b) did not arrive"),
        ([["a"], ["b", "c"], ["b"]], "node-2 (b c), node-3 (b) did not arrive"),
        (
            [["a"]] * 21,
            ", ".join(f"node-{number} (a)" for number in range(2, 22)) + " did not arrive",
        ),
        (
            [["a"]] * 22,
            ", ".join(f"node-{number} (a)" for number in range(2, 22)) + " and 1 more did not arrive",
        ),
    ],
)
def test_who_is_missing_is_said_in_the_nodes_order(
    server_client: redis.Redis, register: Register, nodes: list[list[str]], missing: str
) -> None:
    run = register(nodes)
    run.coordinator.barriers.arrive(run.job(1), "meet", timeout=10)
    pass_time(server_client, run, 11)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None and reason["text"].endswith(f" s: {missing}")
    assert reason["node"] == ("node-2" if len(nodes) == 2 else None)
    answer = run.coordinator.barriers.wait(run.job(1), "meet", slice_seconds=60)
    assert [entry["node"] for entry in answer.missing] == [f"node-{number}" for number in range(2, len(nodes) + 1)]
    assert [entry["roles"] for entry in answer.missing] == nodes[1:]


def test_the_time_that_a_barrier_took_counts_from_the_first_arrival(
    server_client: redis.Redis, register: Register
) -> None:
    run = register(one_server_and(2))
    run.coordinator.barriers.arrive(run.job(1), "start", timeout=100)
    since = run.coordinator.history.info(run.id)["barriers"]["start"]["since"]
    assert run.coordinator.history.now() - SLACK < since <= run.coordinator.history.now()
    pass_time(server_client, run, 90)
    run.coordinator.barriers.arrive(run.job(2), "start")
    run.coordinator.barriers.arrive(run.job(1), "start")
    assert run.coordinator.history.info(run.id)["barriers"]["start"]["since"] == pytest.approx(since - 90, abs=0.002)
    pass_time(server_client, run, 20)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None and 110 <= seconds_in(reason["text"]) <= 110 + SLACK


@pytest.mark.parametrize("timeouts", [(100, 500), (500, 100), (None, 100), (100, None)])
def test_of_several_timeouts_the_first_to_pass_counts(
    server_client: redis.Redis, register: Register, timeouts: tuple[float | None, float | None]
) -> None:
    run = register(one_server_and(2))
    limits = Limits(server_client, run)
    for number, timeout in enumerate(timeouts, 1):
        run.coordinator.barriers.arrive(run.job(number), "start", timeout=timeout)
    assert limits.left("deadlines") == {"start": about(100)}


def test_of_several_barriers_the_one_that_is_over_first_is_named(
    server_client: redis.Redis, register: Register
) -> None:
    run = register(one_server_and(1))
    for barrier, timeout in (("later", 300), ("first", 100), ("last", 500)):
        run.coordinator.barriers.arrive(run.job(1), barrier, timeout=timeout)
    pass_time(server_client, run, 60)
    assert run.coordinator.runs.sweep(run.id) is None
    pass_time(server_client, run, 340)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None and reason["text"].startswith("barrier first timed out after 4")


def test_a_timeout_ends_a_wait_on_time(register: Register) -> None:
    """Though its slice is longer, and it looks after leases more rarely."""
    run = register(one_server_and(1), lease=3600)
    waiter = Background(
        lambda: run.coordinator.barriers.wait(run.job(1), "start", timeout=0.5, slice_seconds=600, retries=0)
    )
    answer = waiter.end(SLACK)
    assert (answer.answer, answer.reason["kind"], answer.reason["node"]) == ("abort", "timeout", "node-2")
    assert answer.missing == [{"node": "node-2", "roles": ["client"]}]
    assert answer.waited >= 0.5


def test_a_timeout_that_is_nearly_over_ends_the_next_slice(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1), lease=3600)
    assert run.coordinator.barriers.wait(run.job(1), "start", timeout=100, slice_seconds=0).answer == "retry"
    pass_time(server_client, run, 99.5)
    waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", timeout=100, slice_seconds=600))
    answer = waiter.end(SLACK)
    assert (answer.answer, answer.reason["kind"]) == ("abort", "timeout")
    assert 100 <= answer.waited <= 100 + SLACK


def test_a_timeout_ends_with_its_barrier(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.barriers.arrive(run.job(1), "other", timeout=500)
    run.coordinator.barriers.arrive(run.job(1), "start", timeout=100)
    assert run.coordinator.barriers.arrive(run.job(2), "start", timeout=100).verdict == "start"
    assert Limits(server_client, run).left("deadlines") == {"other": about(500)}
    pass_time(server_client, run, 200)
    assert run.coordinator.runs.sweep(run.id) is None


def test_slices_are_counted_for_each_node_and_barrier(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(2), lease=600)

    def wait(number: int, barrier: str) -> t.Any:
        return run.coordinator.barriers.wait(run.job(number), barrier, slice_seconds=0, retries=2)

    assert [wait(1, "start").retries for _ in range(2)] == [1, 2]
    assert wait(2, "start").retries == wait(1, "other").retries == 1
    assert run.coordinator.barriers.arrive(run.job(1), "start").retries == 2
    pass_time(server_client, run, 50)
    answer = wait(1, "start")
    assert answer.answer == "abort" and answer.reason["node"] == "node-3"
    assert re.fullmatch(
        r"barrier start timed out after 2 retries in \d+ s: node-3 \(client\) did not arrive", answer.reason["text"]
    )
    assert 50 <= seconds_in(answer.reason["text"].replace("after 2", "")) <= 50 + SLACK
    assert run.coordinator.history.info(run.id)["nodes"]["node-1"]["state"] == "abort"


def test_how_long_a_node_has_waited(server_client: redis.Redis, register: Register) -> None:
    """From its own arrival, over all slices."""
    run = register(one_server_and(2))
    assert run.coordinator.barriers.arrive(run.job(1), "start").waited == 0
    pass_time(server_client, run, 70)
    assert 70 <= run.coordinator.barriers.arrive(run.job(1), "start").waited <= 70 + SLACK
    assert run.coordinator.barriers.arrive(run.job(2), "start").waited == 0
    answer = run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0)
    assert 70 <= answer.waited <= 70 + SLACK and answer.answer == "retry" and not answer.changed
    waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=600))
    wait_until_blocked(server_client)
    run.coordinator.barriers.arrive(run.job(3), "start")
    answer = waiter.end(SLACK)
    assert answer.answer == "start" and 70 <= answer.waited <= 70 + 2 * SLACK and not answer.changed


def test_a_run_that_lasts_too_long_is_aborted(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1), run_timeout=100)
    limits = Limits(server_client, run)
    pass_time(server_client, run, 200)
    assert run.coordinator.runs.sweep(run.id) is None, "its time begins with its first node"
    run.coordinator.nodes.write_state(run.job(1), ip="172.18.0.2")
    started = run.coordinator.history.info(run.id)["started"]
    assert run.coordinator.history.now() - SLACK < started <= run.coordinator.history.now()
    assert limits.left("deadlines") == {"": about(100)}
    pass_time(server_client, run, 60)
    run.coordinator.nodes.write_state(run.job(1), ip="172.18.0.3")
    run.coordinator.nodes.report(run.job(2), "started")
    run.coordinator.barriers.arrive(run.job(2), "start")
    assert limits.left("deadlines") == {"": about(40)}
    assert run.coordinator.runs.sweep(run.id) is None
    pass_time(server_client, run, 41)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None
    assert (reason["text"], reason["kind"], reason["node"]) == ("the run did not end within 100 s", "timeout", None)
    assert run.coordinator.history.info(run.id)["started"] == pytest.approx(started - 101, abs=0.002)


def test_a_run_without_a_limit_has_none(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.nodes.report(run.job(1), "started")
    assert Limits(server_client, run).left("deadlines") == {}


# Leases


def test_a_node_that_is_not_heard_from_is_lost(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(2))
    limits = Limits(server_client, run)
    run.coordinator.runs.renew_leases(run.id, ["node-1", "node-2"], 60)
    run.coordinator.runs.renew_leases(run.id, ["node-2"], 40)
    assert limits.left("leases") == {"node-1": about(60), "node-2": about(40)}
    assert limits.promises() == {"node-1": "60000 ", "node-2": "40000 "}
    info = run.coordinator.history.info(run.id)["nodes"]
    assert info["node-2"]["lease"] == limits.exact("leases", "node-2") / 1000
    assert info["node-3"]["lease"] is None
    pass_time(server_client, run, 5)
    assert run.coordinator.runs.sweep(run.id) is None
    pass_time(server_client, run, 45)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None
    assert (reason["kind"], reason["node"]) == ("lost", "node-2")
    # What was promised, and what has passed since its end.
    assert reason["text"].startswith("node node-2 not heard from for ")
    assert 50 <= seconds_in(reason["text"]) <= 50 + SLACK
    assert run.coordinator.history.info(run.id)["nodes"]["node-2"]["state"] == "abort"
    assert limits.left("leases") == {} and limits.promises() == {}
    run.coordinator.runs.renew_leases(run.id, ["node-1"], 60)
    assert limits.left("leases") == {}, "a run that is over has no leases"


def test_a_node_whose_part_is_over_cannot_be_lost(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1))
    limits = Limits(server_client, run)
    run.coordinator.runs.renew_leases(run.id, ["node-1", "node-2"], 60)
    run.coordinator.runs.renew_leases(run.id, [], 60)
    run.coordinator.runs.drop_lease(run.id, "node-2")
    assert limits.left("leases") == {"node-1": about(60)}
    assert limits.promises() == {"node-1": "60000 "}
    run.coordinator.runs.drop_lease(run.id, "node-1")
    pass_time(server_client, run, 100)
    assert run.coordinator.runs.sweep(run.id) is None


def test_a_waiter_holds_a_lease(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1), lease=60)
    limits = Limits(server_client, run)
    run.coordinator.barriers.arrive(run.job(2), "start", timeout=1000)
    assert limits.left("leases") == {}, "who only arrives promises nothing"
    run.coordinator.barriers.wait(run.job(1), "named", slice_seconds=0)
    assert limits.left("leases") == {"node-1": about(60)}
    assert limits.promises() == {"node-1": "60000 named"}
    pass_time(server_client, run, 50)
    run.coordinator.barriers.wait(run.job(1), "named", slice_seconds=0, pause=20)
    assert limits.left("leases") == {"node-1": about(80)}
    assert limits.promises() == {"node-1": "80000 named"}
    pass_time(server_client, run, 70)
    run.coordinator.barriers.wait(run.job(1), "other", slice_seconds=0)
    assert limits.left("leases") == {"node-1": about(60)}
    assert limits.promises() == {"node-1": "60000 other"}


def test_a_waiter_that_does_not_come_back_is_lost(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1), lease=60)
    run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0, pause=20)
    pass_time(server_client, run, 40)
    assert run.coordinator.runs.sweep(run.id) is None
    pass_time(server_client, run, 45)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None and (reason["kind"], reason["node"]) == ("lost", "node-1")
    assert 85 <= seconds_in(reason["text"]) <= 85 + SLACK


def test_a_waiter_does_not_override_its_keeper(server_client: redis.Redis, register: Register) -> None:
    """The keeper may promise less, or more; a keeper that comes while the node waits takes over."""
    run = register(one_server_and(1), lease=600)
    limits = Limits(server_client, run)
    run.coordinator.runs.renew_leases(run.id, ["node-1"], 60)
    kept = limits.exact("leases", "node-1")
    for arrival in (None, run.coordinator.barriers.arrive(run.job(1), "start")):
        answer = run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0, pause=20, arrival=arrival)
        assert answer.answer == "retry"
        assert limits.exact("leases", "node-1") == kept
        assert limits.promises() == {"node-1": "60000 "}
    run.coordinator.runs.drop_lease(run.id, "node-1")
    run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0)
    assert limits.promises() == {"node-1": "600000 start"}
    run.coordinator.runs.renew_leases(run.id, ["node-1"], 60)
    assert limits.promises() == {"node-1": "60000 "}


def test_a_waiter_renews_its_lease_within_a_slice(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1), lease=0.9)
    limits = Limits(server_client, run)
    waiter = Background(lambda: run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=600, retries=1))
    wait_until("node-1 has a lease", lambda: limits.left("leases"))
    for _ in range(2):
        before = limits.exact("leases", "node-1")
        wait_until("node-1 renews its lease", lambda: limits.exact("leases", "node-1") > before)  # noqa: B023
    assert run.coordinator.barriers.arrive(run.job(2), "start").verdict == "start"
    assert waiter.end(SLACK).answer == "start"
    # Who has passed the barrier waits no more.
    pass_time(server_client, run, 100)
    assert run.coordinator.runs.sweep(run.id) is None
    assert limits.left("leases") == {} and limits.promises() == {}


def test_who_has_passed_the_barrier_is_not_lost_but_another_one_is(
    server_client: redis.Redis, register: Register
) -> None:
    run = register(one_server_and(2), lease=60)
    limits = Limits(server_client, run)
    run.coordinator.barriers.wait(run.job(1), "pair", nodes=["node-1", "node-2"], slice_seconds=0)
    run.coordinator.barriers.wait(run.job(3), "start", slice_seconds=0)
    run.coordinator.barriers.arrive(run.job(2), "pair")
    pass_time(server_client, run, 40)
    run.coordinator.runs.renew_leases(run.id, ["node-2"], 60)
    pass_time(server_client, run, 21)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None and reason["node"] == "node-3"
    assert limits.left("leases") == {}


def test_another_worker_can_take_a_silent_ones_place_until_a_barrier_is_passed(
    server_client: redis.Redis, register: Register
) -> None:
    run = register(one_server_and(1), lease=60)
    limits = Limits(server_client, run)
    server_client.hset(f"sched/cluster/{run.id}", "mode", "queue")
    run.coordinator.runs.renew_leases(run.id, ["node-1", "node-2"], 60)
    pass_time(server_client, run, 30)
    run.coordinator.runs.renew_leases(run.id, ["node-2"], 60)
    pass_time(server_client, run, 31)
    assert run.coordinator.runs.sweep(run.id) is None
    assert limits.left("leases") == {"node-2": about(29)} and limits.promises() == {"node-2": "60000 "}
    for number in (1, 2):
        run.coordinator.barriers.arrive(run.job(number), "start")
    pass_time(server_client, run, 30)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None and (reason["kind"], reason["node"]) == ("lost", "node-2")


# Silences


@pytest.mark.parametrize("speak", ["sweep", "renew", "arrive", "receiving"])
@pytest.mark.parametrize(("silence", "forgiven"), [(28, 0), (40, 40)])
def test_a_silence_of_everybody_is_the_servers(
    server_client: redis.Redis, register: Register, speak: str, silence: float, forgiven: float
) -> None:
    """When it is longer than half a lease: leases are moved on by its length."""
    run = register(one_server_and(2), lease=60)
    limits = Limits(server_client, run)
    run.coordinator.runs.renew_leases(run.id, ["node-1", "node-2"], 100)
    pass_time(server_client, run, silence, silent=True)
    before = limits.exact("leases", "node-2")
    heard = float(str(server_client.hget(f"sched/cluster/{run.id}", "heard")))
    {
        "sweep": lambda: run.coordinator.runs.sweep(run.id),
        "renew": lambda: run.coordinator.runs.renew_leases(run.id, ["node-1"], 100),
        "arrive": lambda: run.coordinator.barriers.arrive(run.job(1), "start"),
        "receiving": lambda: run.coordinator.messages.time_waited(run.id, "node-1:port:0"),
    }[speak]()
    now_heard = float(str(server_client.hget(f"sched/cluster/{run.id}", "heard")))
    assert now_heard >= heard + silence * 1000
    assert limits.exact("leases", "node-2") - before == (now_heard - heard if forgiven else 0)


def test_after_a_long_silence_who_stays_away_is_lost_nevertheless(
    server_client: redis.Redis, register: Register
) -> None:
    run = register(one_server_and(1), lease=60)
    run.coordinator.runs.renew_leases(run.id, ["node-1", "node-2"], 60)
    pass_time(server_client, run, 500, silent=True)
    assert run.coordinator.runs.sweep(run.id) is None
    run.coordinator.runs.renew_leases(run.id, ["node-1"], 600)
    pass_time(server_client, run, 61)
    reason = run.coordinator.runs.sweep(run.id)
    assert reason is not None and reason["node"] == "node-2"


def test_the_first_who_speaks_has_broken_no_silence(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1), lease=60)
    run.coordinator.runs.renew_leases(run.id, ["node-1"], 60)
    server_client.hdel(f"sched/cluster/{run.id}", "heard")
    before = Limits(server_client, run).exact("leases", "node-1")
    run.coordinator.runs.sweep(run.id)
    assert Limits(server_client, run).exact("leases", "node-1") == before


# Waiting for messages


def test_the_clock_of_a_wait_for_messages_goes_on_over_its_slices(
    server_client: redis.Redis, register: Register
) -> None:
    run = register(one_server_and(1))
    options = {"operation": "receive", "job_id": run.job(1), "key": "port", "position": "0", "timeout": 100}

    def ask(**more: t.Any) -> dict[str, t.Any]:
        return MESSAGE.work(lambda: run.coordinator.connection, {**options, "slice": 0, **more}, False)

    assert ask()["answer"] == "retry"
    pass_time(server_client, run, 60)
    result = ask()
    assert result["answer"] == "retry" and 60 <= result["waited"] <= 60 + SLACK and not result.get("failed")
    assert ask(key="other")["waited"] < SLACK
    assert ask(job_id=run.job(2))["waited"] < SLACK
    pass_time(server_client, run, 50)
    result = ask()
    assert result["failed"] and result["msg"] == f"run {run.id}: no node sent port within 100 s"
    assert result["waited"] >= 110
    assert not ask().get("failed"), "a new wait has a clock of its own"
    pass_time(server_client, run, 70)
    run.coordinator.messages.send(run.id, "node-2", "port", "5201")
    assert ask()["value"] == "5201"
    assert run.coordinator.messages.time_waited(run.id, f"{run.job(1)}:port:0") < SLACK, (
        "it was received: that wait is over"
    )


def test_who_waits_for_a_message_looks_after_the_others(server_client: redis.Redis, register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.runs.renew_leases(run.id, ["node-2"], 60)
    pass_time(server_client, run, 61)
    run.coordinator.messages.time_waited(run.id, "node-1:port:0")
    assert reason_of(run)["node"] == "node-2"


def test_a_wait_for_messages_that_is_over_is_forgotten(coordinator: Coordinator, register: Register) -> None:
    run = register(one_server_and(1))
    assert run.coordinator.messages.time_waited(run.id, "one") < SLACK
    run.coordinator.messages.time_waited(run.id, "two")
    run.coordinator.messages.end_wait(run.id, "one")
    run.coordinator.messages.end_wait(run.id, "never asked")
    assert coordinator.connection.redis.hkeys(f"sched/cluster/{run.id}/receiving") == ["two"]
