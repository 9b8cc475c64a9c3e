# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import hashlib
import json
import secrets
import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import commands, records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.book import Book
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.client import Client
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import Queues
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import (
    Answer,
    Arrival,
    Reason,
    Received,
    Report,
    compact,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import (
    DEFAULT_LEASE,
    DEFAULT_QUEUE_TIMEOUT,
    DEFAULT_RETENTION,
    DEFAULT_RETRIES,
    DEFAULT_SLICE,
)
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError

if t.TYPE_CHECKING:
    import redis

MESSAGES_KEPT = 10000
MAX_PRIORITY = 100


class Coordinator:
    """The state of runs in Redis. Safe to use from several threads; every call may be repeated without harm."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = client.settings.prefix

    @classmethod
    def connect(cls, settings: RedisSettings) -> Coordinator:
        return cls(Client(settings))

    @property
    def book(self) -> Book:
        """Which run holds which machine, in the same Redis."""
        return Book(self._client)

    @property
    def queues(self) -> Queues:
        """The queues of node jobs and their workers, in the same Redis."""
        return Queues(self._client)

    def close(self) -> None:
        self._client.close()

    # Registering

    def register(
        self,
        plan: t.Mapping[str, t.Any],
        *,
        lease: float = DEFAULT_LEASE,
        retention: float = DEFAULT_RETENTION,
        run_timeout: float | None = None,
    ) -> bool:
        """Register all runs of a submission in one atomic step; False if that very plan is registered already.

        Runs that are registered already stay as they are.
        """
        arguments = _registrations(plan, lease, retention, run_timeout, {})
        return bool(self._run(commands.REGISTER_RUNS, self._keys(""), arguments, "the submission"))

    def submit(
        self,
        plan: t.Mapping[str, t.Any],
        work: t.Mapping[str, t.Any],
        *,
        priority: int = 0,
        queue_timeout: float = DEFAULT_QUEUE_TIMEOUT,
        lease: float = DEFAULT_LEASE,
        retention: float = DEFAULT_RETENTION,
        run_timeout: float | None = None,
    ) -> bool:
        """Register all runs of a submission, and put all of their node jobs into their queues, in one atomic step.

        :param work: job_id → what its worker is to do, as plain data.
        :param priority: from -100 to 100; of two runs that wait, the one with more goes first.
        :param queue_timeout: seconds after which a run gives up whose queues have too few workers.
        :returns: False if that very plan is registered already.
        """
        check_queueing(priority, queue_timeout)
        fields = {"mode": "queue", "priority": priority, "queue_timeout": f"{queue_timeout:g}"}
        arguments = _registrations(plan, lease, retention, run_timeout, fields)
        jobs = [(run["cluster_id"], node["job_id"], node["queue"]) for run in plan["runs"] for node in run["nodes"]]
        arguments.append(len(jobs))
        for cluster_id, job_id, queue in jobs:
            arguments += [cluster_id, job_id, queue, compact(work[job_id])]
        # First, so that a worker's login, which may not write there, gets no further.
        key, text = self._plan_key(plan["submission_id"]), compact(plan)
        keep = int(retention * 1000)
        is_new = self._client.call(lambda r: r.set(key, text, px=keep, nx=True))
        submitted = bool(self._run(commands.SUBMIT, self._keys(""), arguments, "the submission"))
        if submitted and not is_new:
            # Of an earlier submission of this name, which is gone but for its plan.
            self._client.call(lambda r: r.set(key, text, px=keep))
        return submitted

    def plan(self, submission_id: str) -> dict[str, t.Any]:
        """The plan of a submission whose node jobs were put into queues.

        :raises CoordinationError: there is none.
        """
        text = self._client.call(lambda r: t.cast("str | None", r.get(self._plan_key(submission_id))))
        if text is None:
            raise CoordinationError(
                f"submission {submission_id} was never put into queues at {self._client.settings.address}, or has expired"
            )
        found: dict[str, t.Any] = json.loads(text)
        return found

    # A node's own steps

    def write_state(
        self,
        job_id: str,
        *,
        ip: str | None,
        roles: t.Sequence[str] | None = None,
        direct_macs: t.Sequence[str] | None = None,
        direct_ips: t.Sequence[str] | None = None,
        dry: bool = False,
    ) -> bool:
        """Record what a node is and has; what is not given stays as it was registered."""
        old = self.node(job_id)
        head = records.node_record(
            old["cluster_id"],
            old["node"],
            roles=old["roles"] if roles is None else roles,
            ip=ip,
            direct_macs=old["direct_macs"] if direct_macs is None else direct_macs,
            direct_ips=old["direct_ips"] if direct_ips is None else direct_ips,
        )
        return bool(self._run_job(commands.WRITE_STATE, job_id, [head, int(dry)]))

    def report(
        self, job_id: str, state: str, reason: t.Mapping[str, t.Any] | None = None, *, dry: bool = False
    ) -> Report:
        """Report `started`, `finished`, `failed` or `abort`; the last two abort the whole run."""
        if state not in records.REPORTS:
            raise InputError(f"{state!r} is no state to report; right would be one of {', '.join(records.REPORTS)}")
        text = ""
        recorded = {"finished": "finish", "failed": "abort"}.get(state, state)
        if recorded == "abort":
            node = self.node(job_id)["node"]
            text = compact(records.make_reason(reason, node=node, kind=state))
        changed, verdict, first = self._run_job(commands.REPORT, job_id, [recorded, text, int(dry)])
        return Report(bool(changed), verdict or None, records.read_reason(first))

    def abort(self, cluster_id: str, reason: t.Mapping[str, t.Any] | None = None, *, dry: bool = False) -> bool:
        """Abort a run from outside. False when it has its verdict already."""
        text = compact(records.make_reason(reason, kind="abort"))
        return bool(self._run_cluster(commands.ABORT_RUN, cluster_id, [text, int(dry)]))

    def arrive(
        self,
        job_id: str,
        barrier: str,
        *,
        nodes: t.Sequence[str] | None = None,
        roles: t.Sequence[str] | None = None,
        timeout: float | None = None,
        dry: bool = False,
    ) -> Arrival:
        """Arrive at a barrier; answers at once, with the verdict if there is one."""
        return self._arrive(job_id, barrier, nodes=nodes, roles=roles, timeout=timeout, dry=dry)

    def wait(
        self,
        job_id: str,
        barrier: str,
        *,
        position: str | None = None,
        slice_seconds: float = DEFAULT_SLICE,
        retries: int = DEFAULT_RETRIES,
        timeout: float | None = None,
        nodes: t.Sequence[str] | None = None,
        roles: t.Sequence[str] | None = None,
        pause: float = 0.0,
    ) -> Answer:
        """Wait one slice for a barrier's verdict.

        Arrives if that has not been done. Unless a keeper renews the node's lease, the waiter holds it: until
        `pause` seconds (what may pass before the next slice) and a lease after its last sign.
        `retries` slices may end without a verdict (0: any number); the next one aborts the run.
        """
        begin = time.monotonic()
        end = begin + slice_seconds
        cluster_id = records.cluster_of(job_id)

        def sign(retry: int | None = None) -> Arrival:
            return self._arrive(
                job_id, barrier, nodes=nodes, roles=roles, timeout=timeout, hold=pause, retry=retry, retries=retries
            )

        arrival = sign() if position is None else None
        position = arrival.position if arrival else t.cast(str, position)
        waited, changed = (arrival.waited, arrival.changed) if arrival else (0.0, False)
        while not (arrival and arrival.verdict):
            now = time.monotonic()
            if now >= end:
                arrival = arrival or sign()
                if not arrival.verdict:
                    arrival = sign(retry=arrival.retries + 1)
                break
            until = min(end, now + (arrival.lease if arrival else DEFAULT_LEASE) / 3)
            if timeout is not None and waited + now - begin < timeout:
                until = min(until, begin + timeout - waited + 0.02)
            verdict, position = self._next_verdict(cluster_id, barrier, position, until)
            if verdict == barrier:
                return Answer(barrier, waited=waited + time.monotonic() - begin, changed=changed)
            if verdict or until < end:
                arrival = sign()
        missing = [] if arrival.verdict == barrier else self.missing(cluster_id, barrier)
        return Answer(arrival.verdict or "retry", arrival.reason, missing, arrival.waited, arrival.retries, changed)

    # Keeping watch over a run

    def renew(self, cluster_id: str, nodes: t.Sequence[str], seconds: float) -> None:
        """Promise that these nodes are heard from again within so many seconds."""
        if nodes:
            self._run_cluster(commands.RENEW_LEASES, cluster_id, [int(seconds * 1000), *nodes])

    def release_lease(self, cluster_id: str, node: str) -> None:
        self._run_cluster(commands.DROP_LEASE, cluster_id, [node])

    def sweep(self, cluster_id: str) -> Reason | None:
        """Abort the run if a lease or a deadline has passed; the reason if the run is aborted, by this or before."""
        return records.read_reason(self._run_cluster(commands.SWEEP, cluster_id, []))

    def watch(self, cluster_id: str, position: str, block_ms: int) -> tuple[str, list[dict[str, t.Any]]]:
        """The verdicts after a position ("0" for all); blocks for a while if there are none."""
        found = self._read({self._key(cluster_id, "verdicts"): position}, block_ms / 1000)
        entries = []
        for entry_id, entry in found.get(self._key(cluster_id, "verdicts"), []):
            position = entry_id
            for verdict, reason in entry.items():
                barrier = None if verdict == "abort" else verdict
                entries.append({"barrier": barrier, "verdict": verdict, "reason": records.read_reason(reason)})
        return position, entries

    def event(self, cluster_id: str, node: str | None, what: str, data: t.Any = None) -> None:
        text = "" if data is None else compact(data)
        self._run_cluster(commands.RECORD_EVENT, cluster_id, [secrets.token_hex(8), node or "", what, text])

    # Messages

    def send(self, cluster_id: str, node: str, key: str, value: str) -> str:
        """Append a message for the whole run; returns its position."""
        records.check_name("message key", key)
        arguments = [secrets.token_hex(8), node, key, value, MESSAGES_KEPT]
        return str(self._run_cluster(commands.SEND_MESSAGE, cluster_id, arguments))

    def receive(
        self, cluster_id: str, key: str, *, position: str = "0", slice_seconds: float = DEFAULT_SLICE
    ) -> Received:
        """The messages of a key after a position; waits for one at most a slice, and no longer than the run goes on."""
        records.check_name("message key", key)
        messages, verdicts = self._key(cluster_id, f"messages/{key}"), self._key(cluster_id, "verdicts")
        end = time.monotonic() + slice_seconds
        seen, verdict, reason = self._client.call(
            lambda r: t.cast(list, r.hmget(self._key(cluster_id), ["position", "verdict", "reason"]))
        )
        if seen is None:
            raise self._unknown(cluster_id)
        while True:
            left = 0.0 if verdict else end - time.monotonic()
            found = self._read({messages: position, verdicts: seen}, left)
            for entry_id, entry in found.get(verdicts, []):
                seen = entry_id
                for end_of_run in {"abort", "finish"}.intersection(entry):
                    verdict, reason = end_of_run, entry[end_of_run]
            got = [
                {"node": entry["node"], "value": entry["value"], "time": _time_of(entry_id), "position": entry_id}
                for entry_id, entry in found.get(messages, [])
            ]
            if got or verdict or left <= 0:
                last = str(got[-1]["position"]) if got else position
                return Received(last, got, verdict or None, records.read_reason(reason))

    def receiving(self, cluster_id: str, what: str) -> float:
        """Since how many seconds something has been asked for in vain, over all slices of a wait."""
        return int(self._run_cluster(commands.RECEIVING, cluster_id, [what, 0])) / 1000

    def received(self, cluster_id: str, what: str) -> None:
        """The wait for it is over."""
        self._run_cluster(commands.RECEIVING, cluster_id, [what, 1])

    # Asking

    def node(self, job_id: str) -> dict[str, t.Any]:
        """The record of one node."""
        text = self._client.call(lambda r: t.cast(t.Optional[str], r.hget(f"{self._prefix}cluster_state", job_id)))
        if text is None:
            raise self._unknown_job(job_id)
        return json.loads(text)

    def knows(self, cluster_id: str) -> bool:
        """Whether Redis holds a run."""
        return bool(self._client.call(lambda r: r.exists(self._key(cluster_id))))

    def info(self, cluster_id: str) -> dict[str, t.Any]:
        """All that is known of a run: phase, nodes, barriers, who is missing."""
        run, nodes = self._overview(cluster_id)
        barriers = self._client.call(
            lambda r: t.cast(list, r.zrange(self._key(cluster_id, "barriers"), 0, -1, withscores=True))
        )
        roles = {name: node["roles"] for name, node in nodes.items()}
        run["nodes"] = nodes
        run["barriers"] = self._barriers(cluster_id, barriers, roles)
        return run

    def runs(self) -> list[dict[str, t.Any]]:
        """All runs that Redis holds, oldest first, in brief."""
        last_jobs = self._client.call(lambda r: t.cast(list, r.zrange(f"{self._prefix}runs", 0, -1)))
        ids = sorted((records.cluster_of(job) for job in last_jobs), key=_natural)

        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            for cluster_id in ids:
                pipe.hgetall(self._key(cluster_id))
            return pipe.execute()

        return [_brief(fields) for fields in self._client.call(ask) if fields]

    def now(self) -> float:
        """The time by the server's clock, by which everything is judged."""
        seconds, microseconds = self._client.call(lambda r: t.cast(tuple, r.time()))
        return float(seconds + microseconds / 1e6)

    def roles_ip(self, cluster_id: str) -> dict[str, str]:
        return records.roles_ip(self._overview(cluster_id)[1].values())

    def events(self, cluster_id: str) -> list[dict[str, t.Any]]:
        """The timeline of a run."""
        found = self._client.call(lambda r: t.cast(list, r.xrange(self._key(cluster_id, "events"))))
        return [_event(entry_id, entry) for entry_id, entry in found]

    def follow(self, positions: dict[str, str], seconds: float) -> list[tuple[str, dict[str, t.Any]]]:
        """What happens in several runs, with the run's id; waits for it at most so many seconds.

        :param positions: id of a run → position after which to read, "0" at first. It is moved on.
        """
        streams = {self._key(cluster_id, "events"): cluster_id for cluster_id in positions}
        found = self._read({key: positions[cluster_id] for key, cluster_id in streams.items()}, seconds)
        happened = []
        for key, entries in found.items():
            cluster_id = streams[key]
            for entry_id, entry in entries:
                positions[cluster_id] = entry_id
                happened.append((cluster_id, _event(entry_id, entry)))
        return sorted(happened, key=lambda item: item[1]["time"])

    # Ending

    def close_run(self, cluster_id: str) -> bool:
        """A run is over and all of its nodes are clean; from now on counts how long it is kept."""
        reason = records.make_reason({"text": "the run was closed before it had finished"}, kind="abort")
        return bool(self._run_cluster(commands.CLOSE_RUN, cluster_id, [compact(reason)]))

    def remove(self, cluster_id: str, *, dry: bool = False) -> bool:
        """Forget a run now. False when there is none of that name."""
        reason = records.make_reason({"text": "the run was removed before it had finished"}, kind="abort")
        arguments = [cluster_id, compact(reason), int(dry)]
        return bool(self._run(commands.REMOVE_RUN, self._keys(""), arguments, f"run {cluster_id}"))

    # Within

    def _arrive(
        self,
        job_id: str,
        barrier: str,
        *,
        nodes: t.Sequence[str] | None = None,
        roles: t.Sequence[str] | None = None,
        timeout: float | None = None,
        hold: float | None = None,
        retry: int | None = None,
        retries: int = 0,
        dry: bool = False,
    ) -> Arrival:
        arguments = [
            records.check_name("barrier", barrier),
            _participants(barrier, nodes, roles),
            "" if timeout is None else int(timeout * 1000),
            "" if hold is None else int(hold * 1000),
            "" if retry is None else retry,
            retries,
            int(dry),
            0,
        ]
        verdict, reason, position, missing, changed, tries, waited, lease, *_who = self._run_job(
            commands.ARRIVE, job_id, arguments, barrier=barrier
        )
        return Arrival(
            verdict or None,
            records.read_reason(reason),
            position,
            int(missing),
            bool(changed),
            int(tries),
            int(waited) / 1000,
            float(lease),
        )

    def _next_verdict(self, cluster_id: str, barrier: str, position: str, until: float) -> tuple[str | None, str]:
        """The first verdict after a position that ends a wait for this barrier; others are passed over."""
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return None, position
            position, entries = self.watch(cluster_id, position, max(1, int(left * 1000)))
            for entry in entries:
                if entry["barrier"] == barrier or entry["verdict"] in ("abort", "finish"):
                    return entry["verdict"], position

    def missing(self, cluster_id: str, barrier: str) -> list[dict[str, t.Any]]:
        """The nodes that have not arrived at a barrier yet, with their roles."""
        names = self._client.call(lambda r: r.smembers(self._key(cluster_id, f"missing/{barrier}")))
        ordered = sorted(t.cast(set, names), key=_natural)
        if not ordered:
            return []
        entries = self._client.call(lambda r: t.cast(list, r.hmget(self._key(cluster_id, "nodes"), ordered)))
        return [{"node": name, "roles": json.loads(entry)["roles"]} for name, entry in zip(ordered, entries) if entry]

    def _overview(self, cluster_id: str) -> tuple[dict[str, t.Any], dict[str, dict[str, t.Any]]]:
        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            pipe.hgetall(self._key(cluster_id))
            pipe.hgetall(self._key(cluster_id, "nodes"))
            pipe.zrange(self._key(cluster_id, "leases"), 0, -1, withscores=True)
            pipe.time()
            return pipe.execute()

        fields, entries, leases, (server_seconds, server_us) = self._client.call(ask)
        if not fields or not entries:
            raise self._unknown(cluster_id)
        run = _brief(fields)
        run["now"] = server_seconds + server_us / 1e6
        lease_end = dict(leases)
        jobs = {name: json.loads(entry)["job_id"] for name, entry in entries.items()}
        names = sorted(jobs, key=lambda name: int(jobs[name].rpartition(".")[2]))
        found = self._client.call(
            lambda r: t.cast(list, r.hmget(f"{self._prefix}cluster_state", [jobs[name] for name in names]))
        )
        nodes = {}
        for name, text in zip(names, found):
            record = json.loads(text)
            nodes[name] = {
                "job_id": jobs[name],
                **{key: record[key] for key in ("state", "roles", "ip", "direct_macs", "direct_ips", "times")},
                "lease": lease_end[name] / 1000 if name in lease_end else None,
            }
        return run, nodes

    def _barriers(
        self, cluster_id: str, barriers: list[tuple[str, float]], roles: dict[str, list[str]]
    ) -> dict[str, dict[str, t.Any]]:
        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            for name, _since in barriers:
                pipe.smembers(self._key(cluster_id, f"arrived/{name}"))
                pipe.smembers(self._key(cluster_id, f"missing/{name}"))
                pipe.hmget(self._key(cluster_id, f"barrier/{name}"), "released", "participants")
            return pipe.execute()

        answers = iter(self._client.call(ask))
        order = {name: number for number, name in enumerate(roles)}
        result = {}
        for (name, since), arrived, missing, (released, participants) in zip(barriers, answers, answers, answers):
            result[name] = {
                "arrived": sorted(arrived, key=order.__getitem__),
                "missing": [{"node": node, "roles": roles[node]} for node in sorted(missing, key=order.__getitem__)],
                "since": since / 1000 or None,
                "released": int(released) / 1000 if released else None,
                "participants": participants,
            }
        return result

    def _key(self, cluster_id: str, suffix: str = "") -> str:
        return f"{self._prefix}cluster/{cluster_id}" + (f"/{suffix}" if suffix else "")

    def _plan_key(self, submission_id: str) -> str:
        return f"{self._prefix}submission/{submission_id}"

    def _keys(self, cluster_id: str) -> list[str]:
        return commands.keys(self._prefix, cluster_id)

    def _run_job(
        self, command: commands.Command, job_id: str, arguments: list[t.Any], *, barrier: str | None = None
    ) -> t.Any:
        keys = self._keys(records.cluster_of(job_id))
        return self._run(command, keys, [job_id, *arguments], f"job {job_id}", barrier=barrier)

    def _run_cluster(self, command: commands.Command, cluster_id: str, arguments: list[t.Any]) -> t.Any:
        return self._run(command, self._keys(cluster_id), arguments, f"run {cluster_id}")

    def _run(
        self,
        command: commands.Command,
        keys: list[str],
        arguments: list[t.Any],
        who: str,
        *,
        barrier: str | None = None,
    ) -> t.Any:
        import redis

        try:
            return self._client.run_command(command, keys, arguments)
        except redis.exceptions.ResponseError as error:
            raise self._explain(str(error), who, barrier) from None

    def _read(self, streams: dict[str, str], seconds: float) -> dict[str, list[tuple[str, dict[str, str]]]]:
        """XREAD, blocking for at most so many seconds, in pieces that a stopped server cannot hold up unnoticed."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            block = max(1, int(min(left, 5.0) * 1000)) if left > 0 else None
            found = self._client.call(lambda r: t.cast(list, r.xread(t.cast(dict, streams), block=block)))  # noqa: B023
            if found or end - time.monotonic() <= 0:
                return dict(found)

    def _explain(self, error: str, who: str, barrier: str | None) -> CoordinationError:
        code, _space, detail = error.partition(" ")
        if code == "UNKNOWN":
            return self._unknown(who)
        if code == "TAKEN":
            return CoordinationError(f"run {detail} is registered already, with another plan; submit it under a new id")
        if code == "PARTICIPANTS":
            return CoordinationError(
                f"barrier {barrier} was opened for {_describe(detail)}; every arrival has to name the same"
            )
        if code == "NOBODY":
            return CoordinationError(f"{who}: no node of this run has the name or role {detail!r}")
        return CoordinationError(f"{who}: its node does not take part in barrier {barrier}")

    def _unknown(self, who: str) -> CoordinationError:
        name = who if " " in who else f"run {who}"
        return CoordinationError(
            f"{name} is not known to Redis at {self._client.settings.address}: never registered, removed or expired"
        )

    def _unknown_job(self, job_id: str) -> CoordinationError:
        return self._unknown(f"job {job_id}")


def check_queueing(priority: int, queue_timeout: float) -> None:
    """:raises InputError: a run cannot stand in line so."""
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InputError(f"priority {priority}: right would be {-MAX_PRIORITY} to {MAX_PRIORITY}")
    if queue_timeout <= 0:
        raise InputError("queue_timeout has to be more than 0 seconds")


def _registrations(
    plan: t.Mapping[str, t.Any],
    lease: float,
    retention: float,
    run_timeout: float | None,
    more_fields: t.Mapping[str, t.Any],
) -> list[t.Any]:
    if lease <= 0 or retention <= 0 or (run_timeout is not None and run_timeout <= 0):
        raise InputError("lease, retention and run_timeout have to be more than 0 seconds")
    arguments: list[t.Any] = [len(plan["runs"])]
    for run in plan["runs"]:
        arguments += _registration(plan, run, lease, retention, run_timeout, more_fields)
    return arguments


def _registration(
    plan: t.Mapping[str, t.Any],
    run: t.Mapping[str, t.Any],
    lease: float,
    retention: float,
    run_timeout: float | None,
    more_fields: t.Mapping[str, t.Any],
) -> list[t.Any]:
    cluster_id, nodes = run["cluster_id"], run["nodes"]
    if not nodes:
        raise InputError(f"run {cluster_id} has no node")
    fields: dict[str, t.Any] = {
        "cluster_id": cluster_id,
        "submission_id": plan["submission_id"],
        "number": run["number"],
        "job": plan["job"],
        "name": run["cluster"],
        "nodes": " ".join(node["node"] for node in nodes),
        "params": compact(run["params"]),
        "lease": f"{lease:g}",
        "retention": f"{retention:g}",
        "run_timeout": "" if run_timeout is None else f"{run_timeout:g}",
        "events": max(10000, 50 * len(nodes)),
        "last_job": max((node["job_id"] for node in nodes), key=lambda job: int(job.rpartition(".")[2])),
        **more_fields,
    }
    flat: list[t.Any] = [len(nodes)]
    for node in nodes:
        if records.cluster_of(node["job_id"]) != cluster_id:
            raise InputError(f"job id {node['job_id']} of node {node['node']} does not belong to run {cluster_id}")
        head = records.node_record(
            cluster_id,
            node["node"],
            roles=node["roles"],
            ip=None,
            direct_macs=node["direct_macs"],
            direct_ips=node["direct_ips"],
        )
        member = compact({"job_id": node["job_id"], "roles": node["roles"]})
        flat += [node["node"], node["job_id"], member, records.new_record(head)]
    pairs = [item for pair in fields.items() for item in pair]
    digest = hashlib.sha256("\0".join(map(str, pairs + flat)).encode()).hexdigest()
    return [cluster_id, digest, int(retention * 1000), len(pairs), *pairs, *flat]


def _participants(barrier: str, nodes: t.Sequence[str] | None, roles: t.Sequence[str] | None) -> str:
    if not nodes and not roles:
        return ""
    if barrier in records.CORE_BARRIERS:
        raise InputError(f"barrier {barrier} is always for all nodes of the run; nodes and roles cannot be chosen")
    if nodes and roles:
        raise InputError(f"barrier {barrier}: give nodes or roles, not both")
    return compact(["nodes", *sorted(set(nodes))] if nodes else ["roles", *sorted(set(roles or ()))])


def _describe(participants: str) -> str:
    if participants == "all":
        return "all nodes"
    kind, *names = json.loads(participants)
    return f"{kind} {', '.join(names)}"


def _brief(fields: dict[str, str]) -> dict[str, t.Any]:
    def moment(name: str) -> float | None:
        return int(fields[name]) / 1000 if fields.get(name) else None

    verdict = fields.get("verdict")
    return {
        "cluster_id": fields["cluster_id"],
        "submission_id": fields["submission_id"],
        "number": int(fields["number"]),
        "job": fields["job"],
        "cluster": fields["name"],
        "params": json.loads(fields["params"]),
        "phase": fields["phase"],
        "result": verdict,
        "reason": records.read_reason(fields.get("reason")),
        "registered": moment("registered"),
        "started": moment("started"),
        "finished": moment("finished"),
        "closed": moment("closed"),
        "expires": moment("expires"),
        "mode": fields.get("mode", "push"),
        "lease": float(fields["lease"]),
    }


def _event(entry_id: str, entry: dict[str, str]) -> dict[str, t.Any]:
    return {"time": _time_of(entry_id), "node": entry["node"] or None, "what": entry["what"], "data": _data(entry)}


def _data(entry: dict[str, str]) -> t.Any:
    text = entry["data"]
    if not text:
        return None
    return json.loads(text) if text[0] in '{["' else text


def _time_of(entry_id: str) -> float:
    return int(entry_id.partition("-")[0]) / 1000


def _natural(name: str) -> list[tuple[int, str]]:
    import re

    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
