# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Queues and workers: gangs taken in one step, first come first served, nothing lost with a dead worker."""

from __future__ import annotations

import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._archives import file_digest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import GivenUp, Worker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RETENTION
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import (
    open_exchange,
    tree_name,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from coordination.moments import wait_until_blocked
from support.plans import make_plan
from support.redis_server import RedisServer

LONG = 600.0
DAY = 86400


@pytest.fixture
def lab(start_server: t.Callable[..., RedisServer]) -> t.Iterator[Coordinator]:
    coordinator = Coordinator.connect(RedisSettings(url=start_server().url))
    yield coordinator
    coordinator.close()


def submit(lab: Coordinator, queues: t.Sequence[str], **options: t.Any) -> str:
    """Submit a run with a node for each queue; returns its id."""
    plan = make_plan([["client"] for _ in queues])
    for number, (node, queue) in enumerate(zip(plan["runs"][0]["nodes"], queues, strict=True), 1):
        node["node"], node["queue"] = f"{queue}--{number}", queue
    work = {node["job_id"]: {"node": node["node"]} for node in plan["runs"][0]["nodes"]}
    assert lab.registration.submit(plan, work, **options)
    return str(plan["runs"][0]["cluster_id"])


def register(lab: Coordinator, *machines: str, **options: t.Any) -> str:
    """Register a controller's run of these machines; returns its id."""
    plan = make_plan([["client"] for _ in machines])
    for node, machine in zip(plan["runs"][0]["nodes"], machines, strict=True):
        node["node"] = machine
    lab.registration.register(plan, **options)
    return str(plan["runs"][0]["cluster_id"])


def a_worker(
    machine: str, queue: str | None = None, *, lease: float = LONG, token: str = "1", host: str = "here"
) -> Worker:
    return Worker(machine, queue or machine, token, host, lease)


def register_workers(lab: Coordinator, *workers: Worker) -> None:
    for worker in workers:
        lab.queues.register(worker)


def holds(lab: Coordinator, worker: Worker) -> str | None:
    """The node job that a worker has been given."""
    return lab.queues.renew(worker)


def done(lab: Coordinator, worker: Worker) -> None:
    job_id = holds(lab, worker)
    assert job_id
    assert lab.queues.finish_job(worker.machine, worker.token, job_id)


def pass_barrier(lab: Coordinator, run: str, nodes: int, barrier: str = "start") -> None:
    for number in range(1, nodes + 1):
        lab.barriers.arrive(f"{run}.{number}", barrier)


def abort_text(lab: Coordinator, run: str) -> str:
    info = lab.history.info(run)
    assert info["result"] == "abort", info
    return str(info["reason"]["text"])


def redis_of(lab: Coordinator) -> t.Any:
    return lab.connection.redis


def ago(lab: Coordinator, seconds: float) -> int:
    """A time so many seconds before now, by the server's clock, in ms."""
    return int((lab.history.now() - seconds) * 1000)


def end_lease(lab: Coordinator, machine: str, *, silent: float = 3000) -> None:
    """As when a worker was last heard from so many seconds ago, and its lease has ended since; others were heard from."""
    redis_of(lab).hset(f"sched/worker/{machine}", "seen", ago(lab, silent))
    redis_of(lab).zadd("sched/worker_leases", {machine: 1})


def end_node_lease(lab: Coordinator, run: str, node: str) -> None:
    redis_of(lab).zadd(f"sched/cluster/{run}/leases", {node: 1})


def expire(lab: Coordinator, run: str) -> None:
    """As when the time is over for which a run is kept."""
    redis_of(lab).delete(*redis_of(lab).keys(f"sched/cluster/{run}*"))


def length_of(text: str) -> tuple[str, int]:
    """What is said of how long something took, apart from how long."""
    said, _for, seconds = text.removesuffix(" s").rpartition(" for ")
    return said, int(seconds)


def node_events(lab: Coordinator, run: str, node: str | None) -> list[tuple[str, t.Any]]:
    return [(event["what"], event["data"]) for event in lab.history.events(run) if event["node"] == node]


def test_a_gang_is_taken_in_one_step_when_the_last_worker_has_come(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    run = submit(lab, ["a", "b"])
    register_workers(lab, a)
    assert holds(lab, a) is None
    assert lab.reservations.holders() == {}
    register_workers(lab, b)
    assert (holds(lab, a), holds(lab, b)) == (f"{run}.1", f"{run}.2")
    assert lab.reservations.holders() == {"a": run, "b": run}
    assert node_events(lab, run, None) == [("registered", None), ("queued", None)]
    assert lab.queues.work_of(f"{run}.2") == {"node": "b--2"}
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "a", f"{run}.2": "b"}
    done(lab, a)
    done(lab, b)
    assert lab.reservations.holders() == {}
    assert lab.queues.open_jobs([run]) == {}


def test_the_stream_shows_who_waits_and_who_holds(lab: Coordinator) -> None:
    client = redis_of(lab)
    first, second = submit(lab, ["a"]), submit(lab, ["a"])
    assert [entry["cluster_id"] for _id, entry in client.xrange("sched/queue/a")] == [first, second]
    a = a_worker("a")
    register_workers(lab, a)
    pending = client.xpending_range("sched/queue/a", "workers", "-", "+", 10)
    assert [entry["consumer"] for entry in pending] == ["a"]
    done(lab, a)
    assert client.xlen("sched/queue/a") == 1
    assert client.xpending("sched/queue/a", "workers")["pending"] == 0
    register_workers(lab, a)
    assert holds(lab, a) == f"{second}.1"
    done(lab, a)
    lab.queues.leave("a", "1")
    assert client.keys("sched/queue*") == []


def test_first_come_first_served_and_who_waits_keeps_what_is_free_for_it(lab: Coordinator) -> None:
    a, b, c = a_worker("a"), a_worker("b"), a_worker("c")
    register_workers(lab, a, b, c)
    holder = submit(lab, ["a"])
    early, late, other = submit(lab, ["a", "b"]), submit(lab, ["b"]), submit(lab, ["c"])
    assert holds(lab, a) == f"{holder}.1"
    assert holds(lab, b) is None
    assert holds(lab, c) == f"{other}.1"
    assert lab.reservations.waiting() == [early, late]
    done(lab, a)
    register_workers(lab, a)
    assert (holds(lab, a), holds(lab, b)) == (f"{early}.1", f"{early}.2")
    done(lab, b)
    register_workers(lab, b)
    assert holds(lab, b) == f"{late}.1"


def test_a_worker_between_two_node_jobs_does_not_let_later_runs_pass(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    register_workers(lab, a, b)
    first = submit(lab, ["a"])
    gang, late = submit(lab, ["a", "b"]), submit(lab, ["b"])
    assert holds(lab, a) == f"{first}.1"
    done(lab, a)
    # It has ended, and is being started again.
    assert holds(lab, b) is None
    register_workers(lab, a)
    assert holds(lab, b) == f"{gang}.2"
    assert lab.reservations.waiting() == [late]


def test_priority_goes_before_order_and_never_takes_away(lab: Coordinator) -> None:
    a = a_worker("a")
    register_workers(lab, a)
    running = submit(lab, ["a"])
    usual, urgent, humble = submit(lab, ["a"]), submit(lab, ["a"], priority=5), submit(lab, ["a"], priority=-5)
    urgent_too = submit(lab, ["a"], priority=5)
    assert lab.reservations.waiting() == [urgent, urgent_too, usual, humble]
    assert holds(lab, a) == f"{running}.1"
    with pytest.raises(InputError, match="priority 101: right would be -100 to 100"):
        submit(lab, ["a"], priority=101)


def test_several_workers_serve_one_queue(lab: Coordinator) -> None:
    vms = [a_worker(f"host-{number}", "vm") for number in range(3)]
    run, next_run = submit(lab, ["vm", "vm"]), submit(lab, ["vm"])
    register_workers(lab, vms[0])
    assert holds(lab, vms[0]) == f"{next_run}.1", "a run that lacks a worker lets others pass"
    register_workers(lab, vms[1])
    assert holds(lab, vms[1]) is None, "one that waits for a busy worker does not"
    register_workers(lab, vms[2])
    assert [holds(lab, worker) for worker in vms] == [f"{next_run}.1", f"{run}.1", f"{run}.2"]


def test_a_controller_and_workers_stand_in_one_line(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    register_workers(lab, a, b)
    queued = submit(lab, ["a"])
    pushed = register(lab, "a", "b")
    blockers, _waited = lab.reservations.reserve(pushed, lease=LONG)
    assert [(blocker.machine, blocker.run) for blocker in blockers] == [("a", queued)]
    later = submit(lab, ["b"])
    assert holds(lab, b) is None
    done(lab, a)
    assert lab.reservations.reserve(pushed, lease=LONG)[0] == []
    register_workers(lab, a)
    assert (holds(lab, a), holds(lab, b)) == (None, None)
    lab.reservations.free(pushed, "b")
    assert holds(lab, b) == f"{later}.1"


def test_a_worker_that_dies_before_the_run_has_begun_gives_its_node_job_back(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    run = submit(lab, ["a", "b"])
    register_workers(lab, b, a)
    late = submit(lab, ["a"], priority=100)
    lab.nodes.write_state(f"{run}.1", ip="192.0.2.1")
    lab.runs.renew_leases(run, ["a--1", "b--2"], LONG)
    lab.barriers.arrive(f"{run}.1", "start")
    end_lease(lab, "a")
    assert holds(lab, b) == f"{run}.2"
    node = lab.nodes.record(f"{run}.1")
    assert (node["state"], node["times"]) == ("registered", {})
    assert lab.queues.open_jobs([run]) == {f"{run}.1": None, f"{run}.2": "b"}
    assert lab.reservations.holders() == {"b": run}
    # It is ahead of all that wait, and its barrier waits for whoever comes.
    assert lab.reservations.waiting() == [run, late]
    start = lab.history.info(run)["barriers"]["start"]
    assert [entry["node"] for entry in start["missing"]] == ["a--1", "b--2"]
    what, why = node_events(lab, run, "a--1")[-1]
    assert what == "given_back"
    said, seconds = length_of(why)
    assert said == "the worker on a was not heard from" and 3000 <= seconds < 3060
    assert redis_of(lab).zrange(f"sched/cluster/{run}/leases", 0, -1) == ["b--2"]
    assert list(redis_of(lab).hgetall(f"sched/cluster/{run}/promises")) == ["b--2"]
    assert redis_of(lab).xpending("sched/queue/a", "workers")["pending"] == 0
    another = a_worker("a", token="2")
    register_workers(lab, another)
    assert holds(lab, another) == f"{run}.1"
    assert lab.history.info(run)["result"] is None
    assert [event["what"] for event in lab.history.events(run)].count("given_back") == 1


def test_of_an_arrival_at_the_start_nothing_stays_when_the_node_job_is_given_back(lab: Coordinator) -> None:
    register_workers(lab, a_worker("a"), a_worker("b"))
    run = submit(lab, ["a", "b"])
    assert lab.barriers.wait(f"{run}.1", "start", slice_seconds=0, retries=3).retries == 1
    barrier = f"sched/cluster/{run}/barrier/start"
    assert set(redis_of(lab).hgetall(barrier)) == {"participants", "at:a--1", "retries:a--1"}
    lab.queues.leave("a", "1")
    assert redis_of(lab).hgetall(barrier) == {"participants": "all"}
    assert not redis_of(lab).exists(f"sched/cluster/{run}/arrived/start")


def test_node_jobs_that_are_given_back_keep_the_order_of_their_runs(lab: Coordinator) -> None:
    register_workers(lab, *(a_worker(machine) for machine in ("a", "b", "c", "d")))
    first, second, third = submit(lab, ["a", "d"]), submit(lab, ["b"]), submit(lab, ["c"])
    waiting = submit(lab, ["a", "b", "c", "d"], priority=100)
    for machine in ("c", "a", "b", "d"):
        lab.queues.leave(machine, "1")
    assert lab.reservations.waiting() == [first, second, third, waiting]


def test_what_is_given_back_is_kept_no_longer_than_its_run(lab: Coordinator) -> None:
    run = submit(lab, ["a"])
    register_workers(lab, a_worker("a"))
    lab.queues.leave("a", "1")
    register_workers(lab, a_worker("a", token="2"))
    lab.queues.leave("a", "2")
    keys = redis_of(lab).keys(f"sched/cluster/{run}*")
    lasting = {key: redis_of(lab).pttl(key) for key in keys}
    assert f"sched/cluster/{run}/queued" in lasting and f"sched/cluster/{run}/given" in lasting
    assert {key: 0 < left <= 1000 * DEFAULT_RETENTION for key, left in lasting.items()} == dict.fromkeys(keys, True)


def test_a_worker_that_dies_afterwards_aborts_the_run(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    run = submit(lab, ["a", "b"])
    register_workers(lab, a, b)
    pass_barrier(lab, run, 2)
    end_lease(lab, "a")
    assert holds(lab, b) == f"{run}.2"
    said, seconds = length_of(abort_text(lab, run))
    assert said == "a--1: the worker on a was not heard from" and 3000 <= seconds < 3060
    reason = lab.history.info(run)["reason"]
    assert (reason["kind"], reason["node"]) == ("lost", "a--1")
    assert node_events(lab, run, "a--1")[-1] == ("worker_lost", reason["text"].removeprefix("a--1: "))
    assert lab.queues.open_jobs([run]) == {f"{run}.2": "b"}
    assert lab.reservations.holders() == {"b": run}
    assert [worker["machine"] for worker in lab.queues.workers()] == ["b"]


@pytest.mark.parametrize("how", ["leaves", "dies"])
def test_a_node_job_of_an_aborted_run_is_not_given_back(lab: Coordinator, how: str) -> None:
    a, b = a_worker("a"), a_worker("b")
    run = submit(lab, ["a", "b"])
    register_workers(lab, a, b)
    lab.runs.abort(run, make_reason("enough"))
    if how == "leaves":
        lab.queues.leave("a", "1")
    else:
        end_lease(lab, "a")
        lab.queues.go_along_line()
    assert lab.queues.open_jobs([run]) == {f"{run}.2": "b"}
    assert lab.reservations.waiting() == []
    assert abort_text(lab, run) == "enough"
    assert lab.nodes.record(f"{run}.1")["state"] == "abort"
    assert [what for what, _data in node_events(lab, run, "a--1")] == ["taken", "abort", "worker_lost"]


def test_a_node_lease_that_ends_before_the_run_has_begun_leaves_it_to_the_worker(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    run = submit(lab, ["a", "b"])
    register_workers(lab, a, b)
    lab.nodes.write_state(f"{run}.1", ip="192.0.2.1")
    lab.runs.renew_leases(run, ["a--1"], LONG)
    end_node_lease(lab, run, "a--1")
    assert lab.runs.sweep(run) is None
    pass_barrier(lab, run, 2)
    lab.runs.renew_leases(run, ["a--1"], LONG)
    end_node_lease(lab, run, "a--1")
    reason = lab.runs.sweep(run)
    assert reason is not None and reason["node"] == "a--1"


def test_a_worker_that_is_started_again_takes_over_at_once(lab: Coordinator) -> None:
    run = submit(lab, ["a"])
    register_workers(lab, a_worker("a", token="1"))
    again = a_worker("a", token="2")
    register_workers(lab, again)
    assert holds(lab, again) == f"{run}.1"
    pass_barrier(lab, run, 1)
    register_workers(lab, a_worker("a", token="3"))
    assert abort_text(lab, run) == "a--1: the worker on a was ended from outside"
    # Its results may still come from the machine's disk.
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "a"}
    assert lab.queues.finish_job("a", "3", f"{run}.1")
    assert lab.queues.open_jobs([run]) == {}
    assert [worker["left_job_id"] for worker in lab.queues.workers()] == [None]
    assert node_events(lab, run, "a--1")[-1] == ("handed_in", "a")
    with pytest.raises(CoordinationError, match="the worker on a has been given up"):
        holds(lab, again)
    with pytest.raises(CoordinationError, match="machine a has a worker already, on here; give this one another name"):
        register_workers(lab, a_worker("a", token="4", host="elsewhere"))


def test_results_that_never_come_are_waited_for_no_longer_than_the_worker_lives(lab: Coordinator) -> None:
    run = submit(lab, ["a"])
    register_workers(lab, a_worker("a", token="1"))
    pass_barrier(lab, run, 1)
    register_workers(lab, a_worker("a", token="2"))
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "a"}
    assert [(worker["job_id"], worker["left_job_id"]) for worker in lab.queues.workers()] == [(None, f"{run}.1")]
    end_lease(lab, "a")
    lab.queues.go_along_line()
    assert lab.queues.open_jobs([run]) == {}
    assert node_events(lab, run, "a--1")[-1] == ("worker_lost", "its worker is gone")


def test_results_of_a_worker_that_was_given_up_still_count_as_handed_in(lab: Coordinator) -> None:
    run = submit(lab, ["a"])
    register_workers(lab, a_worker("a"))
    pass_barrier(lab, run, 1)
    end_lease(lab, "a")
    lab.queues.go_along_line()
    assert lab.queues.open_jobs([run]) == {}
    assert not lab.queues.finish_job("a", "1", f"{run}.1")
    assert node_events(lab, run, "a--1")[-1] == ("handed_in", "a")


def test_a_run_whose_queues_have_too_few_workers_gives_up_for_everyone(lab: Coordinator) -> None:
    register_workers(lab, a_worker("a"), a_worker("host-1", "vm"))
    run = submit(lab, ["a", "nobody", "vm", "vm", "also", "last", "more"], queue_timeout=2000)
    lab.queues.go_along_line()
    passes = submit(lab, ["a"])
    assert holds(lab, a_worker("a")) == f"{passes}.1", "a run that lacks a worker lets others pass"
    redis_of(lab).hset(f"sched/cluster/{run}", "lacking", ago(lab, 1000))
    lab.queues.go_along_line()
    assert lab.history.info(run)["result"] is None
    assert lab.reservations.waiting() == [run]
    redis_of(lab).hset(f"sched/cluster/{run}", "lacking", ago(lab, 3000))
    lab.queues.go_along_line()
    said, seconds = length_of(abort_text(lab, run))
    assert said == (
        "queue also has no worker, queue last has no worker, queue more has no worker, queue nobody has no worker, "
        "queue vm has 1 of the 2 workers that it takes,"
    )
    assert 3000 <= seconds < 3060
    assert lab.history.info(run)["reason"]["kind"] == "timeout"
    assert lab.reservations.waiting() == []
    assert {queue: [job["job_id"] for job in jobs] for queue, jobs in lab.queues.queues().items()} == {
        "a": [f"{passes}.1"],
        "vm": [],
    }


def test_the_time_without_a_worker_counts_anew_when_there_was_one(lab: Coordinator) -> None:
    register_workers(lab, a_worker("a"))
    lab.reservations.reserve(register(lab, "a"), lease=LONG)
    run = submit(lab, ["a", "b"], queue_timeout=2000)
    redis_of(lab).hset(f"sched/cluster/{run}", "lacking", ago(lab, 1500))
    register_workers(lab, a_worker("b"))
    assert redis_of(lab).hget(f"sched/cluster/{run}", "lacking") is None
    lab.queues.leave("b", "1")
    since = redis_of(lab).hget(f"sched/cluster/{run}", "lacking")
    assert since is not None and int(since) > ago(lab, 1000)
    lab.queues.go_along_line()
    assert redis_of(lab).hget(f"sched/cluster/{run}", "lacking") == since
    assert lab.history.info(run)["result"] is None


def test_waiting_for_busy_workers_is_not_limited(lab: Coordinator) -> None:
    a = a_worker("a")
    register_workers(lab, a)
    holder = submit(lab, ["a"])
    waiter = submit(lab, ["a"], queue_timeout=1e-9)
    lab.queues.go_along_line()
    lab.queues.go_along_line()
    assert holds(lab, a) == f"{holder}.1"
    assert lab.history.info(waiter)["result"] is None
    assert redis_of(lab).hget(f"sched/cluster/{waiter}", "lacking") is None


def test_an_aborted_run_leaves_its_queues(lab: Coordinator) -> None:
    waiting = submit(lab, ["a", "b"])
    lab.runs.abort(waiting, make_reason("an operator changed her mind"))
    lab.queues.go_along_line()
    assert lab.queues.open_jobs([waiting]) == {}
    assert lab.queues.queues() == {}
    assert lab.reservations.waiting() == []
    run = submit(lab, ["a"])
    register_workers(lab, a_worker("a"))
    assert lab.runs.remove(run)
    lab.queues.finish_job("a", "1", f"{run}.1")
    assert (lab.queues.queues(), lab.reservations.holders()) == ({"a": []}, {})


def test_the_scripts_of_a_run_that_waits_are_kept_as_long_as_it(lab: Coordinator, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(b"scripts")
    exchange = open_exchange("redis", lab.connection.settings)
    exchange.put(tree_name(file_digest(packed)), packed, keep_seconds=1)
    plan = make_plan([["client"]])
    node = plan["runs"][0]["nodes"][0]
    node["queue"] = "a"
    digest = file_digest(packed)
    client, run, tree = redis_of(lab), plan["runs"][0]["cluster_id"], f"sched/files/{tree_name(digest)}"
    lab.registration.submit(plan, {node["job_id"]: {"trees": {"/scripts": digest}}}, retention=1000)
    client.pexpire(tree, 100_000)
    lab.queues.go_along_line()
    assert client.pttl(tree) <= 100_000, "so early, nothing is done"
    for key in client.keys(f"sched/cluster/{run}*"):
        client.pexpire(key, 850_000)
    client.hset(f"sched/cluster/{run}", "expires", ago(lab, -850))
    lab.queues.go_along_line()
    for key in (tree, f"sched/cluster/{run}", f"sched/cluster/{run}/jobs", f"sched/cluster/{run}/queued"):
        assert 900_000 < client.pttl(key) <= 1000_000, key
    # Another run may need it longer.
    client.pexpire(tree, 5000_000)
    client.hset(f"sched/cluster/{run}", "expires", ago(lab, -850))
    lab.queues.go_along_line()
    assert client.pttl(tree) > 4000_000
    assert exchange.get(tree_name(digest), tmp_path / "fetched")


def test_a_run_that_waits_without_scripts_is_kept_too(lab: Coordinator) -> None:
    run = submit(lab, ["a"], retention=1000)
    redis_of(lab).hset(f"sched/cluster/{run}", "expires", ago(lab, -850))
    redis_of(lab).pexpire(f"sched/cluster/{run}/queued", 850_000)
    lab.queues.go_along_line()
    assert redis_of(lab).pttl(f"sched/cluster/{run}/queued") > 900_000


def submitted(lab: Coordinator) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """A plan of one node job in queue a, and the work that was submitted with it."""
    plan = make_plan([["client"]])
    plan["runs"][0]["nodes"][0]["queue"] = "a"
    work: dict[str, t.Any] = {plan["runs"][0]["nodes"][0]["job_id"]: {}}
    assert lab.registration.submit(plan, work)
    return plan, work


def test_submitting_twice_changes_nothing(lab: Coordinator) -> None:
    plan, work = submitted(lab)
    assert not lab.registration.submit(plan, work)
    assert len(lab.queues.queues()["a"]) == 1
    assert lab.registration.plan(plan["submission_id"]) == plan


def test_a_waiting_worker_is_woken_by_its_node_job(lab: Coordinator) -> None:
    a = a_worker("a")
    _job, position = lab.queues.register(a)
    given: list[str | None] = []
    waiting = threading.Thread(target=lambda: given.append(lab.queues.wait(a, position, 60)))
    begin = time.monotonic()
    waiting.start()
    wait_until_blocked(redis_of(lab))
    run = submit(lab, ["a"])
    waiting.join(90)
    assert given == [f"{run}.1"]
    assert time.monotonic() - begin < 50


def test_a_worker_that_waits_in_vain_goes_on_later(lab: Coordinator) -> None:
    a = a_worker("a")
    _job, position = lab.queues.register(a)
    redis_of(lab).config_resetstat()
    begin = time.monotonic()
    assert lab.queues.wait(a, position, 0.3) is None
    assert time.monotonic() - begin >= 0.3
    assert redis_of(lab).info("commandstats")["cmdstat_xread"]["calls"] < 5, "it waits in Redis"
    run = submit(lab, ["a"])
    begin = time.monotonic()
    assert lab.queues.wait(a, position, 60) == f"{run}.1", "what came meanwhile is found at once"
    assert time.monotonic() - begin < 50
    job, later = lab.queues.register(a)
    assert (job, later > position) == (f"{run}.1", True)
    lab.queues.leave("a", "1")
    with pytest.raises(GivenUp):
        lab.queues.wait(a, later, 0.01)


def pass_time(lab: Coordinator, seconds: float) -> None:
    """As if so many seconds had gone by without a word of anybody."""
    client = redis_of(lab)
    for name in ("worker_leases", "reservation_leases"):
        for member in client.zrange(f"sched/{name}", 0, -1):
            client.zincrby(f"sched/{name}", -seconds * 1000, member)
    heard = int(client.hget("sched/book", "heard"))
    client.hset("sched/book", "heard", heard - int(seconds * 1000))


def test_a_node_job_that_ends_each_of_its_workers_is_given_out_five_times(lab: Coordinator) -> None:
    b = a_worker("b")
    run = submit(lab, ["a", "b"])
    register_workers(lab, b)
    for number in range(1, 6):
        assert lab.history.info(run)["result"] is None
        assert lab.queues.open_jobs([run])[f"{run}.1"] is None
        register_workers(lab, a_worker("a", token=str(number)))
        assert holds(lab, a_worker("a", token=str(number))) == f"{run}.1"
        lab.queues.leave("a", str(number))
    assert (
        abort_text(lab, run) == "a--1: 5 workers were gone before the run had begun; the last: the worker on a has left"
    )
    assert lab.history.info(run)["reason"]["node"] == "a--1"
    assert lab.queues.open_jobs([run]) == {f"{run}.2": "b"}
    assert lab.reservations.waiting() == []
    assert redis_of(lab).xlen("sched/worker/a/calls") == 1, "only the last call counts"
    late = submit(lab, ["a"])
    with pytest.raises(CoordinationError, match="has been given up"):
        holds(lab, a_worker("a", token="5"))
    register_workers(lab, a_worker("a", token="6"))
    assert holds(lab, a_worker("a", token="6")) == f"{late}.1"


def test_only_the_worker_that_was_given_a_node_job_last_hands_it_in(lab: Coordinator) -> None:
    first, second = a_worker("host-1", "vm"), a_worker("host-2", "vm")
    run = submit(lab, ["vm"])
    register_workers(lab, first)
    assert lab.queues.was_given_last("host-1", f"{run}.1")
    end_lease(lab, "host-1")
    register_workers(lab, second)
    assert holds(lab, second) == f"{run}.1"
    pass_barrier(lab, run, 1)
    assert not lab.queues.was_given_last("host-1", f"{run}.1")
    assert not lab.queues.finish_job("host-1", "1", f"{run}.1")
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "host-2"}
    assert lab.queues.was_given_last("host-2", f"{run}.1")
    # Nobody holds it now, and still it is not the first one's to hand in.
    end_lease(lab, "host-2")
    lab.queues.go_along_line()
    assert lab.queues.open_jobs([run]) == {}
    assert not lab.queues.finish_job("host-1", "1", f"{run}.1")
    assert "handed_in" not in [event["what"] for event in lab.history.events(run)]
    assert not lab.queues.finish_job("host-2", "1", f"{run}.1")
    assert node_events(lab, run, "vm--1")[-1] == ("handed_in", "host-2")


def test_a_run_that_is_gone_leaves_nothing_in_its_queues(lab: Coordinator) -> None:
    client = redis_of(lab)
    forgotten, another = submit(lab, ["a", "b"]), submit(lab, ["a"])
    expire(lab, forgotten)
    lab.queues.go_along_line()
    in_queues = {queue: [job["cluster_id"] for job in jobs] for queue, jobs in lab.queues.queues().items()}
    assert in_queues == {"a": [another]}
    assert lab.reservations.waiting() == [another]
    assert lab.runs.remove(another)
    assert lab.queues.queues() == {}
    assert client.keys("sched/queue*") == []


def test_a_dead_worker_is_found_out_by_one_with_a_long_lease_too(lab: Coordinator) -> None:
    """One that is heard from every 20 seconds must not take its own pauses for a silence of all."""
    a, b = a_worker("a", lease=60), a_worker("b", lease=60)
    register_workers(lab, a, b)
    for _ in range(4):
        pass_time(lab, 20)
        holds(lab, b)
    assert [worker["machine"] for worker in lab.queues.workers()] == ["b"]
    register_workers(lab, a)
    pass_time(lab, 70)
    holds(lab, b)
    assert len(lab.queues.workers()) == 2, "a silence of all is forgiven"


def test_what_is_given_is_kept_as_long_as_its_run(lab: Coordinator) -> None:
    register_workers(lab, a_worker("a"))
    run = submit(lab, ["a"], retention=1000)
    client = redis_of(lab)
    for part in ("", "/held", "/taken", "/given", "/jobs"):
        assert 900 < client.ttl(f"sched/cluster/{run}{part}") <= 1000, part
    waiting = submit(lab, ["a"], retention=1000)
    for part in ("", "/queued", "/jobs"):
        assert 900 < client.ttl(f"sched/cluster/{waiting}{part}") <= 1000, part
    assert DAY - 60 < client.ttl("sched/worker/a/calls") <= DAY


def test_runs_of_one_submission_stand_in_line_by_their_numbers(lab: Coordinator) -> None:
    plan = make_plan([["client"]], runs=11)
    nodes = [node for run in plan["runs"] for node in run["nodes"]]
    for node in nodes:
        node["queue"] = "a"
    assert lab.registration.submit(plan, {node["job_id"]: {} for node in nodes})
    runs = [run["cluster_id"] for run in plan["runs"]]
    assert lab.reservations.waiting() == runs
    assert [job["cluster_id"] for job in lab.queues.queues()["a"]] == runs


def test_node_jobs_of_one_queue_go_to_its_workers_by_their_numbers(lab: Coordinator) -> None:
    workers = [a_worker(f"host-{number:02}", "vm") for number in range(1, 12)]
    register_workers(lab, *workers)
    run = submit(lab, ["vm"] * 11)
    assert [holds(lab, worker) for worker in workers] == [f"{run}.{number}" for number in range(1, 12)]


def test_a_clock_that_was_set_back_does_not_change_the_order(lab: Coordinator) -> None:
    """The place in the line is behind that of the last who came, even if that one has left it."""
    client = redis_of(lab)
    assert lab.runs.remove(submit(lab, ["a"]))
    later = ago(lab, -5000)
    client.hset("sched/book", "arrival", later)
    client.persist("sched/book")
    run, humble, pushed = submit(lab, ["a"]), submit(lab, ["a"], priority=-2), register(lab, "b")
    assert lab.reservations.reserve(register(lab, "b"), lease=LONG)[0] == []
    assert lab.reservations.reserve(pushed, lease=LONG)[0] != []
    assert dict(client.zrange("sched/waiting", 0, -1, withscores=True)) == {
        run: later + 1,
        humble: later + 2 + 2 * 2**42,
        pushed: later + 4,
    }
    assert [client.hget(f"sched/cluster/{each}", "arrival") for each in (run, humble, pushed)] == [
        str(later + number) for number in (1, 2, 4)
    ]
    assert 6 * DAY < client.ttl("sched/book") <= 7 * DAY


def test_what_is_shown_of_workers_and_queues(lab: Coordinator) -> None:
    register_workers(lab, a_worker("z", lease=90), a_worker("y", "vm"), a_worker("x", "vm", host="there"))
    run = submit(lab, ["z", "vm", "none"], queue_timeout=5000)
    given = submit(lab, ["z"])
    client, now = redis_of(lab), lab.history.now()
    client.hset("sched/worker/z", "since", ago(lab, 300))
    client.hset("sched/worker/z", "seen", ago(lab, 200))
    client.hset("sched/worker/z", "given", ago(lab, 100))
    x, y, z = lab.queues.workers()
    assert [(worker["machine"], worker["queue"], worker["host"]) for worker in (x, y, z)] == [
        ("x", "vm", "there"),
        ("y", "vm", "here"),
        ("z", "z", "here"),
    ]
    assert (y["job_id"], y["left_job_id"], y["job_since"]) == (None, None, None)
    assert (z["job_id"], z["left_job_id"]) == (f"{given}.1", None)
    assert [z[name] - now for name in ("since", "seen", "job_since", "lease")] == pytest.approx(
        [-300, -200, -100, 90], abs=30
    )
    queues = lab.queues.queues()
    assert list(queues) == ["none", "vm", "z"]
    assert all(abs(job.pop("since") - now) < 30 for jobs in queues.values() for job in jobs)
    assert queues["z"] == [
        {"job_id": f"{run}.1", "cluster_id": run, "node": "z--1", "machine": None},
        {"job_id": f"{given}.1", "cluster_id": given, "node": "z--1", "machine": "z"},
    ]
    assert node_events(lab, given, None)[:2] == [("registered", None), ("queued", None)]
    assert node_events(lab, given, "z--1") == [("taken", "z")]


def test_a_node_job_that_nobody_knows(lab: Coordinator) -> None:
    job_id = "20260131T120000-none.1.1"
    with pytest.raises(CoordinationError, match=f"job {job_id} is not known to Redis: removed or expired"):
        lab.queues.work_of(job_id)
    assert not lab.queues.was_given_last("a", job_id)
    assert not lab.queues.finish_job("a", "1", job_id)
    assert lab.queues.open_jobs(["20260131T120000-none.1"]) == {}


def idle_since(lab: Coordinator, machine: str, queue: str) -> float:
    return float(redis_of(lab).zscore(f"sched/queue/{queue}/workers", machine))


def test_a_worker_that_says_so_gets_no_node_job_yet(lab: Coordinator) -> None:
    a, b = a_worker("a", "vm"), a_worker("b", "vm")
    assert lab.queues.register(a, idle=False) == (None, "0-0")
    run = submit(lab, ["vm"], queue_timeout=1e-9)
    assert holds(lab, a) is None
    assert lab.history.info(run)["result"] is None, "it counts as a worker of its queue"
    assert idle_since(lab, "a", "vm") == 0
    register_workers(lab, b)
    assert holds(lab, b) == f"{run}.1"
    register_workers(lab, a)
    assert idle_since(lab, "a", "vm") > ago(lab, 60)
    register_workers(lab, b)
    assert idle_since(lab, "b", "vm") == 0, "one that comes again keeps what it holds, and is not idle"
    later = submit(lab, ["vm"])
    assert (holds(lab, a), holds(lab, b)) == (f"{later}.1", f"{run}.1")


def test_each_sign_of_a_worker_renews_its_lease(lab: Coordinator) -> None:
    a, client = a_worker("a", lease=1000), redis_of(lab)

    def left() -> float:
        return float(client.zscore("sched/worker_leases", "a") / 1000 - lab.history.now())

    register_workers(lab, a)
    client.hset("sched/worker/a", "since", 1)
    for sign in (lambda: register_workers(lab, a), lambda: holds(lab, a)):
        client.zadd("sched/worker_leases", {"a": ago(lab, -50)})
        client.hset("sched/worker/a", "seen", 1)
        sign()
        assert 900 < left() <= 1000
    assert int(client.hget("sched/worker/a", "seen")) > ago(lab, 60)
    assert client.hget("sched/worker/a", "since") == "1"
    # Its lease is over, but nobody has noticed before it is heard from again.
    end_lease(lab, "a")
    assert holds(lab, a) is None
    assert 900 < left() <= 1000


def test_a_worker_can_change_its_queue(lab: Coordinator) -> None:
    register_workers(lab, a_worker("a", "old", token="1"))
    register_workers(lab, a_worker("a", "new", token="2"))
    assert [(worker["machine"], worker["queue"]) for worker in lab.queues.workers()] == [("a", "new")]
    assert lab.queues.queues() == {"new": []}
    run = submit(lab, ["new"])
    assert holds(lab, a_worker("a", token="2")) == f"{run}.1"


def test_who_has_another_token_changes_nothing(lab: Coordinator) -> None:
    a = a_worker("a", token="2")
    run = submit(lab, ["a"])
    register_workers(lab, a_worker("a", token="1"), a)
    lab.queues.leave("a", "1")
    assert holds(lab, a) == f"{run}.1"
    with pytest.raises(GivenUp):
        holds(lab, a_worker("a", token="1"))
    # Its part is over, whoever says so on that machine, but the machine is the present worker's.
    assert lab.queues.finish_job("a", "1", f"{run}.1")
    assert lab.reservations.holders() == {"a": run}
    assert holds(lab, a) == f"{run}.1"


def left_and_come_again(lab: Coordinator) -> tuple[str, Worker]:
    """A run whose worker has passed its first barrier, and the worker that has come to its machine since."""
    first = submit(lab, ["a"])
    register_workers(lab, a_worker("a", token="1"))
    pass_barrier(lab, first, 1)
    again = a_worker("a", token="2")
    register_workers(lab, again)
    return first, again


def test_results_of_an_earlier_run_do_not_free_the_machine_for_a_third_one(lab: Coordinator) -> None:
    first, again = left_and_come_again(lab)
    second, third = submit(lab, ["a"]), submit(lab, ["a"])
    assert holds(lab, again) == f"{second}.1"
    assert lab.queues.finish_job("a", "2", f"{first}.1")
    assert holds(lab, again) == f"{second}.1"
    assert lab.reservations.holders() == {"a": second}
    assert lab.queues.open_jobs([first, second, third]) == {f"{second}.1": "a", f"{third}.1": None}


def test_what_is_left_on_a_machine_can_be_handed_in_after_a_later_node_job(lab: Coordinator) -> None:
    first, _again = left_and_come_again(lab)
    second = submit(lab, ["a"])
    assert lab.queues.finish_job("a", "2", f"{second}.1")
    assert lab.queues.open_jobs([first, second]) == {f"{first}.1": "a"}
    assert lab.queues.finish_job("a", "2", f"{first}.1")


@pytest.mark.parametrize("how", ["hands in", "leaves", "dies", "is replaced"])
@pytest.mark.parametrize("is_left", [False, True])
def test_a_worker_ends_what_is_left_in_its_queue_of_a_run_that_was_removed(
    lab: Coordinator, how: str, is_left: bool
) -> None:
    run, token = submit(lab, ["a"]), "1"
    register_workers(lab, a_worker("a"))
    if is_left:
        pass_barrier(lab, run, 1)
        token = "2"
        lab.queues.register(a_worker("a", token=token), idle=False)
    another = submit(lab, ["a"])
    assert lab.runs.remove(run)
    assert [job["cluster_id"] for job in lab.queues.queues()["a"]] == [run, another]
    if how == "hands in":
        assert not lab.queues.finish_job("a", token, f"{run}.1")
    elif how == "leaves":
        lab.queues.leave("a", token)
    elif how == "dies":
        end_lease(lab, "a")
        lab.queues.go_along_line()
    else:
        register_workers(lab, a_worker("a", token="3"))
    assert [job["cluster_id"] for job in lab.queues.queues()["a"]] == [another]
    assert run not in lab.reservations.holders().values()


def test_what_a_worker_holds_of_an_aborted_run_stays_in_its_queue(lab: Coordinator) -> None:
    b = a_worker("b")
    register_workers(lab, a_worker("a"), b)
    run = submit(lab, ["a", "b"])
    lab.queues.leave("a", "1")
    lab.runs.abort(run, make_reason("enough"))
    lab.queues.go_along_line()
    assert lab.queues.open_jobs([run]) == {f"{run}.2": "b"}
    assert [(queue, [job["machine"] for job in jobs]) for queue, jobs in lab.queues.queues().items()] == [("b", ["b"])]
    done(lab, b)
    assert lab.queues.queues() == {"b": []}


def test_a_machine_that_a_controller_holds_is_passed_over(lab: Coordinator) -> None:
    first, second = a_worker("host-1", "vm"), a_worker("host-2", "vm")
    register_workers(lab, first, second)
    assert lab.reservations.reserve(register(lab, "host-1"), lease=LONG)[0] == []
    run = submit(lab, ["vm"])
    assert (holds(lab, first), holds(lab, second)) == (None, f"{run}.1")


def test_a_controller_that_asks_when_a_worker_has_died_is_not_taken_for_its_run(lab: Coordinator) -> None:
    register_workers(lab, a_worker("a"))
    lost = submit(lab, ["a"])
    pass_barrier(lab, lost, 1)
    end_lease(lab, "a")
    run = register(lab, "a")
    assert lab.reservations.reserve(run, lease=LONG)[0] == []
    assert abort_text(lab, lost).startswith("a--1: the worker on a was not heard from for ")
    assert lab.reservations.holders() == {"a": run}


def held_up(lab: Coordinator, **options: t.Any) -> tuple[str, str]:
    """Two runs that wait. The second could go if the first were aborted, which by itself has nobody look."""
    register_workers(lab, a_worker("a"), a_worker("b"), a_worker("c"), a_worker("d"))
    submit(lab, ["a"])
    before, late = submit(lab, ["a", "b"]), submit(lab, ["b"], **options)
    assert lab.reservations.waiting() == [before, late]
    return before, late


def test_what_a_controller_gets_is_kept_as_long_as_its_own_run(lab: Coordinator) -> None:
    before, late = held_up(lab, retention=100)
    run = register(lab, "z", retention=1000)
    lab.runs.abort(before, make_reason("enough"))
    assert lab.reservations.reserve(run, lease=LONG)[0] == []
    assert lab.queues.open_jobs([late]) == {f"{late}.1": "b"}, "it was given out on the way along the line"
    assert 900 < redis_of(lab).ttl(f"sched/cluster/{run}/held") <= 1000


# Each as a worker or a controller does it that has nothing to do with what it brings about.
STEPS: dict[str, t.Callable[[Coordinator], object]] = {
    "turn": lambda lab: lab.queues.go_along_line(),
    "submit": lambda lab: submit(lab, ["c"]),
    "come": lambda lab: register_workers(lab, a_worker("e")),
    "come again": lambda lab: register_workers(lab, a_worker("d")),
    "renew": lambda lab: holds(lab, a_worker("d")),
    "done": lambda lab: lab.queues.finish_job("d", "1", "20260131T120000-none.1.1"),
    "leave": lambda lab: lab.queues.leave("d", "1"),
    "reserve": lambda lab: lab.reservations.reserve(register(lab, "z"), lease=LONG),
}


@pytest.mark.parametrize("step", [*STEPS, "renew in vain"])
def test_every_step_gives_up_what_has_died(lab: Coordinator, step: str) -> None:
    register_workers(lab, a_worker("c"), a_worker("d"), a_worker("dead"))
    assert lab.reservations.reserve(dead := register(lab, "m"), lease=LONG)[0] == []
    end_lease(lab, "dead")
    redis_of(lab).zadd("sched/reservation_leases", {dead: 1})
    if step == "renew in vain":
        with pytest.raises(GivenUp):
            holds(lab, a_worker("d", token="2"))
    else:
        STEPS[step](lab)
    assert redis_of(lab).zscore("sched/worker_leases", "dead") is None
    assert redis_of(lab).zscore("sched/reservation_leases", dead) is None
    assert "m" not in lab.reservations.holders()


@pytest.mark.parametrize("step", [*STEPS, "release", "withdraw", "remove"])
def test_every_step_gives_out_what_can_be_given(lab: Coordinator, step: str) -> None:
    before, late = held_up(lab)
    another = register(lab, "m")
    assert lab.reservations.reserve(another, lease=LONG)[0] == []
    lab.runs.abort(before, make_reason("enough"))
    # A sign of life alone does so no more often than once in a second.
    redis_of(lab).hset("sched/book", "walked", ago(lab, 2))
    assert lab.queues.open_jobs([late]) == {f"{late}.1": None}
    if step == "release":
        assert lab.reservations.free(another, "m")
    elif step == "withdraw":
        lab.reservations.withdraw(another)
    elif step == "remove":
        assert lab.runs.remove(another)
    else:
        STEPS[step](lab)
    assert lab.queues.open_jobs([late]) == {f"{late}.1": "b"}
    assert lab.reservations.waiting() == []


def test_a_sign_of_life_does_not_go_along_the_line_more_often_than_needed(lab: Coordinator) -> None:
    client = redis_of(lab)
    before, late = held_up(lab)
    lab.runs.abort(before, make_reason("enough"))
    client.hset("sched/book", "walked", ago(lab, -60))
    assert holds(lab, a_worker("d")) is None
    assert lab.reservations.waiting() == [before, late]
    client.hdel("sched/book", "walked")
    assert holds(lab, a_worker("d")) is None
    assert lab.reservations.waiting() == []
    assert int(client.hget("sched/book", "walked")) > ago(lab, 60)
    client.hset("sched/book", "walked", 1)
    assert holds(lab, a_worker("d")) is None
    assert client.hget("sched/book", "walked") == "1", "nobody waits"


def test_of_a_run_that_is_removed_nothing_stays(lab: Coordinator) -> None:
    client = redis_of(lab)
    register_workers(lab, a_worker("a"))
    run = submit(lab, ["a", "b"])
    lab.messages.time_waited(run, "node-1:port:0")
    client.set(f"sched/files/result-{run}.1.tar.gz", "packed")
    client.set(f"sched/files/result-{run}0.1.tar.gz", "of another run")
    lab.barriers.arrive(f"{run}.1", "mine", nodes=["a--1", "b--2"])
    assert lab.runs.remove(run, dry=True)
    assert lab.history.info(run)["result"] is None and lab.reservations.waiting() == [run]
    assert lab.runs.remove(run)
    assert not lab.runs.remove(run) and not lab.runs.remove(run, dry=True)
    assert client.keys(f"sched/cluster/{run}*") == [f"sched/cluster/{run}/verdicts"]
    (_id, verdict), *_more = client.xrevrange(f"sched/cluster/{run}/verdicts")
    assert list(verdict) == ["abort"] and "the run was removed before it had finished" in verdict["abort"]
    assert 0 < client.pttl(f"sched/cluster/{run}/verdicts") <= 60_000
    assert client.keys("sched/files/*") == [f"sched/files/result-{run}0.1.tar.gz"]
    assert client.exists("sched/cluster_state", "sched/id2cluster", "sched/runs", "sched/waiting", "sched/queue/b") == 0


@pytest.mark.parametrize(
    ("controllers", "workers", "silence", "is_forgiven"),
    [
        ([20], [], 10, False),
        ([20], [], 17, True),
        ([40], [], 17, False),
        ([20, 40], [], 17, False),
        ([40, 20], [], 17, False),
        ([40, 20], [], 23, True),
        ([20], [20], 17, True),
        ([20], [20, 40], 17, False),
        ([20], [40, 20], 17, False),
        ([40], [20], 17, False),
        ([20], [40], 17, False),
        ([20], [40], 23, True),
    ],
)
@pytest.mark.parametrize("who_speaks", ["a controller", "a worker"])
def test_a_silence_of_all_is_forgiven_if_no_lease_explains_it(
    lab: Coordinator, controllers: list[int], workers: list[int], silence: int, is_forgiven: bool, who_speaks: str
) -> None:
    """That is, one that is longer than half of the longest lease, and than 15 seconds."""
    client = redis_of(lab)
    for number, lease in enumerate(controllers):
        assert lab.reservations.reserve(register(lab, f"m-{number}", lease=lease), lease=LONG)[0] == []
    register_workers(lab, *(a_worker(f"w-{number}", "vm", lease=lease) for number, lease in enumerate(workers)))
    names = ("reservation_leases", "worker_leases")
    before = {name: dict(client.zrange(f"sched/{name}", 0, -1, withscores=True)) for name in names}
    client.hset("sched/book", "heard", ago(lab, silence))
    client.persist("sched/book")
    if who_speaks == "a controller":
        lab.reservations.renew("of another lab", LONG)
    else:
        lab.queues.go_along_line()
    for name, leases in before.items():
        for member, end in leases.items():
            moved = (client.zscore(f"sched/{name}", member) - end) / 1000
            assert (silence <= moved < silence + 60) if is_forgiven else moved == 0, (name, member)
    assert int(client.hget("sched/book", "heard")) >= ago(lab, 9)
    assert 6 * DAY < client.ttl("sched/book") <= 7 * DAY


def test_another_plan_under_the_same_name_does_not_replace_the_first(lab: Coordinator) -> None:
    plan, work = submitted(lab)
    with pytest.raises(CoordinationError, match="is registered already, with another plan"):
        lab.registration.submit({**plan, "job": "another.yaml"}, work)
    assert lab.registration.plan(plan["submission_id"]) == plan


class Lab(RuleBasedStateMachine):
    """Random submitting, coming, dying, finishing, cancelling and removing, with a controller beside the workers, and what
    must hold at every moment.
    """

    coordinator: t.ClassVar[Coordinator]
    machines: t.ClassVar[dict[str, str]] = {"a": "a", "b": "b", "v1": "vm", "v2": "vm"}

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, list[str]] = {}
        self.pushed: dict[str, list[str]] = {}
        self.order: dict[str, tuple[int, int]] = {}
        self.here: dict[str, Worker] = {}
        self.tokens = 0
        self.client: t.Any = self.coordinator.connection.redis

    @rule(queues=st.lists(st.sampled_from(["a", "b", "vm"]), min_size=1, max_size=3), priority=st.integers(-1, 1))
    def submit(self, queues: list[str], priority: int) -> None:
        queues = sorted(queues)
        if len(self.runs) < 12 and queues.count("vm") < 3 and queues.count("a") < 2 and queues.count("b") < 2:
            run = submit(self.coordinator, queues, priority=priority)
            self.runs[run] = queues
            self.order[run] = (-priority, len(self.order))

    @rule(machine=st.sampled_from(sorted(machines)))
    def register_workers(self, machine: str) -> None:
        self.tokens += 1
        self.here[machine] = a_worker(machine, self.machines[machine], token=str(self.tokens))
        register_workers(self.coordinator, self.here[machine])

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        worker = self.here[data.draw(st.sampled_from(sorted(self.here)))]
        job_id = holds(self.coordinator, worker)
        if job_id is not None:
            ended = self.coordinator.queues.finish_job(worker.machine, worker.token, job_id)
            assert ended == (job_id.rpartition(".")[0] in self.runs)
            del self.here[worker.machine]

    @precondition(lambda self: self.here)
    @rule(data=st.data(), how=st.sampled_from(["leaves", "dies"]))
    def go(self, data: st.DataObject, how: str) -> None:
        worker = self.here.pop(data.draw(st.sampled_from(sorted(self.here))))
        if how == "leaves":
            self.coordinator.queues.leave(worker.machine, worker.token)
            return
        self.client.zadd("sched/worker_leases", {worker.machine: 1})
        self.coordinator.queues.go_along_line()
        with pytest.raises(CoordinationError, match="has been given up"):
            holds(self.coordinator, worker)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.runs)))
        open_jobs = self.coordinator.queues.open_jobs([run])
        if len(open_jobs) == len(self.runs[run]) and all(open_jobs.values()):
            pass_barrier(self.coordinator, run, len(self.runs[run]))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.coordinator.runs.abort(data.draw(st.sampled_from(sorted(self.runs))), make_reason("cancelled"))
        self.coordinator.queues.go_along_line()

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.runs)))
        assert self.coordinator.runs.remove(run)
        del self.runs[run]

    @rule(machines=st.lists(st.sampled_from(sorted(machines)), min_size=1, max_size=3, unique=True))
    def push(self, machines: list[str]) -> None:
        if len(self.pushed) < 3:
            plan = make_plan([["client"] for _ in machines])
            for node, machine in zip(plan["runs"][0]["nodes"], machines, strict=True):
                node["node"] = machine
            self.coordinator.registration.register(plan)
            run = plan["runs"][0]["cluster_id"]
            self.pushed[run] = machines
            self.order[run] = (0, len(self.order))
            self.coordinator.reservations.reserve(run, lease=LONG)

    @precondition(lambda self: self.pushed)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.pushed)))
        blockers, _waited = self.coordinator.reservations.reserve(run, lease=LONG)
        holders = self.coordinator.reservations.holders()
        assert {machine: holders.get(machine) == run for machine in self.pushed[run]} == dict.fromkeys(
            self.pushed[run], not blockers
        )

    @precondition(lambda self: self.pushed)
    @rule(data=st.data(), how=st.sampled_from(["releases", "dies", "is removed"]))
    def end_push(self, data: st.DataObject, how: str) -> None:
        run = data.draw(st.sampled_from(sorted(self.pushed)))
        if how == "is removed":
            self.coordinator.runs.remove(run)
        if how != "dies":
            for machine in self.pushed[run]:
                self.coordinator.reservations.free(run, machine)
            self.coordinator.reservations.withdraw(run)
        elif self.client.zscore("sched/reservation_leases", run) is not None:
            self.client.zadd("sched/reservation_leases", {run: 1})
            self.coordinator.queues.go_along_line()
        del self.pushed[run]

    @invariant()
    def nothing_is_held_twice_or_by_nobody(self) -> None:
        open_jobs = self.coordinator.queues.open_jobs(sorted(self.runs))
        known = self.coordinator.queues.workers()
        workers = {worker["machine"]: worker["job_id"] for worker in known if worker["job_id"]}
        left = {worker["left_job_id"] for worker in known if worker["left_job_id"]}
        held = {job_id: machine for job_id, machine in open_jobs.items() if machine and job_id not in left}
        # A worker has what it holds of a run that was removed until it notices.
        of_removed = {job_id for job_id in left.union(workers.values()) if job_id.rpartition(".")[0] not in self.runs}
        assert {machine: job_id for machine, job_id in workers.items() if job_id not in of_removed} == {
            machine: job_id for job_id, machine in held.items()
        }
        holders = self.coordinator.reservations.holders()
        of_workers = {machine: job_id.rpartition(".")[0] for machine, job_id in workers.items()}
        assert {machine: run for machine, run in holders.items() if run not in self.pushed} == of_workers
        for run, machines in self.pushed.items():
            assert sum(holders.get(machine) == run for machine in machines) in (0, len(machines))
        in_streams = {
            job["job_id"]: job["machine"] for jobs in self.coordinator.queues.queues().values() for job in jobs
        }
        assert set(in_streams) - set(open_jobs) <= of_removed
        assert {job_id: in_streams[job_id] for job_id in open_jobs} == open_jobs

    @invariant()
    def the_line_is_in_order_and_nobody_waits_who_could_go(self) -> None:
        line = self.coordinator.reservations.waiting()
        open_jobs = self.coordinator.queues.open_jobs(sorted(self.runs))
        holders = self.coordinator.reservations.holders()
        waiting_pushes = {run for run in self.pushed if run not in holders.values()}
        assert set(line) == waiting_pushes | {
            job_id.rpartition(".")[0] for job_id, machine in open_jobs.items() if machine is None
        }
        given_back = [run for run in line if self.client.exists(f"sched/cluster/{run}/given")]
        never_given = [run for run in line if run not in given_back]
        assert line == [*given_back, *sorted(never_given, key=self.order.__getitem__)]
        idle: dict[str, int] = {}
        for worker in self.coordinator.queues.workers():
            if worker["job_id"] is None and worker["machine"] in self.here and worker["machine"] not in holders:
                idle[worker["queue"]] = idle.get(worker["queue"], 0) + 1
        if line and line[0] in self.runs:
            need: dict[str, int] = {}
            for number, queue in enumerate(self.runs[line[0]], 1):
                if open_jobs.get(f"{line[0]}.{number}", "over") is None:
                    need[queue] = need.get(queue, 0) + 1
            assert any(idle.get(queue, 0) < number for queue, number in need.items()), "the first in line could go"

    def teardown(self) -> None:
        self.client.flushall()


def test_random_interleavings(start_server: t.Callable[..., RedisServer]) -> None:
    Lab.coordinator = Coordinator.connect(RedisSettings(url=start_server().url))
    run_state_machine_as_test(
        Lab,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
    Lab.coordinator.close()
