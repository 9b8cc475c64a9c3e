# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the records of a run hold, and how its barriers, leases, limits, messages and ends behave, on every server."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import json
import re
import threading
import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination import messages, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import Answer, Arrival, Reported
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from coordination.background import Background
from coordination.conftest import Run
from coordination.losing_connection import LosingConnection
from coordination.moments import Trips, pass_time, wait_until_blocked
from support.plans import make_plan, one_server_and
from support.redis_server import RedisServer
from support.waiting import wait_until

Register = t.Callable[..., Run]


def in_threads(*calls: t.Callable[[], t.Any]) -> list[t.Any]:
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(30) for future in [pool.submit(call) for call in calls]]


def names(missing: list[dict[str, t.Any]]) -> list[str]:
    return [entry["node"] for entry in missing]


def test_the_keys_are_those_that_operators_type(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1))
    redis = server.client()
    run.coordinator.nodes.write_state(run.job(1), ip="172.18.0.2", roles=["server"], direct_macs=[], direct_ips=[])
    record = json.loads(str(redis.hget("sched/cluster_state", run.job(1))))
    written = record.pop("times").pop("write_state")
    assert abs(written - time.time()) < 60
    assert record == {
        "cluster_id": run.id,
        "node": "node-1",
        "roles": ["server"],
        "ip": "172.18.0.2",
        "direct_macs": [],
        "direct_ips": [],
        "state": "write_state",
    }
    assert redis.hget("sched/id2cluster", run.job(2)) == run.id
    run.coordinator.runs.renew_leases(run.id, ["node-1"], 30)
    run.coordinator.barriers.arrive(run.job(1), "start")
    run.coordinator.barriers.arrive(run.job(2), "start")
    base = f"sched/cluster/{run.id}"
    assert redis.hget(base, "phase") == "start"
    assert redis.smembers(f"{base}/arrived/start") == {"node-1", "node-2"}
    assert redis.zrange(f"{base}/leases", 0, -1) == ["node-1"]
    assert redis.xlen(f"{base}/verdicts") == 1
    assert redis.type(f"{base}/events") == "stream"


def test_all_states_pass_by_in_their_order(register: Register) -> None:
    run = register(one_server_and(0))
    coordinator, job = run.coordinator, run.job(1)

    def state() -> tuple[str, str]:
        info = coordinator.history.info(run.id)
        return info["nodes"]["node-1"]["state"], info["phase"]

    assert state() == ("registered", "registered")
    coordinator.nodes.write_state(job, ip="172.18.0.2")
    assert state() == ("write_state", "registered")
    assert coordinator.barriers.wait(job, "start").answer == "start"
    assert state() == ("start", "start")
    coordinator.nodes.report(job, "started")
    assert state() == ("started", "start")
    assert coordinator.barriers.wait(job, "ready").answer == "ready"
    assert state() == ("ready", "ready")
    coordinator.nodes.report(job, "finished")
    assert state() == ("finish", "ready")
    assert coordinator.barriers.wait(job, "finish").answer == "finish"
    assert state() == ("finish", "finish")
    info = coordinator.history.info(run.id)
    assert info["result"] == "finish" and info["reason"] is None
    times = info["nodes"]["node-1"]["times"]
    in_order = [times.pop(name) for name in ("write_state", "start", "started", "ready", "finish")]
    assert times == {}
    moments = [info["registered"], info["started"], *in_order, info["finished"], info["now"]]
    assert moments == sorted(moments)
    happened = [(event["what"], event["data"]) for event in coordinator.history.events(run.id)]
    assert (happened[1][0], happened[1][1]["ip"]) == ("write_state", "172.18.0.2")
    del happened[1]
    assert happened == [
        ("registered", None),
        ("start", None),
        ("arrive", "start"),
        ("release", "start"),
        ("started", None),
        ("ready", None),
        ("arrive", "ready"),
        ("release", "ready"),
        ("finish", None),
        ("arrive", "finish"),
        ("release", "finish"),
    ]


def test_addresses_of_roles(coordinator: Coordinator) -> None:
    plan = make_plan([["server"], ["server", "load-gen"], ["load-gen", "10g.client"]])
    plan["runs"][0]["nodes"][2].update(direct_macs=[], direct_ips=[])
    coordinator.registration.register(plan)
    cluster_id = plan["runs"][0]["cluster_id"]
    for number in (1, 2, 3):
        coordinator.nodes.write_state(f"{cluster_id}.{number}", ip=f"172.18.0.{number}")
    assert records.roles_ip(coordinator.history.info(cluster_id)["nodes"].values()) == {
        "direct_server_ips": "10.0.0.1 10.0.0.2",
        "server": "172.18.0.1 172.18.0.2",
        "direct_load_gen_ips": "10.0.0.2 172.18.0.3",
        "load_gen": "172.18.0.2 172.18.0.3",
        "direct__10g_client_ips": "172.18.0.3",
        "_10g_client": "172.18.0.3",
    }


def test_all_runs_of_a_submission_are_registered_or_none(coordinator: Coordinator) -> None:
    taken = make_plan(one_server_and(1), runs=3)
    second_only = {**taken, "runs": [{**taken["runs"][1], "params": {"runtime": 1}}]}
    assert coordinator.registration.register(second_only)
    with pytest.raises(CoordinationError, match=rf"run {taken['runs'][1]['cluster_id']} is registered already"):
        coordinator.registration.register(taken)
    for run in (taken["runs"][0], taken["runs"][2]):
        with pytest.raises(CoordinationError, match="is not known"):
            coordinator.history.info(run["cluster_id"])


