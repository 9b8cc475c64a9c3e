# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How runs come into Redis, how long they stay there, and that nothing of them is left."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from coordination.conftest import Run
from support.plans import make_plan, one_server_and
from support.redis_server import RedisServer

Register = t.Callable[..., Run]
SHARED = ("cluster_state", "id2cluster", "runs")
WEEK = 7 * 24 * 3600
# How long a test may take between two of its steps on a loaded machine, in milliseconds.
SLACK = 60_000


class World:
    """A prefix of its own, in which nothing has been registered yet."""

    def __init__(self, server: RedisServer, name: str) -> None:
        self.prefix = f"{name}/"
        self.redis = server.client()
        self.coordinator = Coordinator.connect(RedisSettings(url=server.url, prefix=self.prefix))

    def clear(self) -> None:
        for key in self.names():
            self.redis.delete(key)

    def names(self) -> list[str]:
        return t.cast(list, self.redis.keys(f"{self.prefix}*"))

    def left(self) -> dict[str, int]:
        """Milliseconds until each key expires."""
        return {key.removeprefix(self.prefix): self.redis.pttl(key) for key in self.names()}


@pytest.fixture
def world(server: RedisServer, request: pytest.FixtureRequest) -> t.Iterator[World]:
    world = World(server, "world")
    yield world
    world.clear()
    world.coordinator.close()


def ids(plan: dict[str, t.Any]) -> list[str]:
    return [run["cluster_id"] for run in plan["runs"]]


def untimed(info: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in info.items() if key != "now"}


def lasts(left: int, seconds: float) -> bool:
    return seconds * 1000 - SLACK < left <= seconds * 1000


def test_what_is_known_of_a_new_run(coordinator: Coordinator) -> None:
    plan = make_plan([["server"], ["client", "load-gen"]])
    cluster_id = ids(plan)[0]
    before = coordinator.history.now()
    coordinator.registration.register(plan, lease=12.5, retention=3600)
    info = coordinator.history.info(cluster_id)
    assert before - 0.001 <= info["registered"] <= info["now"] <= coordinator.history.now()
    assert info["expires"] == pytest.approx(info["registered"] + 3600)
    unknown: dict[str, t.Any] = {"since": None, "released": None, "participants": "all", "arrived": []}
    missing = [{"node": "node-1", "roles": ["server"]}, {"node": "node-2", "roles": ["client", "load-gen"]}]
    assert {key: value for key, value in info.items() if key not in ("registered", "expires", "now")} == {
        "cluster_id": cluster_id,
        "submission_id": plan["submission_id"],
        "number": 1,
        "job": "jobs/example.yaml",
        "cluster": "example",
        "params": {"runtime": 60},
        "phase": "registered",
        "result": None,
        "reason": None,
        "started": None,
        "finished": None,
        "closed": None,
        "mode": "push",
        "lease": 12.5,
        "nodes": {
            node["node"]: {
                "job_id": node["job_id"],
                "state": "registered",
                "roles": node["roles"],
                "ip": None,
                "direct_macs": node["direct_macs"],
                "direct_ips": node["direct_ips"],
                "times": {},
                "lease": None,
            }
            for node in plan["runs"][0]["nodes"]
        },
        "barriers": {name: {**unknown, "missing": missing} for name in ("start", "ready", "finish")},
    }
    assert [(event["node"], event["what"], event["data"]) for event in coordinator.history.events(cluster_id)] == [
        (None, "registered", None)
    ]
    assert coordinator.history.knows(cluster_id) and not coordinator.history.knows(f"{cluster_id}9")
    brief = next(run for run in coordinator.history.runs() if run["cluster_id"] == cluster_id)
    assert brief == {key: value for key, value in info.items() if key not in ("nodes", "barriers", "now")}


