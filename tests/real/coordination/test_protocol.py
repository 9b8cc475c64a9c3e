# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the records of a run hold, and how its barriers, leases, limits, messages and ends behave, on every server."""

from __future__ import annotations

import concurrent.futures
import json
import re
import threading
import time
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError

from coordination.conftest import Run
from coordination.plans import make_plan, one_server_and
from coordination.redis_server import RedisServer

Register = t.Callable[..., Run]


def in_threads(*calls: t.Callable[[], t.Any]) -> list[t.Any]:
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(30) for future in [pool.submit(call) for call in calls]]


def names(missing: list[dict[str, t.Any]]) -> list[str]:
    return [entry["node"] for entry in missing]


def test_the_keys_are_those_that_operators_type(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1))
    redis = server.client()
    run.coordinator.write_state(run.job(1), ip="172.18.0.2", roles=["server"], direct_macs=[], direct_ips=[])
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
    run.coordinator.renew(run.id, ["node-1"], 30)
    run.coordinator.arrive(run.job(1), "start")
    run.coordinator.arrive(run.job(2), "start")
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
        info = coordinator.info(run.id)
        return info["nodes"]["node-1"]["state"], info["phase"]

    assert state() == ("registered", "registered")
    coordinator.write_state(job, ip="172.18.0.2")
    assert state() == ("write_state", "registered")
    assert coordinator.wait(job, "start").answer == "start"
    assert state() == ("start", "start")
    coordinator.report(job, "started")
    assert state() == ("started", "start")
    assert coordinator.wait(job, "ready").answer == "ready"
    assert state() == ("ready", "ready")
    coordinator.report(job, "finished")
    assert state() == ("finish", "ready")
    assert coordinator.wait(job, "finish").answer == "finish"
    assert state() == ("finish", "finish")
    info = coordinator.info(run.id)
    assert info["result"] == "finish" and info["reason"] is None
    times = info["nodes"]["node-1"]["times"]
    assert sorted(times, key=times.__getitem__) == list(times) or set(times) == {
        "write_state",
        "start",
        "started",
        "ready",
        "finish",
    }
    assert info["registered"] <= info["started"] <= times["start"] <= info["finished"]
    happened = [
        (event["what"], event["data"]) for event in coordinator.events(run.id) if event["what"] != "write_state"
    ]
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
    coordinator.register(plan)
    cluster_id = plan["runs"][0]["cluster_id"]
    for number in (1, 2, 3):
        coordinator.write_state(f"{cluster_id}.{number}", ip=f"172.18.0.{number}")
    assert coordinator.roles_ip(cluster_id) == {
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
    assert coordinator.register(second_only)
    with pytest.raises(CoordinationError, match=rf"run {taken['runs'][1]['cluster_id']} is registered already"):
        coordinator.register(taken)
    for run in (taken["runs"][0], taken["runs"][2]):
        with pytest.raises(CoordinationError, match="is not known"):
            coordinator.info(run["cluster_id"])


def test_registering_the_same_again_changes_nothing(coordinator: Coordinator) -> None:
    plan = make_plan(one_server_and(1), runs=2)
    cluster_id = plan["runs"][0]["cluster_id"]
    assert coordinator.register(plan)
    coordinator.arrive(f"{cluster_id}.1", "start")
    assert not coordinator.register(plan)
    assert coordinator.info(cluster_id)["barriers"]["start"]["arrived"] == ["node-1"]


def test_a_wait_ends_the_moment_the_last_one_arrives(register: Register) -> None:
    run = register(one_server_and(2))
    waits = [lambda number=number: run.coordinator.wait(run.job(number), "start") for number in (1, 2)]

    def last() -> float:
        time.sleep(0.3)
        run.coordinator.arrive(run.job(3), "start")
        return time.monotonic()

    ends: list[float] = []

    def timed(wait: t.Callable[[], t.Any]) -> t.Any:
        answer = wait()
        ends.append(time.monotonic())
        return answer

    *answers, released = in_threads(*(lambda wait=wait: timed(wait) for wait in waits), last)
    assert [answer.answer for answer in answers] == ["start", "start"]
    assert all(0.1 < answer.waited < 2 for answer in answers)
    assert max(ends) - released < 1


def test_an_abort_ends_all_waits_and_its_first_reason_is_kept(register: Register) -> None:
    run = register(one_server_and(3))
    for number in (1, 2, 3, 4):
        run.coordinator.arrive(run.job(number), "start")

    def fail() -> None:
        time.sleep(0.2)
        run.coordinator.report(run.job(3), "failed", {"script": "netperf", "exit_code": 2})
        run.coordinator.report(run.job(4), "failed", {"script": "other", "exit_code": 1})

    waits = [lambda number=number: run.coordinator.wait(run.job(number), "ready") for number in (1, 2)]
    *answers, _none = in_threads(*waits, fail)
    reason = {
        "node": "node-3",
        "script": "netperf",
        "exit_code": 2,
        "text": "script netperf failed with exit code 2 on node node-3",
        "kind": "failed",
    }
    assert [(answer.answer, answer.reason) for answer in answers] == [("abort", reason)] * 2
    assert run.coordinator.info(run.id)["reason"] == reason
    assert {node["state"] for node in run.coordinator.info(run.id)["nodes"].values()} == {"abort"}
    late = run.coordinator.arrive(run.job(4), "finish")
    assert (late.verdict, late.reason) == ("abort", reason)


def test_an_abort_does_not_take_back_a_verdict_that_was_given(register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.arrive(run.job(1), "start")
    run.coordinator.arrive(run.job(2), "start")
    run.coordinator.abort(run.id, {"text": "no more power"})
    assert run.coordinator.wait(run.job(1), "start").answer == "start"
    assert run.coordinator.arrive(run.job(2), "ready").verdict == "abort"


def test_a_run_that_has_finished_cannot_be_aborted(register: Register) -> None:
    run = register(one_server_and(0))
    run.coordinator.arrive(run.job(1), "finish")
    assert not run.coordinator.abort(run.id, {"text": "too late"})
    report = run.coordinator.report(run.job(1), "failed")
    assert (report.changed, report.verdict) == (False, "finish")
    assert run.coordinator.info(run.id)["result"] == "finish"


def test_who_still_waits_when_the_run_finishes_is_told(register: Register) -> None:
    run = register(one_server_and(1))
    position = run.coordinator.arrive(run.job(1), "never").position
    for number in (1, 2):
        run.coordinator.arrive(run.job(number), "finish")
    answer = run.coordinator.wait(run.job(1), "never", position=position)
    assert answer.answer == "abort"
    assert answer.reason is not None
    assert answer.reason["text"] == "the run finished before all had arrived at barrier never"


def test_slices_are_counted_and_the_last_one_names_the_missing(register: Register) -> None:
    run = register(one_server_and(2))
    run.coordinator.arrive(run.job(2), "start")
    for count in (1, 2, 3):
        answer = run.coordinator.wait(run.job(1), "start", slice_seconds=0.02, retries=3)
        assert (answer.answer, answer.retries, names(answer.missing)) == ("retry", count, ["node-3"])
    answer = run.coordinator.wait(run.job(1), "start", slice_seconds=0.02, retries=3)
    assert answer.answer == "abort"
    assert answer.reason is not None
    assert re.match(
        r"barrier start timed out after 3 retries in \d+ s: node-3 \(client\) did not arrive", answer.reason["text"]
    )
    assert answer.reason["kind"] == "timeout"


def test_any_number_of_slices(register: Register) -> None:
    run = register(one_server_and(1))
    answers = [run.coordinator.wait(run.job(1), "start", slice_seconds=0, retries=0) for _ in range(105)]
    assert {answer.answer for answer in answers} == {"retry"}


def test_a_timeout_is_never_a_pass(register: Register) -> None:
    run = register(one_server_and(30))
    for number in range(1, 5):
        run.coordinator.arrive(run.job(number), "start", timeout=0.2)
    time.sleep(0.3)
    late = [run.coordinator.arrive(run.job(number), "start") for number in range(5, 32)]
    assert {arrival.verdict for arrival in late} == {"abort"}
    text = run.coordinator.info(run.id)["reason"]["text"]
    assert re.match(r"barrier start timed out after \d+ s: node-10 \(client\), node-11 \(client\)", text)
    assert text.endswith("and 7 more did not arrive")


def test_a_timeout_ends_a_wait_on_time(register: Register) -> None:
    run = register(one_server_and(1))
    begin = time.monotonic()
    answer = run.coordinator.wait(run.job(1), "start", timeout=1)
    assert answer.answer == "abort"
    assert 0.9 < time.monotonic() - begin < 3
    assert names(answer.missing) == ["node-2"]


def test_a_timeout_ends_with_its_barrier(register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.arrive(run.job(1), "start", timeout=1)
    assert run.coordinator.arrive(run.job(2), "start", timeout=1).verdict == "start"
    time.sleep(1.2)
    assert run.coordinator.sweep(run.id) is None


def test_a_run_that_lasts_too_long_is_aborted(register: Register) -> None:
    run = register(one_server_and(1), run_timeout=0.2)
    time.sleep(0.3)
    assert run.coordinator.sweep(run.id) is None, "its time begins with its first node"
    run.coordinator.write_state(run.job(1), ip="172.18.0.2")
    time.sleep(0.3)
    reason = run.coordinator.sweep(run.id)
    assert reason is not None
    assert reason["text"] == "the run did not end within 0.2 s"


def test_a_node_that_is_not_heard_from_is_lost(register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.renew(run.id, ["node-1", "node-2"], 30)
    run.coordinator.renew(run.id, ["node-2"], 0.1)
    time.sleep(0.2)
    answer = run.coordinator.wait(run.job(1), "start")
    assert answer.answer == "abort"
    assert answer.reason is not None
    assert (answer.reason["kind"], answer.reason["node"]) == ("lost", "node-2")
    assert answer.reason["text"].startswith("node node-2 not heard from for ")


def test_a_node_whose_part_is_over_cannot_be_lost(register: Register) -> None:
    run = register(one_server_and(1))
    run.coordinator.renew(run.id, ["node-2"], 0.05)
    run.coordinator.release_lease(run.id, "node-2")
    time.sleep(0.1)
    assert run.coordinator.sweep(run.id) is None


def test_a_waiter_holds_a_lease_and_renews_it(register: Register) -> None:
    run = register(one_server_and(1), lease=1.2)
    for _ in range(5):
        assert run.coordinator.wait(run.job(1), "start", slice_seconds=0.4).answer == "retry"
        assert run.coordinator.sweep(run.id) is None
    in_pieces = threading.Thread(
        target=lambda: run.coordinator.wait(run.job(1), "start", slice_seconds=30, retries=0), daemon=True
    )
    in_pieces.start()
    for _ in range(20):
        time.sleep(0.1)
        assert run.coordinator.sweep(run.id) is None
    run.coordinator.arrive(run.job(2), "start")
    in_pieces.join(5)
    for _ in range(15):
        time.sleep(0.1)
        assert run.coordinator.sweep(run.id) is None, "who has passed the barrier waits no more"


def test_a_waiter_that_does_not_come_back_is_lost(register: Register) -> None:
    run = register(one_server_and(1), lease=1)
    begin = time.monotonic()
    assert run.coordinator.wait(run.job(1), "start", slice_seconds=0.05, pause=1).answer == "retry"
    reason = sweep_until_lost(run)
    assert time.monotonic() - begin > 1.9, "the pause counts"
    assert reason["text"].startswith("node node-1 not heard from for ")


def test_a_silence_of_everybody_is_the_servers(register: Register) -> None:
    run = register(one_server_and(1), lease=1)
    run.coordinator.renew(run.id, ["node-1", "node-2"], 1)
    time.sleep(2)
    assert run.coordinator.sweep(run.id) is None
    run.coordinator.renew(run.id, ["node-1"], 30)
    assert sweep_until_lost(run)["node"] == "node-2"


def sweep_until_lost(run: Run) -> dict[str, t.Any]:
    deadline = time.monotonic() + 15
    while True:
        reason = run.coordinator.sweep(run.id)
        if reason is not None:
            return reason
        assert time.monotonic() < deadline, "nobody was found to be lost"
        time.sleep(0.1)


def test_named_barriers(register: Register) -> None:
    run = register([["server"], ["client"], ["client", "monitor"], ["monitor"]])
    coordinator = run.coordinator
    assert coordinator.arrive(run.job(2), "clients", roles=["client"]).verdict is None
    assert coordinator.arrive(run.job(3), "clients").verdict == "clients"
    assert coordinator.arrive(run.job(1), "pair", nodes=["node-4", "node-1"]).verdict is None
    assert coordinator.arrive(run.job(4), "pair", nodes=["node-1", "node-4"]).verdict == "pair"
    assert coordinator.arrive(run.job(2), "mixed", roles=["client", "server"]).missing == 2
    assert [coordinator.arrive(run.job(number), "everybody").missing for number in (1, 2, 3, 4)] == [3, 2, 1, 0]
    with pytest.raises(CoordinationError, match="its node does not take part in barrier clients"):
        coordinator.arrive(run.job(1), "clients")
    with pytest.raises(CoordinationError, match="barrier pair was opened for nodes node-1, node-4"):
        coordinator.arrive(run.job(1), "pair", nodes=["node-1", "node-2"])
    with pytest.raises(CoordinationError, match="no node of this run has the name or role 'node-9'"):
        coordinator.arrive(run.job(1), "other", nodes=["node-1", "node-9"])
    with pytest.raises(CoordinationError, match="no node of this run has the name or role 'nobody'"):
        coordinator.arrive(run.job(1), "other", roles=["server", "nobody"])
    with pytest.raises(InputError, match="barrier start is always for all nodes"):
        coordinator.arrive(run.job(1), "start", roles=["server"])
    for name in ("abort", "retry", "a/b", "", "x y", "-x"):
        with pytest.raises(InputError, match="is no name for a barrier"):
            coordinator.arrive(run.job(1), name)


def test_barriers_and_keys_of_two_runs_never_meet(register: Register) -> None:
    one, two = register(one_server_and(1)), register(one_server_and(1))
    one.coordinator.arrive(one.job(1), "mine")
    assert two.coordinator.arrive(two.job(2), "mine").verdict is None
    one.coordinator.send(one.id, "node-1", "port", "1")
    assert two.coordinator.receive(two.id, "port", slice_seconds=0).messages == []
    one.coordinator.abort(one.id, {"text": "over"})
    assert two.coordinator.arrive(two.job(1), "mine").verdict == "mine"


def test_messages_have_a_history(register: Register) -> None:
    run = register(one_server_and(1))

    def send_late() -> None:
        time.sleep(0.2)
        run.coordinator.send(run.id, "node-2", "port", "5202")

    first = run.coordinator.send(run.id, "node-1", "port", "5201")
    got = run.coordinator.receive(run.id, "port")
    assert [(message["node"], message["value"]) for message in got.messages] == [("node-1", "5201")]
    assert got.position == first
    late, _none = in_threads(lambda: run.coordinator.receive(run.id, "port", position=got.position), send_late)
    assert [(message["node"], message["value"]) for message in late.messages] == [("node-2", "5202")]
    everything = run.coordinator.receive(run.id, "port")
    assert [message["value"] for message in everything.messages] == ["5201", "5202"]
    assert run.coordinator.receive(run.id, "other", slice_seconds=0.05).messages == []


def test_who_waits_for_a_message_is_told_of_the_abort(register: Register) -> None:
    run = register(one_server_and(1))

    def abort_late() -> None:
        time.sleep(0.2)
        run.coordinator.abort(run.id, {"text": "over"})

    got, _none = in_threads(lambda: run.coordinator.receive(run.id, "port"), abort_late)
    assert got.verdict == "abort"
    assert got.reason["text"] == "over"
    assert run.coordinator.receive(run.id, "port").verdict == "abort"


def test_watching_the_verdicts(register: Register) -> None:
    run = register(one_server_and(0))
    assert run.coordinator.watch(run.id, "0", 10) == ("0", [])
    run.coordinator.arrive(run.job(1), "start")
    position, entries = run.coordinator.watch(run.id, "0", 10)
    assert entries == [{"barrier": "start", "verdict": "start", "reason": None}]
    run.coordinator.abort(run.id, {"text": "over"})
    _position, entries = run.coordinator.watch(run.id, position, 10)
    assert [(entry["barrier"], entry["verdict"]) for entry in entries] == [(None, "abort")]
    assert entries[0]["reason"]["text"] == "over"


def test_two_hundred_reporters_at_once_lose_nothing(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(199), lease=3600)
    gate = threading.Barrier(200)
    coordinators = [Coordinator.connect(RedisSettings(url=server.url)) for _ in range(200)]

    def node(number: int) -> None:
        coordinator, job = coordinators[number - 1], run.job(number)
        gate.wait(30)
        coordinator.write_state(job, ip=f"172.18.1.{number}")
        coordinator.report(job, "started")
        coordinator.arrive(job, "ready")
        coordinator.event(run.id, f"node-{number}", "script", {"id": "test-job"})
        coordinator.report(job, "finished")

    in_threads(*(lambda number=number: node(number) for number in range(1, 201)))
    for coordinator in coordinators:
        coordinator.close()
    info = run.coordinator.info(run.id)
    assert {node["state"] for node in info["nodes"].values()} == {"finish"}
    assert {node["ip"] for node in info["nodes"].values()} == {f"172.18.1.{number}" for number in range(1, 201)}
    assert all(set(node["times"]) == {"write_state", "started", "ready", "finish"} for node in info["nodes"].values())
    events = run.coordinator.events(run.id)
    for what in ("write_state", "started", "ready", "arrive", "script", "finish"):
        assert len([event for event in events if event["what"] == what]) == 200
    assert [event["data"] for event in events if event["what"] == "release"] == ["ready"]


def test_the_events_are_capped(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(0))
    redis = server.client()
    redis.hset(f"sched/cluster/{run.id}", "events", 100)
    for number in range(1000):
        run.coordinator.event(run.id, None, "step", number)
    assert redis.xlen(f"sched/cluster/{run.id}/events") < 300


def test_unknown_ids_are_named(server: RedisServer, coordinator: Coordinator) -> None:
    of_jobs: list[t.Callable[[], t.Any]] = [
        lambda: coordinator.report("20260131T120000-zzzz.1.1", "started"),
        lambda: coordinator.write_state("20260131T120000-zzzz.1.1", ip="172.18.0.2"),
        lambda: coordinator.arrive("20260131T120000-zzzz.1.1", "start"),
        lambda: coordinator.wait("20260131T120000-zzzz.1.1", "start"),
    ]
    for call in of_jobs:
        with pytest.raises(CoordinationError, match=r"^job 20260131T120000-zzzz.1.1 is not known to Redis at /tmp/"):
            call()
    of_runs: list[t.Callable[[], t.Any]] = [
        lambda: coordinator.info("20260131T120000-zzzz.1"),
        lambda: coordinator.abort("20260131T120000-zzzz.1"),
        lambda: coordinator.sweep("20260131T120000-zzzz.1"),
        lambda: coordinator.renew("20260131T120000-zzzz.1", ["node-1"], 1),
        lambda: coordinator.send("20260131T120000-zzzz.1", "node-1", "port", "1"),
        lambda: coordinator.receive("20260131T120000-zzzz.1", "port", slice_seconds=0),
        lambda: coordinator.close_run("20260131T120000-zzzz.1"),
    ]
    for call in of_runs:
        with pytest.raises(CoordinationError, match=r"^run 20260131T120000-zzzz.1 is not known to Redis"):
            call()
    with pytest.raises(InputError, match="'job-1' is no job id"):
        coordinator.report("job-1", "started")
    assert not coordinator.remove("20260131T120000-zzzz.1")


def test_looking_changes_nothing(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1))
    coordinator, job = run.coordinator, run.job(1)
    before = coordinator.info(run.id), coordinator.events(run.id)
    assert coordinator.write_state(job, ip="172.18.0.2", dry=True)
    assert coordinator.report(job, "started", dry=True).changed
    assert coordinator.report(job, "failed", {"script": "x"}, dry=True).changed
    assert coordinator.abort(run.id, dry=True)
    assert coordinator.arrive(job, "start", dry=True).changed
    assert coordinator.arrive(job, "new", roles=["server"], dry=True).changed
    after = coordinator.info(run.id), coordinator.events(run.id)
    before[0].pop("now"), after[0].pop("now")
    assert before == after


def test_a_run_expires_after_its_end(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(2), retention=1)
    run.coordinator.renew(run.id, ["node-1"], 30)
    for number in (1, 2, 3):
        run.coordinator.arrive(run.job(number), "named")
        run.coordinator.arrive(run.job(number), "finish")
    run.coordinator.send(run.id, "node-1", "port", "1")
    run.coordinator.receiving(run.id, "node-1:port:0")
    run.coordinator.close_run(run.id)
    redis = server.client()
    ends = {key: redis.pttl(key) for key in redis.keys(f"sched/cluster/{run.id}*") if "/sent/" not in key}
    assert len(ends) > 8
    assert all(0 < end <= 1000 for end in ends.values()), ends
    time.sleep(1.1)
    assert [key for key in redis.keys(f"sched/cluster/{run.id}*") if "/sent/" not in key] == []
    register(one_server_and(1))
    assert redis.hget("sched/cluster_state", run.job(1)) is None
    assert redis.hget("sched/id2cluster", run.job(3)) is None
    assert run.id not in [brief["cluster_id"] for brief in run.coordinator.runs()]


def test_a_run_that_goes_on_does_not_expire(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1), retention=0.5)
    for _ in range(10):
        assert run.coordinator.wait(run.job(1), "start", slice_seconds=0.1).answer == "retry"
    redis = server.client()
    for key in redis.keys(f"sched/cluster/{run.id}*"):
        assert 0 < redis.pttl(key) <= 500, key


def test_nothing_stays_when_nobody_comes_back(start_server: t.Callable[..., RedisServer]) -> None:
    server = start_server()
    coordinator = Coordinator.connect(RedisSettings(url=server.url))
    coordinator.register(make_plan(one_server_and(3)), retention=0.5)
    plan = make_plan(one_server_and(3))
    coordinator.register(plan, retention=1)
    coordinator.arrive(f"{plan['runs'][0]['cluster_id']}.1", "start")
    time.sleep(1.2)
    assert server.client().keys("*") == []


def test_closing_and_removing_leave_nobody_waiting(server: RedisServer, register: Register) -> None:
    for end, text in (
        (lambda run: run.coordinator.close_run(run.id), "the run was closed before it had finished"),
        (lambda run: run.coordinator.remove(run.id), None),
    ):
        run = register(one_server_and(1))
        position = run.coordinator.arrive(run.job(1), "start").position

        def end_late(run: Run = run, end: t.Callable[[Run], t.Any] = end) -> None:
            time.sleep(0.2)
            end(run)

        def wait(run: Run = run, position: str = position) -> t.Any:
            try:
                return run.coordinator.wait(run.job(1), "start", position=position)
            except CoordinationError as error:
                return error

        begin = time.monotonic()
        answer, _none = in_threads(wait, end_late)
        assert time.monotonic() - begin < 3
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
    two.coordinator.arrive(two.job(1), "finish")
    listed = {brief["cluster_id"]: brief for brief in one.coordinator.runs()}
    assert list(listed) == sorted(listed)
    assert (listed[one.id]["phase"], listed[one.id]["result"]) == ("registered", None)
    assert (listed[two.id]["phase"], listed[two.id]["result"]) == ("finish", "finish")


def test_another_prefix_is_another_world(server: RedisServer, register: Register) -> None:
    run = register(one_server_and(1))
    other = Coordinator.connect(RedisSettings(url=server.url, prefix="lab7:"))
    with pytest.raises(CoordinationError, match="not known"):
        other.arrive(run.job(1), "start")
    other.register(run.plan)
    assert other.arrive(run.job(1), "start").missing == 1
    assert run.coordinator.info(run.id)["barriers"]["start"]["arrived"] == []
    other.close()