def test_registering_the_same_again_changes_nothing(coordinator: Coordinator) -> None:
    plan = make_plan(one_server_and(1), runs=2)
    cluster_id = plan["runs"][0]["cluster_id"]
    assert coordinator.registration.register(plan)
    coordinator.barriers.arrive(f"{cluster_id}.1", "start")
    assert not coordinator.registration.register(plan)
    assert coordinator.history.info(cluster_id)["barriers"]["start"]["arrived"] == ["node-1"]


def test_a_wait_ends_the_moment_the_last_one_arrives(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(2), lease=3600)
    waits = [
        Background(functools.partial(run.coordinator.barriers.wait, run.job(number), "start", slice_seconds=600))
        for number in (1, 2)
    ]
    wait_until_blocked(server.client(), 2)
    pass_time(server.client(), run, 7)
    run.coordinator.barriers.arrive(run.job(3), "start")
    for wait in waits:
        answer = wait.end(30)
        assert (answer.answer, answer.changed, answer.missing, answer.reason) == ("start", True, [], None)


def test_the_end_of_a_run_ends_all_waits_at_once(server: RedisServer, register: Register) -> None:
    """Also that for a barrier at which not all have arrived."""
    for end, text in (
        (
            lambda run: [run.coordinator.barriers.arrive(run.job(number), "finish") for number in (1, 2)],
            "the run finished before",
        ),
        (lambda run: run.coordinator.runs.abort(run.id, make_reason("over")), "over"),
    ):
        run = register(one_server_and(1), lease=3600)
        waiter = Background(functools.partial(run.coordinator.barriers.wait, run.job(1), "never", slice_seconds=600))
        receiver = Background(functools.partial(run.coordinator.messages.receive, run.id, "port", slice_seconds=600))
        wait_until_blocked(server.client(), 2)
        end(run)
        answer = waiter.end(30)
        assert answer.answer == "abort" and answer.reason["text"].startswith(text)
        got = receiver.end(30)
        assert (got.verdict, got.messages, got.position) == (run.coordinator.history.info(run.id)["result"], [], "0")


def test_an_abort_ends_all_waits_and_its_first_reason_is_kept(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(3))
    for number in (1, 2, 3, 4):
        run.coordinator.barriers.arrive(run.job(number), "start")

    waits = [
        Background(functools.partial(run.coordinator.barriers.wait, run.job(number), "ready", slice_seconds=60))
        for number in (1, 2)
    ]
    wait_until_blocked(server.client(), 2)
    assert run.coordinator.nodes.report(run.job(3), "failed", make_reason("", script="netperf", exit_code=2)).changed
    assert run.coordinator.nodes.report(run.job(4), "failed", make_reason("", script="other", exit_code=1)).changed
    answers = [wait.end(30) for wait in waits]
    reason = {
        "node": "node-3",
        "script": "netperf",
        "exit_code": 2,
        "text": "script netperf failed with exit code 2 on node node-3",
        "kind": "failed",
    }
    assert [(answer.answer, answer.reason) for answer in answers] == [("abort", reason)] * 2
    assert run.coordinator.history.info(run.id)["reason"] == reason
    assert {node["state"] for node in run.coordinator.history.info(run.id)["nodes"].values()} == {"abort"}
    late = run.coordinator.barriers.arrive(run.job(4), "finish")
    assert (late.verdict, late.reason) == ("abort", reason)


def test_an_abort_does_not_take_back_a_verdict_that_was_given(register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.barriers.arrive(run.job(1), "start")
    run.coordinator.barriers.arrive(run.job(2), "start")
    run.coordinator.runs.abort(run.id, make_reason("no more power"))
    assert run.coordinator.barriers.wait(run.job(1), "start").answer == "start"
    assert run.coordinator.barriers.arrive(run.job(2), "ready").verdict == "abort"


def test_a_run_that_has_finished_cannot_be_aborted(register: Register) -> None:
    run = register(one_server_and(0))
    run.coordinator.barriers.arrive(run.job(1), "finish")
    assert not run.coordinator.runs.abort(run.id, make_reason("too late"))
    report = run.coordinator.nodes.report(run.job(1), "failed")
    assert (report.changed, report.verdict) == (False, "finish")
    assert run.coordinator.history.info(run.id)["result"] == "finish"


def test_who_still_waits_when_the_run_finishes_is_told(register: Register) -> None:
    run = register(one_server_and(1))
    arrival = run.coordinator.barriers.arrive(run.job(1), "never")
    for number in (1, 2):
        run.coordinator.barriers.arrive(run.job(number), "finish")
    answer = run.coordinator.barriers.wait(run.job(1), "never", arrival=arrival)
    assert answer.answer == "abort"
    assert answer.reason is not None
    assert answer.reason["text"] == "the run finished before all had arrived at barrier never"


def test_slices_are_counted_and_the_last_one_names_the_missing(register: Register) -> None:
    run = register(one_server_and(2))
    run.coordinator.barriers.arrive(run.job(2), "start")
    for count in (1, 2, 3):
        answer = run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0.02, retries=3)
        assert (answer.answer, answer.retries, names(answer.missing)) == ("retry", count, ["node-3"])
    answer = run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0.02, retries=3)
    assert answer.answer == "abort"
    assert answer.reason is not None
    assert re.match(
        r"barrier start timed out after 3 retries in \d+ s: node-3 \(client\) did not arrive", answer.reason["text"]
    )
    assert answer.reason["kind"] == "timeout"