def test_the_fields_of_a_run(world: World) -> None:
    plan = make_plan(one_server_and(300))
    cluster_id = ids(plan)[0]
    settings: list[tuple[dict[str, t.Any], dict[str, str]]] = [
        ({}, {"lease": "30", "retention": str(WEEK), "run_timeout": ""}),
        (
            {"lease": 12.5, "retention": 3600, "run_timeout": 60},
            {"lease": "12.5", "retention": "3600", "run_timeout": "60"},
        ),
    ]
    for given, expected in settings:
        world.coordinator.registration.register(plan, **given)
        fields = t.cast(dict, world.redis.hgetall(f"{world.prefix}cluster/{cluster_id}"))
        assert int(fields["expires"]) - int(fields["registered"]) == int(expected["retention"]) * 1000
        assert {key: fields[key] for key in expected} == expected
        assert fields["nodes"].split(" ") == [f"node-{number}" for number in range(1, 302)]
        # As many events as a run can need, ten thousand at least.
        assert (fields["last_job"], fields["events"]) == (f"{cluster_id}.301", "15050")
        world.coordinator.runs.remove(cluster_id)
    small = make_plan(one_server_and(0))
    world.coordinator.registration.register(small)
    assert world.redis.hget(f"{world.prefix}cluster/{ids(small)[0]}", "events") == "10000"


def test_what_a_submission_to_queues_leaves(world: World) -> None:
    plan = make_plan([["client"]])
    plan["runs"][0]["nodes"][0]["queue"] = "a"
    job = plan["runs"][0]["nodes"][0]["job_id"]
    work = {job: {"node": "node-1"}}
    key, base = f"submission/{plan['submission_id']}", f"{world.prefix}cluster/{ids(plan)[0]}"
    assert world.coordinator.registration.submit(
        plan, work, priority=100, queue_timeout=90, retention=3600, run_timeout=60, lease=7
    )
    fields = t.cast(dict, world.redis.hgetall(base))
    expected = {"mode": "queue", "priority": "100", "queue_timeout": "90", "run_timeout": "60", "lease": "7"}
    assert {name: fields[name] for name in expected} == expected
    assert world.redis.hgetall(f"{base}/jobs") == {job: '{"node":"node-1"}'}
    assert world.coordinator.registration.plan(plan["submission_id"]) == plan
    assert lasts(world.left()[key], 3600)
    assert not world.coordinator.registration.submit(
        plan, work, priority=100, queue_timeout=90, retention=3600, run_timeout=60, lease=7
    )
    world.coordinator.runs.remove(ids(plan)[0])
    other = {**plan, "job": "jobs/other.yaml"}
    assert world.coordinator.registration.submit(other, work, priority=-100, retention=600)
    assert world.coordinator.registration.plan(plan["submission_id"]) == other
    assert lasts(world.left()[key], 600)
    fields = t.cast(dict, world.redis.hgetall(base))
    assert (fields["priority"], fields["queue_timeout"], fields["lease"]) == ("-100", "3600", "30")
    with pytest.raises(CoordinationError, match="submission none was never put into queues at .*, or has expired"):
        world.coordinator.registration.plan("none")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"priority": 101}, "priority 101: right would be -100 to 100"),
        ({"priority": -101}, "priority -101: right would be -100 to 100"),
        ({"queue_timeout": 0}, "queue_timeout has to be more than 0 seconds"),
    ],
)
def test_how_a_run_cannot_stand_in_line(world: World, settings: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        world.coordinator.registration.submit(make_plan([["client"]]), {}, **settings)
    assert world.left() == {}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lease": 0}, "have to be more than 0 seconds"),
        ({"lease": -1}, "have to be more than 0 seconds"),
        ({"retention": 0}, "have to be more than 0 seconds"),
        ({"run_timeout": 0}, "have to be more than 0 seconds"),
    ],
)
def test_settings_that_end_before_they_begin(
    coordinator: Coordinator, settings: dict[str, t.Any], sentence: str
) -> None:
    plan = make_plan(one_server_and(1))
    with pytest.raises(InputError, match=sentence):
        coordinator.registration.register(plan, **settings)
    assert not coordinator.history.knows(ids(plan)[0])


