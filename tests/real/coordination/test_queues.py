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
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.exchange import (
    file_digest,
    open_exchange,
    tree_name,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import Worker
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from coordination.plans import make_plan
from coordination.redis_server import RedisServer

LONG = 600.0


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
    assert lab.submit(plan, work, **options)
    return str(plan["runs"][0]["cluster_id"])


def a_worker(
    machine: str, queue: str | None = None, *, lease: float = LONG, token: str = "1", host: str = "here"
) -> Worker:
    return Worker(machine, queue or machine, token, host, lease)


def come(lab: Coordinator, *workers: Worker) -> None:
    for worker in workers:
        lab.queues.come(worker)


def holds(lab: Coordinator, worker: Worker) -> str | None:
    """The node job that a worker has been given."""
    return lab.queues.renew(worker)


def done(lab: Coordinator, worker: Worker) -> None:
    job_id = holds(lab, worker)
    assert job_id
    assert lab.queues.done(worker.machine, worker.token, job_id)


def pass_barrier(lab: Coordinator, run: str, nodes: int, barrier: str = "start") -> None:
    for number in range(1, nodes + 1):
        lab.arrive(f"{run}.{number}", barrier)


def abort_text(lab: Coordinator, run: str) -> str:
    info = lab.info(run)
    assert info["result"] == "abort", info
    return str(info["reason"]["text"])


def test_a_gang_is_taken_in_one_step_when_the_last_worker_has_come(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    run = submit(lab, ["a", "b"])
    come(lab, a)
    assert holds(lab, a) is None
    assert lab.book.holders() == {}
    come(lab, b)
    assert (holds(lab, a), holds(lab, b)) == (f"{run}.1", f"{run}.2")
    assert lab.book.holders() == {"a": run, "b": run}
    assert lab.queues.work(f"{run}.2") == {"node": "b--2"}
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "a", f"{run}.2": "b"}
    done(lab, a)
    done(lab, b)
    assert lab.book.holders() == {}
    assert lab.queues.open_jobs([run]) == {}


def test_the_stream_shows_who_waits_and_who_holds(lab: Coordinator) -> None:
    client: t.Any = lab._client.redis
    first, second = submit(lab, ["a"]), submit(lab, ["a"])
    assert [entry["cluster_id"] for _id, entry in client.xrange("sched/queue/a")] == [first, second]
    a = a_worker("a")
    come(lab, a)
    pending = client.xpending_range("sched/queue/a", "workers", "-", "+", 10)
    assert [entry["consumer"] for entry in pending] == ["a"]
    done(lab, a)
    assert client.xlen("sched/queue/a") == 1
    come(lab, a)
    assert holds(lab, a) == f"{second}.1"
    done(lab, a)
    lab.queues.leave("a", "1")
    assert client.keys("sched/queue*") == []


def test_first_come_first_served_and_who_waits_keeps_what_is_free_for_it(lab: Coordinator) -> None:
    a, b, c = a_worker("a"), a_worker("b"), a_worker("c")
    come(lab, a, b, c)
    holder = submit(lab, ["a"])
    early, late, other = submit(lab, ["a", "b"]), submit(lab, ["b"]), submit(lab, ["c"])
    assert holds(lab, a) == f"{holder}.1"
    assert holds(lab, b) is None
    assert holds(lab, c) == f"{other}.1"
    assert lab.book.waiting() == [early, late]
    done(lab, a)
    come(lab, a)
    assert (holds(lab, a), holds(lab, b)) == (f"{early}.1", f"{early}.2")
    done(lab, b)
    come(lab, b)
    assert holds(lab, b) == f"{late}.1"


def test_a_worker_between_two_node_jobs_does_not_let_later_runs_pass(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    come(lab, a, b)
    first = submit(lab, ["a"])
    gang, late = submit(lab, ["a", "b"]), submit(lab, ["b"])
    assert holds(lab, a) == f"{first}.1"
    done(lab, a)
    # It has ended, and is being started again.
    assert holds(lab, b) is None
    come(lab, a)
    assert holds(lab, b) == f"{gang}.2"
    assert lab.book.waiting() == [late]


def test_priority_goes_before_order_and_never_takes_away(lab: Coordinator) -> None:
    a = a_worker("a")
    come(lab, a)
    running = submit(lab, ["a"])
    usual, urgent, humble = submit(lab, ["a"]), submit(lab, ["a"], priority=5), submit(lab, ["a"], priority=-5)
    urgent_too = submit(lab, ["a"], priority=5)
    assert lab.book.waiting() == [urgent, urgent_too, usual, humble]
    assert holds(lab, a) == f"{running}.1"
    with pytest.raises(InputError, match="priority 101: right would be -100 to 100"):
        submit(lab, ["a"], priority=101)


def test_several_workers_serve_one_queue(lab: Coordinator) -> None:
    vms = [a_worker(f"host-{number}", "vm") for number in range(3)]
    run, next_run = submit(lab, ["vm", "vm"]), submit(lab, ["vm"])
    come(lab, vms[0])
    assert holds(lab, vms[0]) is None or holds(lab, vms[0]) == f"{next_run}.1"
    come(lab, *vms[1:])
    held = {holds(lab, worker) for worker in vms}
    assert held == {f"{run}.1", f"{run}.2", f"{next_run}.1"}


def test_a_controller_and_workers_stand_in_one_line(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    come(lab, a, b)
    queued = submit(lab, ["a"])
    plan = make_plan([["client"], ["client"]])
    for node, machine in zip(plan["runs"][0]["nodes"], ["a", "b"], strict=True):
        node["node"] = machine
    lab.register(plan)
    pushed = plan["runs"][0]["cluster_id"]
    blockers, _waited = lab.book.reserve(pushed, lease=LONG)
    assert [(blocker.machine, blocker.run) for blocker in blockers] == [("a", queued)]
    later = submit(lab, ["b"])
    assert holds(lab, b) is None
    done(lab, a)
    assert lab.book.reserve(pushed, lease=LONG)[0] == []
    come(lab, a)
    assert (holds(lab, a), holds(lab, b)) == (None, None)
    lab.book.release(pushed, "b")
    assert holds(lab, b) == f"{later}.1"


def test_a_worker_that_dies_before_the_run_has_begun_gives_its_node_job_back(lab: Coordinator) -> None:
    a, b = a_worker("a", lease=0.3), a_worker("b")
    run = submit(lab, ["a", "b"])
    late = submit(lab, ["a"])
    come(lab, b, a)
    lab.write_state(f"{run}.1", ip="192.0.2.1")
    lab.arrive(f"{run}.1", "start")
    time.sleep(0.4)
    assert holds(lab, b) == f"{run}.2"
    assert lab.node(f"{run}.1")["state"] == "registered"
    assert lab.queues.open_jobs([run]) == {f"{run}.1": None, f"{run}.2": "b"}
    # It is ahead of all that wait, and its barrier waits for whoever comes.
    assert lab.book.waiting() == [run, late]
    assert [entry["node"] for entry in lab.info(run)["barriers"]["start"]["missing"]] == ["a--1", "b--2"]
    another = a_worker("a", token="2")
    come(lab, another)
    assert holds(lab, another) == f"{run}.1"
    assert lab.info(run)["result"] is None


def test_a_worker_that_dies_afterwards_aborts_the_run(lab: Coordinator) -> None:
    a, b = a_worker("a", lease=0.3), a_worker("b")
    run = submit(lab, ["a", "b"])
    come(lab, a, b)
    pass_barrier(lab, run, 2)
    time.sleep(0.4)
    holds(lab, b)
    assert abort_text(lab, run).startswith("a--1: the worker on a was not heard from for ")
    assert lab.queues.open_jobs([run]) == {f"{run}.2": "b"}
    assert lab.book.holders() == {"b": run}


def test_a_node_lease_that_ends_before_the_run_has_begun_leaves_it_to_the_worker(lab: Coordinator) -> None:
    a, b = a_worker("a"), a_worker("b")
    run = submit(lab, ["a", "b"])
    come(lab, a, b)
    lab.write_state(f"{run}.1", ip="192.0.2.1")
    lab.renew(run, ["a--1"], 0.05)
    time.sleep(0.1)
    assert lab.sweep(run) is None
    pass_barrier(lab, run, 2)
    lab.renew(run, ["a--1"], 0.05)
    time.sleep(0.1)
    reason = lab.sweep(run)
    assert reason is not None and reason["node"] == "a--1"


def test_a_worker_that_is_started_again_takes_over_at_once(lab: Coordinator) -> None:
    run = submit(lab, ["a"])
    come(lab, a_worker("a", token="1"))
    again = a_worker("a", token="2")
    come(lab, again)
    assert holds(lab, again) == f"{run}.1"
    pass_barrier(lab, run, 1)
    come(lab, a_worker("a", token="3"))
    assert abort_text(lab, run) == "a--1: the worker on a was ended from outside"
    # Its results may still come from the machine's disk.
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "a"}
    assert lab.queues.done("a", "3", f"{run}.1")
    assert lab.queues.open_jobs([run]) == {}
    with pytest.raises(CoordinationError, match="the worker on a has been given up"):
        holds(lab, again)
    with pytest.raises(CoordinationError, match="machine a has a worker already, on here; give this one another name"):
        come(lab, a_worker("a", token="4", host="elsewhere"))


def test_results_that_never_come_are_waited_for_no_longer_than_the_worker_lives(lab: Coordinator) -> None:
    run = submit(lab, ["a"])
    come(lab, a_worker("a", token="1"))
    pass_barrier(lab, run, 1)
    come(lab, a_worker("a", token="2", lease=0.2))
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "a"}
    time.sleep(0.3)
    lab.queues.turn()
    assert lab.queues.open_jobs([run]) == {}


def test_results_of_a_worker_that_was_given_up_still_count_as_handed_in(lab: Coordinator) -> None:
    a = a_worker("a", lease=0.2)
    run = submit(lab, ["a"])
    come(lab, a)
    pass_barrier(lab, run, 1)
    time.sleep(0.3)
    lab.queues.turn()
    assert lab.queues.open_jobs([run]) == {}
    assert not lab.queues.done("a", "1", f"{run}.1")
    assert [event["what"] for event in lab.events(run)][-1] == "handed_in"


def test_a_run_whose_queues_have_too_few_workers_gives_up_for_everyone(lab: Coordinator) -> None:
    come(lab, a_worker("a"), a_worker("host-1", "vm"))
    run = submit(lab, ["a", "nobody", "vm", "vm"], queue_timeout=0.3)
    lab.queues.turn()
    passes = submit(lab, ["a"])
    assert holds(lab, a_worker("a")) == f"{passes}.1", "a run that lacks a worker lets others pass"
    time.sleep(0.4)
    lab.queues.turn()
    text = abort_text(lab, run)
    assert text == "queue nobody has no worker, queue vm has 1 of the 2 workers that it takes, for 0 s"
    assert lab.queues.queues() == {"a": [{**lab.queues.queues()["a"][0]}], "vm": []}


def test_waiting_for_busy_workers_is_not_limited(lab: Coordinator) -> None:
    a = a_worker("a")
    come(lab, a)
    holder = submit(lab, ["a"])
    waiter = submit(lab, ["a"], queue_timeout=0.1)
    time.sleep(0.3)
    assert holds(lab, a) == f"{holder}.1"
    assert lab.info(waiter)["result"] is None


def test_an_aborted_run_leaves_its_queues(lab: Coordinator) -> None:
    waiting = submit(lab, ["a", "b"])
    lab.abort(waiting, {"text": "an operator changed her mind"})
    lab.queues.turn()
    assert lab.queues.queues() == {}
    assert lab.book.waiting() == []
    run = submit(lab, ["a"])
    come(lab, a_worker("a"))
    assert lab.remove(run)
    lab.queues.done("a", "1", f"{run}.1")
    assert (lab.queues.queues(), lab.book.holders()) == ({"a": []}, {})


def test_the_scripts_of_a_run_that_waits_are_kept_as_long_as_it(lab: Coordinator, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(b"scripts")
    exchange = open_exchange("redis", lab._client.settings)
    exchange.put(tree_name(file_digest(packed)), packed, keep_seconds=1)
    plan = make_plan([["client"]])
    node = plan["runs"][0]["nodes"][0]
    node["queue"] = "a"
    lab.submit(plan, {node["job_id"]: {"trees": {"/scripts": file_digest(packed)}}}, retention=1)
    for _ in range(15):
        time.sleep(0.1)
        lab.queues.turn()
    assert lab.queues.work(node["job_id"])
    assert exchange.get(tree_name(file_digest(packed)), tmp_path / "fetched")


def test_submitting_twice_changes_nothing(lab: Coordinator) -> None:
    plan = make_plan([["client"]])
    plan["runs"][0]["nodes"][0]["queue"] = "a"
    work: dict[str, t.Any] = {plan["runs"][0]["nodes"][0]["job_id"]: {}}
    assert lab.submit(plan, work)
    assert not lab.submit(plan, work)
    assert len(lab.queues.queues()["a"]) == 1
    assert lab.plan(plan["submission_id"]) == plan


def test_a_waiting_worker_is_woken_by_its_node_job(lab: Coordinator) -> None:
    a = a_worker("a")
    _job, position = lab.queues.come(a)
    submitted: list[str] = []
    submitting = threading.Timer(0.3, lambda: submitted.append(submit(lab, ["a"])))
    submitting.start()
    begin = time.monotonic()
    job_id = lab.queues.wait(a, position, 30)
    submitting.join()
    assert job_id == f"{submitted[0]}.1"
    assert time.monotonic() - begin < 4


def pass_time(lab: Coordinator, seconds: float) -> None:
    """As if so many seconds had gone by without a word of anybody."""
    client: t.Any = lab._client.redis
    for name in ("worker_leases", "reservation_leases"):
        for member in client.zrange(f"sched/{name}", 0, -1):
            client.zincrby(f"sched/{name}", -seconds * 1000, member)
    heard = int(client.hget("sched/book", "heard"))
    client.hset("sched/book", "heard", heard - int(seconds * 1000))


def test_a_node_job_that_ends_each_of_its_workers_is_given_out_five_times(lab: Coordinator) -> None:
    b = a_worker("b")
    run = submit(lab, ["a", "b"])
    come(lab, b)
    for number in range(1, 6):
        assert lab.info(run)["result"] is None
        assert lab.queues.open_jobs([run])[f"{run}.1"] is None
        come(lab, a_worker("a", token=str(number)))
        assert holds(lab, a_worker("a", token=str(number))) == f"{run}.1"
        lab.queues.leave("a", str(number))
    assert (
        abort_text(lab, run) == "a--1: 5 workers were gone before the run had begun; the last: the worker on a has left"
    )
    assert lab.info(run)["reason"]["node"] == "a--1"
    assert lab.queues.open_jobs([run]) == {f"{run}.2": "b"}
    assert lab.book.waiting() == []
    late = submit(lab, ["a"])
    with pytest.raises(CoordinationError, match="has been given up"):
        holds(lab, a_worker("a", token="5"))
    come(lab, a_worker("a", token="6"))
    assert holds(lab, a_worker("a", token="6")) == f"{late}.1"


def test_only_the_worker_that_was_given_a_node_job_last_hands_it_in(lab: Coordinator) -> None:
    first, second = a_worker("host-1", "vm", lease=0.2), a_worker("host-2", "vm")
    run = submit(lab, ["vm"])
    come(lab, first)
    assert lab.queues.was_given_last("host-1", f"{run}.1")
    time.sleep(0.3)
    come(lab, second)
    assert holds(lab, second) == f"{run}.1"
    pass_barrier(lab, run, 1)
    assert not lab.queues.was_given_last("host-1", f"{run}.1")
    assert not lab.queues.done("host-1", "1", f"{run}.1")
    assert lab.queues.open_jobs([run]) == {f"{run}.1": "host-2"}
    assert lab.queues.was_given_last("host-2", f"{run}.1")
    assert lab.queues.done("host-2", "1", f"{run}.1")


def test_a_run_that_is_gone_leaves_nothing_in_its_queues(lab: Coordinator) -> None:
    client: t.Any = lab._client.redis
    forgotten = submit(lab, ["a", "b"], retention=0.3)
    time.sleep(0.4)
    assert client.keys(f"sched/cluster/{forgotten}*") == []
    lab.queues.turn()
    assert lab.queues.queues() == {}
    assert client.keys("sched/queue*") == []


def test_a_dead_worker_is_found_out_by_one_with_a_long_lease_too(lab: Coordinator) -> None:
    """One that is heard from every 20 seconds must not take its own pauses for a silence of all."""
    a, b = a_worker("a", lease=60), a_worker("b", lease=60)
    come(lab, a, b)
    for _ in range(4):
        pass_time(lab, 20)
        holds(lab, b)
    assert [worker["machine"] for worker in lab.queues.workers()] == ["b"]
    come(lab, a)
    pass_time(lab, 70)
    holds(lab, b)
    assert len(lab.queues.workers()) == 2, "a silence of all is forgiven"


def test_another_plan_under_the_same_name_does_not_replace_the_first(lab: Coordinator) -> None:
    plan = make_plan([["client"]])
    plan["runs"][0]["nodes"][0]["queue"] = "a"
    work: dict[str, t.Any] = {plan["runs"][0]["nodes"][0]["job_id"]: {}}
    assert lab.submit(plan, work)
    with pytest.raises(CoordinationError, match="is registered already, with another plan"):
        lab.submit({**plan, "job": "another.yaml"}, work)
    assert lab.plan(plan["submission_id"]) == plan


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
        self.client: t.Any = self.coordinator._client.redis

    @rule(queues=st.lists(st.sampled_from(["a", "b", "vm"]), min_size=1, max_size=3), priority=st.integers(-1, 1))
    def submit(self, queues: list[str], priority: int) -> None:
        queues = sorted(queues)
        if len(self.runs) < 12 and queues.count("vm") < 3 and queues.count("a") < 2 and queues.count("b") < 2:
            run = submit(self.coordinator, queues, priority=priority)
            self.runs[run] = queues
            self.order[run] = (-priority, len(self.order))

    @rule(machine=st.sampled_from(sorted(machines)))
    def come(self, machine: str) -> None:
        self.tokens += 1
        self.here[machine] = a_worker(machine, self.machines[machine], token=str(self.tokens))
        come(self.coordinator, self.here[machine])

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        worker = self.here[data.draw(st.sampled_from(sorted(self.here)))]
        job_id = holds(self.coordinator, worker)
        if job_id is not None:
            ended = self.coordinator.queues.done(worker.machine, worker.token, job_id)
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
        self.coordinator.queues.turn()
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
        self.coordinator.abort(data.draw(st.sampled_from(sorted(self.runs))), {"text": "cancelled"})
        self.coordinator.queues.turn()

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.runs)))
        assert self.coordinator.remove(run)
        del self.runs[run]

    @rule(machines=st.lists(st.sampled_from(sorted(machines)), min_size=1, max_size=3, unique=True))
    def push(self, machines: list[str]) -> None:
        if len(self.pushed) < 3:
            plan = make_plan([["client"] for _ in machines])
            for node, machine in zip(plan["runs"][0]["nodes"], machines, strict=True):
                node["node"] = machine
            self.coordinator.register(plan)
            run = plan["runs"][0]["cluster_id"]
            self.pushed[run] = machines
            self.order[run] = (0, len(self.order))
            self.coordinator.book.reserve(run, lease=LONG)

    @precondition(lambda self: self.pushed)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self.pushed)))
        blockers, _waited = self.coordinator.book.reserve(run, lease=LONG)
        holders = self.coordinator.book.holders()
        assert {machine: holders.get(machine) == run for machine in self.pushed[run]} == dict.fromkeys(
            self.pushed[run], not blockers
        )

    @precondition(lambda self: self.pushed)
    @rule(data=st.data(), how=st.sampled_from(["releases", "dies", "is removed"]))
    def end_push(self, data: st.DataObject, how: str) -> None:
        run = data.draw(st.sampled_from(sorted(self.pushed)))
        if how == "is removed":
            self.coordinator.remove(run)
        if how != "dies":
            for machine in self.pushed[run]:
                self.coordinator.book.release(run, machine)
            self.coordinator.book.withdraw(run)
        elif self.client.zscore("sched/reservation_leases", run) is not None:
            self.client.zadd("sched/reservation_leases", {run: 1})
            self.coordinator.queues.turn()
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
        holders = self.coordinator.book.holders()
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
        line = self.coordinator.book.waiting()
        open_jobs = self.coordinator.queues.open_jobs(sorted(self.runs))
        holders = self.coordinator.book.holders()
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
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    Lab.coordinator.close()