def test_any_number_of_slices(register: Register) -> None:
    run = register(one_server_and(1))
    answers = [run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0, retries=0) for _ in range(105)]
    assert [(answer.answer, answer.retries) for answer in answers] == [("retry", number) for number in range(1, 106)]


def test_a_hundred_slices_if_nothing_else_is_said(register: Register) -> None:
    run = register(one_server_and(1))
    answers = [run.coordinator.barriers.wait(run.job(1), "start", slice_seconds=0).answer for _ in range(101)]
    assert answers == ["retry"] * 100 + ["abort"]


def test_named_barriers(register: Register) -> None:
    run = register([["server"], ["client"], ["client", "monitor"], ["monitor"]])
    coordinator = run.coordinator
    assert coordinator.barriers.arrive(run.job(2), "clients", roles=["client"]).verdict is None
    assert coordinator.barriers.arrive(run.job(3), "clients").verdict == "clients"
    assert coordinator.barriers.arrive(run.job(1), "pair", nodes=["node-4", "node-1"]).verdict is None
    assert coordinator.barriers.arrive(run.job(4), "pair", nodes=["node-1", "node-4"]).verdict == "pair"
    assert coordinator.barriers.arrive(run.job(2), "mixed", roles=["client", "server"]).missing == 2
    assert [coordinator.barriers.arrive(run.job(number), "everybody").missing for number in (1, 2, 3, 4)] == [
        3,
        2,
        1,
        0,
    ]
    with pytest.raises(CoordinationError, match="its node does not take part in barrier clients"):
        coordinator.barriers.arrive(run.job(1), "clients")
    with pytest.raises(CoordinationError, match="barrier pair was opened for nodes node-1, node-4"):
        coordinator.barriers.arrive(run.job(1), "pair", nodes=["node-1", "node-2"])
    with pytest.raises(CoordinationError, match="no node of this run has the name or role 'node-9'"):
        coordinator.barriers.arrive(run.job(1), "other", nodes=["node-1", "node-9"])
    with pytest.raises(CoordinationError, match="no node of this run has the name or role 'nobody'"):
        coordinator.barriers.arrive(run.job(1), "other", roles=["server", "nobody"])
    with pytest.raises(InputError, match="barrier start is always for all nodes"):
        coordinator.barriers.arrive(run.job(1), "start", roles=["server"])
    for name in ("abort", "retry", "a/b", "", "x y", "-x"):
        with pytest.raises(InputError, match="is no name for a barrier"):
            coordinator.barriers.arrive(run.job(1), name)


def test_what_an_arrival_is_answered(register: Register) -> None:
    run = register(one_server_and(1), lease=12.5)

    def arrive(number: int, barrier: str = "meet") -> Arrival:
        arrival = run.coordinator.barriers.arrive(run.job(number), barrier)
        assert arrival.lease == 12.5 and arrival.retries == 0
        assert arrival.node == f"node-{number}"
        return dataclasses.replace(arrival, lease=0.0, waited=0.0, node="")

    first = arrive(1)
    assert first == Arrival(None, None, "0-0", 1, True)
    assert arrive(1) == Arrival(None, None, "0-0", 1, False)
    released = arrive(2)
    assert released == Arrival("meet", None, released.position, 0, True)
    assert arrive(1) == arrive(2) == Arrival("meet", None, released.position, 0, False)
    assert run.coordinator.barriers.watch(run.id, "0", 1)[0] == released.position
    started = (arrive(1, "start"), arrive(2, "start"))[1]
    assert started.position > released.position
    assert run.coordinator.runs.abort(run.id, make_reason("over"))
    reason = run.coordinator.history.info(run.id)["reason"]
    end = run.coordinator.barriers.watch(run.id, "0", 1)[0]
    assert arrive(1, "ready") == Arrival("abort", reason, end, 2, False)
    assert arrive(1, "another") == Arrival("abort", reason, end, 0, False)
    assert "another" not in run.coordinator.history.info(run.id)["barriers"]
    assert arrive(2, "start") == Arrival("start", None, end, 0, False)


def test_what_a_dry_arrival_is_answered(register: Register) -> None:
    run = register(one_server_and(2), lease=12.5)

    def dry(number: int, barrier: str, **asked: t.Any) -> tuple[str | None, bool, int]:
        before = run.coordinator.history.info(run.id), run.coordinator.history.events(run.id)
        arrival = run.coordinator.barriers.arrive(run.job(number), barrier, dry=True, timeout=60, **asked)
        after = run.coordinator.history.info(run.id), run.coordinator.history.events(run.id)
        before[0].pop("now"), after[0].pop("now")
        assert before == after
        return arrival.verdict, arrival.changed, arrival.missing

    assert dry(1, "start") == (None, True, 3)
    assert dry(1, "new") == (None, True, 0)
    run.coordinator.barriers.arrive(run.job(1), "start")
    assert dry(1, "start") == (None, False, 2)
    assert dry(2, "start") == (None, True, 2)
    run.coordinator.barriers.arrive(run.job(1), "own", nodes=["node-1"])
    assert dry(1, "own") == ("own", False, 0)
    for barrier in ("own", "pair"):
        run.coordinator.barriers.arrive(run.job(1), "pair", nodes=["node-1", "node-2"])
        with pytest.raises(CoordinationError, match=f"does not take part in barrier {barrier}"):
            dry(3, barrier)
    with pytest.raises(CoordinationError, match="no node of this run has the name or role 'nobody'"):
        dry(1, "roles", roles=["nobody"])
    run.coordinator.runs.abort(run.id)
    assert dry(2, "start") == ("abort", False, 2)
    assert run.coordinator.history.info(run.id)["nodes"]["node-2"]["state"] == "registered"