@pytest.mark.parametrize("setting", ["lease", "retention", "run_timeout"])
def test_settings_that_end_soon(coordinator: Coordinator, setting: str) -> None:
    assert coordinator.registration.register(make_plan(one_server_and(1)), **{setting: 0.5})


def test_plans_that_cannot_be(coordinator: Coordinator) -> None:
    empty, foreign = make_plan([]), make_plan(one_server_and(1))
    foreign["runs"][0]["nodes"][1]["job_id"] = "20260131T120000-zzzz.1.2"
    with pytest.raises(InputError, match=f"run {ids(empty)[0]} has no node"):
        coordinator.registration.register(empty)
    with pytest.raises(InputError, match=rf"of node node-2 does not belong to run {ids(foreign)[0]}"):
        coordinator.registration.register(foreign)


@pytest.mark.parametrize("changed", ["lease", "retention", "run_timeout", "job", "roles", "direct_ips", "params"])
def test_the_same_id_with_another_plan_is_refused(coordinator: Coordinator, changed: str) -> None:
    plan, other = make_plan(one_server_and(1)), None
    settings: dict[str, t.Any] = {"lease": 30, "retention": 3600, "run_timeout": 60}
    coordinator.registration.register(plan, **settings)
    other = json.loads(json.dumps(plan))
    if changed in settings:
        settings[changed] = 7
    elif changed == "job":
        other["job"] = "jobs/other.yaml"
    elif changed == "params":
        other["runs"][0]["params"] = {"runtime": 1}
    else:
        other["runs"][0]["nodes"][1][changed] = ["192.0.2.99" if changed == "direct_ips" else "another"]
    with pytest.raises(CoordinationError) as refused:
        coordinator.registration.register(other, **settings)
    assert (
        str(refused.value) == f"run {ids(plan)[0]} is registered already, with another plan; submit it under a new id"
    )


def test_a_run_that_is_missing_is_registered_again_and_the_others_stay(coordinator: Coordinator) -> None:
    plan = make_plan(one_server_and(1), runs=3)
    one, two, three = ids(plan)
    coordinator.registration.register(plan)
    for number in (1, 2):
        coordinator.barriers.arrive(f"{one}.{number}", "start")
    coordinator.barriers.arrive(f"{three}.1", "finish")
    coordinator.runs.remove(two)
    before = [untimed(coordinator.history.info(name)) for name in (one, three)]
    assert coordinator.registration.register(plan)
    assert [untimed(coordinator.history.info(name)) for name in (one, three)] == before
    assert [entry["verdict"] for entry in coordinator.barriers.watch(one, "0", 1)[1]] == ["start"]
    assert coordinator.history.info(two)["phase"] == "registered"
    assert coordinator.barriers.arrive(f"{two}.1", "start").missing == 1
    assert not coordinator.registration.register(plan)


def test_only_a_run_that_is_missing_is_put_into_queues_again(world: World) -> None:
    plan = make_plan(one_server_and(1), runs=2)
    for run in plan["runs"]:
        for node, queue in zip(run["nodes"], ("a", "b"), strict=True):
            node["queue"] = queue
    work: dict[str, t.Any] = {node["job_id"]: {} for run in plan["runs"] for node in run["nodes"]}
    one, two = ids(plan)
    assert world.coordinator.registration.submit(plan, work)
    world.coordinator.runs.remove(one)
    assert world.coordinator.registration.submit(plan, work)
    for queue in ("a", "b"):
        waiting = [job["cluster_id"] for job in world.coordinator.queues.queues()[queue]]
        assert sorted(waiting) == [one, two]
    assert [event["what"] for event in world.coordinator.history.events(two)].count("queued") == 1