@pytest.mark.parametrize(
    ("asked", "participants", "expected"),
    [
        ({}, "all", [1, 2, 3, 4]),
        ({"nodes": ["node-4", "node-1", "node-4"]}, '["nodes","node-1","node-4"]', [1, 4]),
        ({"roles": ["client"]}, '["roles","client"]', [2, 3]),
        ({"roles": ["monitor", "client"]}, '["roles","client","monitor"]', [2, 3, 4]),
        ({"roles": ["server"]}, '["roles","server"]', [1]),
        ({"nodes": [], "roles": []}, "all", [1, 2, 3, 4]),
    ],
)
def test_who_takes_part_in_a_barrier(
    register: Register, asked: dict[str, t.Any], participants: str, expected: list[int]
) -> None:
    run = register([["server"], ["client"], ["client", "monitor"], ["monitor"]])
    first, *others = expected
    run.coordinator.barriers.arrive(run.job(first), "meet", **asked)
    barrier = run.coordinator.history.info(run.id)["barriers"]["meet"]
    assert barrier["participants"] == participants
    assert barrier["arrived"] == [f"node-{first}"]
    assert names(barrier["missing"]) == [f"node-{number}" for number in others]
    for number in others:
        assert run.coordinator.history.info(run.id)["barriers"]["meet"]["released"] is None
        last = run.coordinator.barriers.arrive(run.job(number), "meet")
    if others:
        assert last.verdict == "meet"
    barrier = run.coordinator.history.info(run.id)["barriers"]["meet"]
    assert barrier["since"] <= barrier["released"] <= run.coordinator.history.now()
    assert barrier["arrived"] == [f"node-{number}" for number in expected] and barrier["missing"] == []
    # Nothing but the events and the verdict says so: the phase and the states are those of the three that all runs have.
    info = run.coordinator.history.info(run.id)
    assert info["phase"] == "registered" and {node["state"] for node in info["nodes"].values()} == {"registered"}
    happened = [(event["node"], event["what"], event["data"]) for event in run.coordinator.history.events(run.id)]
    arrivals = [(f"node-{number}", "arrive", "meet") for number in expected]
    assert happened == [(None, "registered", None), *arrivals, (None, "release", "meet")]


def test_a_barrier_keeps_its_participants(register: Register) -> None:
    run = register(one_server_and(2))
    run.coordinator.barriers.arrive(run.job(1), "meet")
    assert run.coordinator.barriers.arrive(run.job(2), "meet").missing == 1
    with pytest.raises(CoordinationError) as error:
        run.coordinator.barriers.arrive(run.job(3), "meet", nodes=["node-3"])
    assert str(error.value) == "barrier meet was opened for all nodes; every arrival has to name the same"
    run.coordinator.barriers.arrive(run.job(1), "by-role", roles=["server", "client"])
    with pytest.raises(CoordinationError) as error:
        run.coordinator.barriers.arrive(run.job(2), "by-role", roles=["client"])
    assert str(error.value) == "barrier by-role was opened for roles client, server; every arrival has to name the same"
    with pytest.raises(InputError, match="barrier both: give nodes or roles, not both"):
        run.coordinator.barriers.arrive(run.job(1), "both", nodes=["node-1"], roles=["server"])
    assert "both" not in run.coordinator.history.info(run.id)["barriers"]


def test_a_barrier_of_thousands_of_nodes(register: Register) -> None:
    """More than Lua can pass to one command."""
    run = register(one_server_and(8500))
    wanted = [f"node-{number}" for number in range(2, 8502)]
    arrival = run.coordinator.barriers.arrive(run.job(2), "meet", nodes=wanted, tell_missing=True)
    assert (arrival.node, arrival.missing) == ("node-2", 8499)
    assert names(arrival.missing_nodes or []) == wanted[1:]
    run.coordinator.runs.remove(run.id)


def test_a_wait_takes_three_trips_at_most(server: RedisServer, register: Register) -> None:
    """One to arrive and see who is missing, one that blocks, and, without a release, one for the end of the slice."""
    run = register(one_server_and(2))
    run.coordinator.barriers.arrive(run.job(1), "never")

    def wait(barrier: str, **options: t.Any) -> Answer:
        arrival = run.coordinator.barriers.arrive(run.job(1), barrier, tell_missing=True, pause=0)
        assert names(arrival.missing_nodes or []) == ["node-2", "node-3"]
        return run.coordinator.barriers.wait(run.job(1), barrier, arrival=arrival, **options)

    with Trips(server.client()) as trips:
        answer = wait("never", slice_seconds=0.01)
    assert (answer.answer, names(answer.missing), answer.retries) == ("retry", ["node-2", "node-3"], 1)
    assert trips.commands == ["EVALSHA", "XREAD", "EVALSHA"]

    with Trips(server.client()) as trips:
        waiter = Background(lambda: wait("start", slice_seconds=60))
        wait_until_blocked(server.client())
        trips.end()
    for number in (2, 3):
        run.coordinator.barriers.arrive(run.job(number), "start")
    assert waiter.end(30).answer == "start"
    assert trips.commands == ["EVALSHA", "XREAD"]


@pytest.mark.parametrize("slow", [0, 0.1], ids=["at once", "slowly"])
def test_a_wait_asks_once_whether_its_time_is_over(server: RedisServer, register: Register, slow: float) -> None:
    """Also when Redis takes long to answer that it has arrived: that is when the time begins."""
    run = register(one_server_and(1), lease=3600)
    with Trips(server.client()) as trips:
        if slow:
            server.client().client_pause(int(slow * 1000))
        answer = run.coordinator.barriers.wait(run.job(1), "start", timeout=0.2, slice_seconds=20)
    assert answer.waited < 15 and answer.reason is not None
    assert (answer.answer, answer.reason["kind"], names(answer.missing)) == ("abort", "timeout", ["node-2"])
    # To arrive, to see that the time is over, and who is missing.
    assert trips.commands.count("EVALSHA") == 3


def test_a_run_that_has_finished_opens_no_barrier(register: Register) -> None:
    run = register(one_server_and(0))
    run.coordinator.barriers.arrive(run.job(1), "mine")
    run.coordinator.barriers.arrive(run.job(1), "finish")
    assert run.coordinator.barriers.arrive(run.job(1), "mine").verdict == "mine"
    assert run.coordinator.barriers.arrive(run.job(1), "finish").verdict == "finish"
    late = run.coordinator.barriers.arrive(run.job(1), "late")
    assert (late.verdict, late.changed) == ("abort", False)
    assert late.reason is not None
    assert late.reason["text"] == "the run finished before all had arrived at barrier late"
    info = run.coordinator.history.info(run.id)
    assert "late" not in info["barriers"] and info["nodes"]["node-1"]["state"] == "finish"
    assert run.coordinator.runs.sweep(run.id) is None


def test_what_a_report_is_answered(register: Register) -> None:
    run = register(one_server_and(2))
    coordinator = run.coordinator

    def report(number: int, state: str, dry: bool = False) -> tuple[bool, str | None]:
        told = coordinator.nodes.report(run.job(number), state, make_reason("", script="netperf", exit_code=2), dry=dry)
        assert told.reason == coordinator.history.info(run.id)["reason"]
        return told.changed, told.verdict

    def state(number: int) -> str:
        return str(coordinator.history.info(run.id)["nodes"][f"node-{number}"]["state"])

    for dry in (True, False):
        assert report(1, "started", dry) == (True, None)
    for dry in (True, False):
        assert report(1, "started", dry) == (False, None)
    assert report(1, "finished") == (True, None) and state(1) == "finish"
    assert report(1, "started") == (False, None) and state(1) == "finish"
    assert report(2, "failed", dry=True) == (True, None) and coordinator.history.info(run.id)["result"] is None
    assert report(2, "failed") == (True, "abort") and state(2) == "abort"
    reason = coordinator.history.info(run.id)["reason"]
    assert (reason["node"], reason["script"], reason["exit_code"], reason["kind"]) == ("node-2", "netperf", 2, "failed")
    assert report(2, "failed", dry=True) == report(2, "failed") == (False, "abort")
    # What comes later is an abort too, whatever it says; the reason stays.
    assert report(3, "started", dry=True) == (True, "abort") and state(3) == "registered"
    assert report(3, "started") == (True, "abort") and state(3) == "abort"
    assert report(3, "finished") == (False, "abort")
    assert report(1, "abort") == (True, "abort") and state(1) == "abort"
    happened = [(event["node"], event["what"], event["data"]) for event in coordinator.history.events(run.id)]
    own = {"text": "script netperf failed with exit code 2 on node node-1", "kind": "abort", "node": "node-1"}
    assert happened == [
        (None, "registered", None),
        ("node-1", "started", None),
        ("node-1", "finish", None),
        ("node-2", "abort", reason),
        ("node-3", "abort", None),
        ("node-1", "abort", {"script": "netperf", "exit_code": 2, **own}),
    ]
    with pytest.raises(InputError, match="'finish' is no state to report; right would be one of started, finished"):
        coordinator.nodes.report(run.job(1), "finish")


def test_a_report_after_the_end_changes_nothing(register: Register) -> None:
    run = register(one_server_and(0))
    run.coordinator.barriers.arrive(run.job(1), "finish")
    before = run.coordinator.history.info(run.id), run.coordinator.history.events(run.id)
    for state in ("started", "finished", "failed", "abort"):
        for dry in (True, False):
            assert run.coordinator.nodes.report(run.job(1), state, dry=dry) == Reported(False, "finish", None)
    after = run.coordinator.history.info(run.id), run.coordinator.history.events(run.id)
    before[0].pop("now"), after[0].pop("now")
    assert before == after


@pytest.mark.parametrize(("given", "node"), [(None, None), ("node-2", "node-2"), ("node-9", None)])
def test_an_abort_from_outside(register: Register, given: str | None, node: str | None) -> None:
    run = register(one_server_and(1))
    before = run.coordinator.history.now()
    assert run.coordinator.runs.abort(run.id, make_reason("over", node=given), dry=True)
    assert run.coordinator.history.info(run.id)["result"] is None
    assert run.coordinator.runs.abort(run.id, make_reason("over", node=given))
    assert not run.coordinator.runs.abort(run.id, make_reason("again"), dry=True)
    assert not run.coordinator.runs.abort(run.id, make_reason("again"))
    info = run.coordinator.history.info(run.id)
    assert info["reason"] == {
        "script": None,
        "exit_code": None,
        "text": "over",
        "kind": "abort",
        "node": given,
    }
    assert (info["phase"], info["result"]) == ("abort", "abort")
    assert before - 0.001 <= info["started"] == info["finished"] <= info["now"]
    assert [(event["node"], event["what"], event["data"]) for event in run.coordinator.history.events(run.id)] == [
        (None, "registered", None),
        (node, "abort", info["reason"]),
    ]
    states = {name: entry["state"] for name, entry in info["nodes"].items()}
    assert states == {"node-1": "registered", "node-2": "registered"} | ({node: "abort"} if node else {})
    verdicts = run.coordinator.barriers.watch(run.id, "0", 1)[1]
    assert verdicts == [{"barrier": None, "verdict": "abort", "reason": info["reason"]}]
    assert run.coordinator.runs.sweep(run.id) == info["reason"]