def test_an_id_that_is_registered_again_has_no_old_verdict(register: Register) -> None:
    run = register(one_server_and(1))
    for number in (1, 2):
        run.coordinator.barriers.arrive(run.job(number), "start")
    run.coordinator.runs.abort(run.id, make_reason("over"))
    run.coordinator.runs.remove(run.id)
    assert run.coordinator.registration.register(run.plan)
    assert run.coordinator.barriers.watch(run.id, "0", 1) == ("0", [])
    arrival = run.coordinator.barriers.arrive(run.job(1), "start")
    assert (arrival.verdict, arrival.position, arrival.missing) == (None, "0-0", 1)
    assert run.coordinator.barriers.wait(run.job(1), "start", arrival=arrival, slice_seconds=0).answer == "retry"
    info = run.coordinator.history.info(run.id)
    assert (info["result"], info["reason"], info["phase"]) == (None, None, "registered")


@pytest.mark.parametrize("nodes", [1, 12, 1000, 1001, 2500])
def test_a_run_of_any_size_is_registered_and_forgotten_whole(world: World, nodes: int) -> None:
    plan = make_plan(one_server_and(nodes - 1))
    cluster_id = ids(plan)[0]
    jobs = {f"{cluster_id}.{number}" for number in range(1, nodes + 1)}
    world.coordinator.registration.register(plan)
    assert world.redis.hgetall(f"{world.prefix}id2cluster") == dict.fromkeys(jobs, cluster_id)
    records = t.cast(dict, world.redis.hgetall(f"{world.prefix}cluster_state"))
    assert {job: json.loads(record)["node"] for job, record in records.items()} == {
        f"{cluster_id}.{number}": f"node-{number}" for number in range(1, nodes + 1)
    }
    for barrier in ("start", "ready", "finish"):
        assert world.redis.scard(f"{world.prefix}cluster/{cluster_id}/missing/{barrier}") == nodes
    assert world.redis.hlen(f"{world.prefix}cluster/{cluster_id}/nodes") == nodes
    assert world.coordinator.barriers.arrive(f"{cluster_id}.{nodes}", "named").missing == nodes - 1
    assert world.coordinator.runs.remove(cluster_id)
    assert [key for key in world.left() if not key.endswith(("/verdicts", "book"))] == []


def test_what_has_expired_is_purged_with_the_next_run_that_comes_or_ends(world: World) -> None:
    for event in ("register", "close"):
        plan, other = make_plan(one_server_and(11)), make_plan(one_server_and(0))
        world.coordinator.registration.register(plan)
        if event == "close":
            world.coordinator.registration.register(other)
        # As when its keys have expired: what is left is a field for each node in what all runs share.
        world.redis.zadd(f"{world.prefix}runs", {f"{ids(plan)[0]}.12": 1})
        if event == "register":
            world.coordinator.registration.register(other)
        else:
            world.coordinator.runs.close(ids(other)[0])
        for key in ("cluster_state", "id2cluster"):
            left = t.cast(list, world.redis.hkeys(world.prefix + key))
            assert left and not [job for job in left if job.startswith(f"{ids(plan)[0]}.")]
        assert f"{ids(plan)[0]}.12" not in t.cast(list, world.redis.zrange(f"{world.prefix}runs", 0, -1))


def test_runs_are_purged_only_after_their_time_and_few_at_once(world: World) -> None:
    plan, other, last = make_plan(one_server_and(0), runs=12), make_plan(one_server_and(0)), make_plan([["a"]])
    world.coordinator.registration.register(plan)
    world.coordinator.registration.register(other)
    for cluster_id in ids(plan):
        world.redis.zadd(f"{world.prefix}runs", {f"{cluster_id}.1": 1})
    world.coordinator.registration.register(last)
    left = t.cast(list, world.redis.hkeys(f"{world.prefix}id2cluster"))
    assert len(left) == 2 + 2 and {f"{ids(other)[0]}.1", f"{ids(last)[0]}.1"} < set(left)