def test_writing_a_state_again(register: Register) -> None:
    run = register(one_server_and(0))

    def write(dry: bool = False, **what: t.Any) -> bool:
        return run.coordinator.nodes.write_state(run.job(1), **{"ip": "172.18.0.2", **what}, dry=dry)

    def node() -> dict[str, t.Any]:
        return t.cast(dict, run.coordinator.history.info(run.id)["nodes"]["node-1"])

    old = node()
    assert write(dry=True) and node() == old
    assert write() and not write() and not write(dry=True)
    written = node()
    assert written["times"].keys() == {"write_state"}
    assert {**written, "times": {}} == {**old, "ip": "172.18.0.2", "state": "write_state"}
    run.coordinator.nodes.report(run.job(1), "started")
    new: dict[str, t.Any] = {"roles": ["client"], "direct_macs": [], "direct_ips": ["10.0.0.9"], "ip": None}
    for what, value in new.items():
        assert write(dry=True, **{what: value})
    assert write(**new) and not write(**new)
    assert {key: node()[key] for key in (*new, "state")} == {**new, "state": "started"}
    assert node()["times"]["write_state"] == written["times"]["write_state"]
    events = [event for event in run.coordinator.history.events(run.id) if event["what"] == "write_state"]
    assert [event["node"] for event in events] == ["node-1", "node-1"]
    same = {"cluster_id": run.id, "node": "node-1"}
    kept = {key: old[key] for key in ("roles", "direct_macs", "direct_ips")}
    assert [event["data"] for event in events] == [{**same, **kept, "ip": "172.18.0.2"}, {**same, **new}]


def test_the_first_that_a_node_says_begins_the_run(register: Register) -> None:
    steps: list[t.Callable[[Run], t.Any]] = [
        lambda run: run.coordinator.nodes.write_state(run.job(1), ip="172.18.0.2"),
        lambda run: run.coordinator.nodes.report(run.job(1), "started"),
        lambda run: run.coordinator.barriers.arrive(run.job(1), "start"),
    ]
    for step in steps:
        run = register(one_server_and(1))
        run.coordinator.runs.renew_leases(run.id, ["node-1"], 60)
        run.coordinator.runs.sweep(run.id)
        assert run.coordinator.history.info(run.id)["started"] is None
        before = run.coordinator.history.now()
        step(run)
        assert before - 0.001 <= run.coordinator.history.info(run.id)["started"] <= run.coordinator.history.now()


def test_a_repeated_message_or_event_comes_once(server: RedisServer, register: Register) -> None:
    """The client repeats what had no answer."""
    run = register(one_server_and(1))
    client = LosingConnection(RedisSettings(url=server.url))
    coordinator = Coordinator(client)
    client.lose_next = True
    position = coordinator.messages.send(run.id, "node-1", "port", "5201")
    assert not client.lose_next
    got = coordinator.messages.receive(run.id, "port")
    assert [message["position"] for message in got.messages] == [position] == [got.position]
    assert got.messages[0]["time"] == pytest.approx(coordinator.history.now(), abs=60)
    client.lose_next = True
    coordinator.runs.record_event(run.id, "node-2", "script", {"id": "test-job"})
    coordinator.runs.record_event(run.id, None, "text", "words")
    happened = [(event["node"], event["what"], event["data"]) for event in coordinator.history.events(run.id)]
    assert happened == [
        (None, "registered", None),
        ("node-1", "send", "port"),
        ("node-2", "script", {"id": "test-job"}),
        (None, "text", "words"),
    ]
    assert coordinator.messages.receive(run.id, "port", position=position, slice_seconds=0).messages == []
    assert coordinator.messages.send(run.id, "node-1", "port", "5201") != position
    coordinator.close()


def test_only_nodes_of_the_run_speak(register: Register) -> None:
    run = register(one_server_and(1))
    for call in (
        lambda: run.coordinator.messages.send(run.id, "node-3", "port", "1"),
        lambda: run.coordinator.runs.renew_leases(run.id, ["node-1", "node-3"], 60),
        lambda: run.coordinator.runs.renew_leases(run.id, ["node-3", "node-1"], 60),
    ):
        with pytest.raises(CoordinationError) as error:
            call()
        assert str(error.value) == f"run {run.id}: no node of this run has the name or role 'node-3'"
    assert run.coordinator.history.info(run.id)["nodes"]["node-1"]["lease"] is None
    for operation in (
        run.coordinator.messages.receive,
        lambda one, key: run.coordinator.messages.send(one, "node-1", key, "1"),
    ):
        with pytest.raises(InputError, match="'a/b' is no name for a message key"):
            operation(run.id, "a/b")


def test_the_messages_are_capped(server: RedisServer, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    run = register(one_server_and(0))
    monkeypatch.setattr(messages, "MESSAGES_KEPT", 10)
    for number in range(300):
        run.coordinator.messages.send(run.id, "node-1", "port", str(number))
    assert 10 <= server.client().xlen(f"sched/cluster/{run.id}/messages/port") < 200
    assert run.coordinator.messages.receive(run.id, "port").messages[-1]["value"] == "299"


def test_following_several_runs(register: Register) -> None:
    one, two = register(one_server_and(0)), register(one_server_and(0))
    positions = {one.id: "0", two.id: "0"}
    assert [run for run, _event in one.coordinator.history.follow(positions, 0)] == [one.id, two.id]
    assert one.coordinator.history.follow(positions, 0) == []
    two.coordinator.runs.record_event(two.id, None, "late", ["of two"])
    late = one.coordinator.history.now()
    wait_until("2 ms have passed", lambda: one.coordinator.history.now() > late + 0.002)
    one.coordinator.runs.record_event(one.id, "node-1", "later", "of one")
    followed = one.coordinator.history.follow(positions, 60)
    assert [(run, event["node"], event["what"], event["data"]) for run, event in followed] == [
        (two.id, None, "late", ["of two"]),
        (one.id, "node-1", "later", "of one"),
    ]
    assert positions[one.id] != "0" and one.coordinator.history.follow(positions, 0) == []


def test_a_closed_run_was_aborted_only_if_it_went_on(register: Register) -> None:
    finished, open_run = register(one_server_and(0)), register(one_server_and(0))
    finished.coordinator.barriers.arrive(finished.job(1), "finish")
    for run, result in ((finished, "finish"), (open_run, "abort")):
        assert run.coordinator.runs.close(run.id) and not run.coordinator.runs.close(run.id)
        info = run.coordinator.history.info(run.id)
        assert info["result"] == result and info["closed"] is not None
        assert [event["what"] for event in run.coordinator.history.events(run.id)].count("closed") == 1
    assert open_run.coordinator.runs.sweep(open_run.id) == {
        "node": None,
        "script": None,
        "exit_code": None,
        "text": "the run was closed before it had finished",
        "kind": "abort",
    }


def test_barriers_and_keys_of_two_runs_never_meet(register: Register) -> None:
    one, two = register(one_server_and(1)), register(one_server_and(1))
    one.coordinator.barriers.arrive(one.job(1), "mine")
    assert two.coordinator.barriers.arrive(two.job(2), "mine").verdict is None
    one.coordinator.messages.send(one.id, "node-1", "port", "1")
    assert two.coordinator.messages.receive(two.id, "port", slice_seconds=0).messages == []
    one.coordinator.runs.abort(one.id, make_reason("over"))
    assert two.coordinator.barriers.arrive(two.job(1), "mine").verdict == "mine"


def test_messages_have_a_history(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1))

    first = run.coordinator.messages.send(run.id, "node-1", "port", "5201")
    got = run.coordinator.messages.receive(run.id, "port")
    assert [(message["node"], message["value"]) for message in got.messages] == [("node-1", "5201")]
    assert got.position == first
    receiver = Background(
        lambda: run.coordinator.messages.receive(run.id, "port", position=got.position, slice_seconds=60)
    )
    wait_until_blocked(server.client())
    second = run.coordinator.messages.send(run.id, "node-2", "port", "5202")
    late = receiver.end(30)
    assert (late.position, late.verdict) == (second, None)
    assert [(message["node"], message["value"]) for message in late.messages] == [("node-2", "5202")]
    everything = run.coordinator.messages.receive(run.id, "port")
    assert everything.position == second
    assert [message["value"] for message in everything.messages] == ["5201", "5202"]
    assert run.coordinator.messages.receive(run.id, "other", slice_seconds=0.05).messages == []