@pytest.mark.parametrize("stray", ["x", "", "x.", "x.1.y", "x.-1", "x.99999999999999"])
def test_what_is_no_run_is_in_nobodys_way(world: World, stray: str) -> None:
    world.redis.zadd(f"{world.prefix}runs", {stray: 1})
    plan = make_plan(one_server_and(1))
    world.coordinator.registration.register(plan)
    assert world.redis.zrange(f"{world.prefix}runs", 0, -1) == [f"{ids(plan)[0]}.2"]


def test_a_short_run_does_not_shorten_what_all_runs_share(world: World) -> None:
    world.coordinator.registration.register(make_plan(one_server_and(1)), retention=3600)
    left = world.left()
    assert all(lasts(left[key], 3600) for key in SHARED), left
    short, long = make_plan(one_server_and(1)), make_plan(one_server_and(1))
    world.coordinator.registration.register(short, retention=600)
    world.coordinator.runs.close(ids(short)[0])
    left = world.left()
    assert all(lasts(left[key], 3600) for key in SHARED), left
    world.coordinator.registration.register(long, retention=7200)
    left = world.left()
    assert all(lasts(left[key], 7200) for key in SHARED), left
    assert all(lasts(end, 600) for key, end in left.items() if ids(short)[0] in key), left


def go_through_everything(coordinator: Coordinator, plan: dict[str, t.Any]) -> None:
    """Makes every key that a run can have."""
    cluster_id = ids(plan)[0]
    one, two = f"{cluster_id}.1", f"{cluster_id}.2"
    coordinator.runs.renew_leases(cluster_id, ["node-1"], 30)
    coordinator.barriers.wait(one, "start", slice_seconds=0, timeout=3000)
    coordinator.barriers.arrive(two, "start")
    coordinator.barriers.wait(one, "named", slice_seconds=0, timeout=3000)
    coordinator.barriers.arrive(one, "own", nodes=["node-1"])
    coordinator.messages.send(cluster_id, "node-1", "port", "1")
    coordinator.runs.record_event(cluster_id, "node-1", "script")
    coordinator.messages.time_waited(cluster_id, "node-1:other:0")


KEYS_OF_A_RUN = {
    *("nodes", "barriers", "deadlines", "leases", "promises", "events", "keys", "receiving", "verdicts"),
    *("messages/port", "arrived/start", "arrived/named", "barrier/start", "barrier/named", "missing/named"),
    *("arrived/own", "barrier/own"),
    *("barrier/ready", "barrier/finish", "missing/ready", "missing/finish"),
}


def test_every_key_expires_whatever_happens(world: World) -> None:
    plan = make_plan(one_server_and(2))
    base = f"cluster/{ids(plan)[0]}"
    world.coordinator.registration.register(plan, retention=3600, run_timeout=3000)
    left = world.left()
    assert all(lasts(end, 3600) for end in left.values()), left
    go_through_everything(world.coordinator, plan)
    left = {key: end for key, end in world.left().items() if "/sent/" not in key}
    assert set(left) == {*SHARED, base, f"{base}/missing/start", *(f"{base}/{key}" for key in KEYS_OF_A_RUN)}
    assert all(lasts(end, 3600) for end in left.values()), left
    sent = [end for key, end in world.left().items() if "/sent/" in key]
    assert len(sent) == 2 and all(lasts(end, 600) for end in sent)