def test_who_asks_for_a_message_after_the_end_is_told_at_once(register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.messages.send(run.id, "node-1", "port", "1")
    run.coordinator.runs.abort(run.id, make_reason("over"))
    got = run.coordinator.messages.receive(run.id, "other", slice_seconds=600)
    assert got.reason is not None
    assert (got.verdict, got.reason["text"], got.messages) == ("abort", "over", [])
    assert [message["value"] for message in run.coordinator.messages.receive(run.id, "port").messages] == ["1"]


def test_watching_the_verdicts(register: Register) -> None:
    run = register(one_server_and(0))
    assert run.coordinator.barriers.watch(run.id, "0", 10) == ("0", [])
    run.coordinator.barriers.arrive(run.job(1), "start")
    position, entries = run.coordinator.barriers.watch(run.id, "0", 10)
    assert entries == [{"barrier": "start", "verdict": "start", "reason": None}]
    run.coordinator.runs.abort(run.id, make_reason("over"))
    _position, entries = run.coordinator.barriers.watch(run.id, position, 10)
    assert [(entry["barrier"], entry["verdict"]) for entry in entries] == [(None, "abort")]
    assert entries[0]["reason"]["text"] == "over"


def test_two_hundred_reporters_at_once_lose_nothing(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(199), lease=3600)
    gate = threading.Barrier(200)
    coordinators = [Coordinator.connect(RedisSettings(url=server.url)) for _ in range(200)]

    def node(number: int) -> None:
        coordinator, job = coordinators[number - 1], run.job(number)
        gate.wait(30)
        coordinator.nodes.write_state(job, ip=f"172.18.1.{number}")
        coordinator.nodes.report(job, "started")
        coordinator.barriers.arrive(job, "ready")
        coordinator.runs.record_event(run.id, f"node-{number}", "script", {"id": "test-job"})
        coordinator.nodes.report(job, "finished")

    in_threads(*(lambda number=number: node(number) for number in range(1, 201)))
    for coordinator in coordinators:
        coordinator.close()
    info = run.coordinator.history.info(run.id)
    assert {node["state"] for node in info["nodes"].values()} == {"finish"}
    assert {node["ip"] for node in info["nodes"].values()} == {f"172.18.1.{number}" for number in range(1, 201)}
    assert all(set(node["times"]) == {"write_state", "started", "ready", "finish"} for node in info["nodes"].values())
    events = run.coordinator.history.events(run.id)
    for what in ("write_state", "started", "ready", "arrive", "script", "finish"):
        assert len([event for event in events if event["what"] == what]) == 200
    assert [event["data"] for event in events if event["what"] == "release"] == ["ready"]


def test_the_events_are_capped(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(0))
    redis = server.client()
    redis.hset(f"sched/cluster/{run.id}", "events", 100)
    for number in range(1000):
        run.coordinator.runs.record_event(run.id, None, "step", number)
    assert redis.xlen(f"sched/cluster/{run.id}/events") < 300


def test_unknown_ids_are_named(server: RedisServer, coordinator: Coordinator) -> None:
    of_jobs: list[t.Callable[[], t.Any]] = [
        lambda: coordinator.nodes.report("20260131T120000-zzzz.1.1", "started"),
        lambda: coordinator.nodes.write_state("20260131T120000-zzzz.1.1", ip="172.18.0.2"),
        lambda: coordinator.barriers.arrive("20260131T120000-zzzz.1.1", "start"),
        lambda: coordinator.barriers.wait("20260131T120000-zzzz.1.1", "start"),
    ]
    for call in of_jobs:
        with pytest.raises(CoordinationError, match=r"^job 20260131T120000-zzzz.1.1 is not known to Redis at /tmp/"):
            call()
    of_runs: list[t.Callable[[], t.Any]] = [
        lambda: coordinator.history.info("20260131T120000-zzzz.1"),
        lambda: coordinator.runs.abort("20260131T120000-zzzz.1"),
        lambda: coordinator.runs.sweep("20260131T120000-zzzz.1"),
        lambda: coordinator.runs.renew_leases("20260131T120000-zzzz.1", ["node-1"], 1),
        lambda: coordinator.messages.send("20260131T120000-zzzz.1", "node-1", "port", "1"),
        lambda: coordinator.messages.receive("20260131T120000-zzzz.1", "port", slice_seconds=0),
        lambda: coordinator.runs.close("20260131T120000-zzzz.1"),
        lambda: coordinator.messages.time_waited("20260131T120000-zzzz.1", "port"),
        lambda: coordinator.runs.record_event("20260131T120000-zzzz.1", None, "script"),
    ]
    for call in of_runs:
        with pytest.raises(CoordinationError, match=r"^run 20260131T120000-zzzz.1 is not known to Redis"):
            call()
    with pytest.raises(InputError, match="'job-1' is no job id"):
        coordinator.nodes.report("job-1", "started")
    assert not coordinator.runs.remove("20260131T120000-zzzz.1")


def test_looking_changes_nothing(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1))
    coordinator, job = run.coordinator, run.job(1)
    before = coordinator.history.info(run.id), coordinator.history.events(run.id)
    assert coordinator.nodes.write_state(job, ip="172.18.0.2", dry=True)
    assert coordinator.nodes.report(job, "started", dry=True).changed
    assert coordinator.nodes.report(job, "failed", make_reason("", script="x"), dry=True).changed
    assert coordinator.runs.abort(run.id, dry=True)
    assert coordinator.barriers.arrive(job, "start", dry=True).changed
    assert coordinator.barriers.arrive(job, "new", roles=["server"], dry=True).changed
    after = coordinator.history.info(run.id), coordinator.history.events(run.id)
    before[0].pop("now"), after[0].pop("now")
    assert before == after


def test_closing_and_removing_leave_nobody_waiting(server: RedisServer, register: Register) -> None:
    for end, text in (
        (lambda run: run.coordinator.runs.close(run.id), "the run was closed before it had finished"),
        (lambda run: run.coordinator.runs.remove(run.id), None),
    ):
        run = register(one_server_and(1))
        arrival = run.coordinator.barriers.arrive(run.job(1), "start")
        waiter = Background(
            functools.partial(run.coordinator.barriers.wait, run.job(1), "start", arrival=arrival, slice_seconds=60)
        )
        wait_until_blocked(server.client())
        end(run)
        answer = waiter.end(30)
        if text:
            assert (answer.answer, answer.reason["text"]) == ("abort", text)
        else:
            assert "not known" in str(answer)
            redis = server.client()
            assert redis.keys(f"sched/cluster/{run.id}*") == [f"sched/cluster/{run.id}/verdicts"]
            assert 0 < redis.pttl(f"sched/cluster/{run.id}/verdicts") <= 60000
            assert redis.hget("sched/cluster_state", run.job(1)) is None


def test_all_runs_in_brief(server: RedisServer, register: Register) -> None:
    one, two = register(one_server_and(1)), register(one_server_and(0))
    two.coordinator.barriers.arrive(two.job(1), "finish")
    listed = {brief["cluster_id"]: brief for brief in one.coordinator.history.runs()}
    assert (listed[one.id]["phase"], listed[one.id]["result"]) == ("registered", None)
    assert (listed[two.id]["phase"], listed[two.id]["result"]) == ("finish", "finish")


def test_another_prefix_is_another_world(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1))
    other = Coordinator.connect(RedisSettings(url=server.url, prefix="lab7:"))
    with pytest.raises(CoordinationError, match="not known"):
        other.barriers.arrive(run.job(1), "start")
    other.registration.register(run.plan)
    assert other.barriers.arrive(run.job(1), "start").missing == 1
    assert run.coordinator.history.info(run.id)["barriers"]["start"]["arrived"] == []
    other.close()