@pytest.mark.parametrize(
    ("end", "gone"), [("abort", {"leases", "promises", "deadlines"}), ("close", {"leases", "promises", "deadlines"})]
)
def test_the_time_that_a_run_is_kept_begins_anew_with_its_end(world: World, end: str, gone: set[str]) -> None:
    plan = make_plan(one_server_and(2))
    cluster_id = ids(plan)[0]
    base = f"cluster/{cluster_id}"
    world.coordinator.registration.register(plan, retention=3600)
    go_through_everything(world.coordinator, plan)
    shorten(world, cluster_id, 1800)
    assert world.coordinator.runs.abort(cluster_id) if end == "abort" else world.coordinator.runs.close(cluster_id)
    left = {key: left for key, left in world.left().items() if "/sent/" not in key}
    assert set(left) == {*SHARED, base, f"{base}/missing/start", *(f"{base}/{key}" for key in KEYS_OF_A_RUN - gone)}
    assert all(lasts(end, 3600) for end in left.values()), left
    assert world.coordinator.history.info(cluster_id)["expires"] == pytest.approx(
        world.coordinator.history.now() + 3600, abs=60
    )


def test_closing_begins_the_time_anew_after_an_abort_too(world: World) -> None:
    plan = make_plan(one_server_and(2))
    cluster_id = ids(plan)[0]
    world.coordinator.registration.register(plan, retention=3600)
    world.coordinator.runs.abort(cluster_id)
    shorten(world, cluster_id, 1800)
    assert not world.coordinator.runs.abort(cluster_id)
    assert all(lasts(end, 1800) for key, end in world.left().items() if key not in SHARED)
    assert world.coordinator.history.info(cluster_id)["closed"] is None
    assert world.coordinator.runs.close(cluster_id)
    assert all(lasts(end, 3600) for end in world.left().values())
    info = world.coordinator.history.info(cluster_id)
    assert info["finished"] <= info["closed"] <= info["now"]
    events = [(event["node"], event["what"]) for event in world.coordinator.history.events(cluster_id)]
    assert events == [(None, "registered"), (None, "abort"), (None, "closed")]
    shorten(world, cluster_id, 1800)
    assert not world.coordinator.runs.close(cluster_id)
    assert len(world.coordinator.history.events(cluster_id)) == 3


@pytest.mark.parametrize(("left", "expected"), [(3500, 3500), (3000, 3600)])
def test_a_run_that_goes_on_is_kept(world: World, left: int, expected: int) -> None:
    """Not with every step, which would touch every key: when a tenth of the time has passed."""
    plan = make_plan(one_server_and(2))
    cluster_id = ids(plan)[0]
    steps: list[t.Callable[[], t.Any]] = [
        lambda: world.coordinator.nodes.write_state(f"{cluster_id}.1", ip="172.18.0.2"),
        lambda: world.coordinator.nodes.report(f"{cluster_id}.1", "started"),
        lambda: world.coordinator.barriers.arrive(f"{cluster_id}.1", "ready"),
    ]
    world.coordinator.registration.register(plan, retention=3600)
    for step in steps:
        shorten(world, cluster_id, left)
        step()
        ends = {key: end for key, end in world.left().items() if key.startswith("cluster/")}
        assert all(lasts(end, expected) for end in ends.values()), ends
        score = t.cast(float, world.redis.zscore(f"{world.prefix}runs", f"{cluster_id}.3"))
        assert lasts(int(score - world.coordinator.history.now() * 1000), 3600 if left == 3500 else expected)


def shorten(world: World, cluster_id: str, seconds: int) -> None:
    """As if a part of the time that a run is kept had passed."""
    base = f"{world.prefix}cluster/{cluster_id}"
    expires = int((world.coordinator.history.now() + seconds) * 1000)
    world.redis.hset(base, "expires", expires)
    for key in t.cast(list, world.redis.keys(f"{base}*")):
        if "/sent/" not in key:
            world.redis.pexpireat(key, expires)


def test_runs_in_the_order_of_their_numbers(world: World) -> None:
    plan = make_plan(one_server_and(0), runs=11)
    world.coordinator.registration.register(plan)
    assert [run["cluster_id"] for run in world.coordinator.history.runs()] == ids(plan)
    world.redis.delete(f"{world.prefix}cluster/{ids(plan)[3]}")
    assert len(world.coordinator.history.runs()) == 10, "one that has expired is left out"
