# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination import records
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.subject import Subject

if t.TYPE_CHECKING:
    import redis


class History(Subject):
    """What there is to know of runs, while they go on and after them."""

    def knows(self, cluster_id: str) -> bool:
        """Whether Redis holds a run."""
        return bool(self._connection.call(lambda r: r.exists(self._key(cluster_id))))

    def info(self, cluster_id: str) -> dict[str, t.Any]:
        """All that is known of a run: phase, nodes, barriers, who is missing."""
        run, nodes = self._overview(cluster_id)
        barriers = self._connection.call(
            lambda r: t.cast(list, r.zrange(self._key(cluster_id, "barriers"), 0, -1, withscores=True))
        )
        roles = {name: node["roles"] for name, node in nodes.items()}
        run["nodes"] = nodes
        run["barriers"] = self._barriers(cluster_id, barriers, roles)
        return run

    def runs(self) -> list[dict[str, t.Any]]:
        """All runs that Redis holds, oldest first, in brief."""
        last_jobs = self._connection.call(lambda r: t.cast(list, r.zrange(f"{self._prefix}runs", 0, -1)))
        ids = sorted((records.cluster_of(job) for job in last_jobs), key=records.natural_order)

        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            for cluster_id in ids:
                pipe.hgetall(self._key(cluster_id))
            return pipe.execute()

        return [_brief(fields) for fields in self._connection.call(ask) if fields]

    def now(self) -> float:
        """The time by the server's clock, by which everything is judged."""
        seconds, microseconds = self._connection.call(lambda r: t.cast(tuple, r.time()))
        return float(seconds + microseconds / 1e6)

    def events(self, cluster_id: str) -> list[dict[str, t.Any]]:
        """The timeline of a run."""
        found = self._connection.call(lambda r: t.cast(list, r.xrange(self._key(cluster_id, "events"))))
        return [_event(entry_id, entry) for entry_id, entry in found]

    def follow(self, positions: dict[str, str], seconds: float) -> list[tuple[str, dict[str, t.Any]]]:
        """What happens in several runs, with the run's id; waits for it at most so many seconds.

        :param positions: id of a run → position after which to read, "0" at first. It is moved on.
        """
        streams = {self._key(cluster_id, "events"): cluster_id for cluster_id in positions}
        found = self._connection.read({key: positions[cluster_id] for key, cluster_id in streams.items()}, seconds)
        happened = []
        for key, entries in found.items():
            cluster_id = streams[key]
            for entry_id, entry in entries:
                positions[cluster_id] = entry_id
                happened.append((cluster_id, _event(entry_id, entry)))
        return sorted(happened, key=lambda item: item[1]["time"])

    def _overview(self, cluster_id: str) -> tuple[dict[str, t.Any], dict[str, dict[str, t.Any]]]:
        def ask(r: redis.Redis) -> list:
            pipe = r.pipeline(transaction=False)
            pipe.hgetall(self._key(cluster_id))
            pipe.hgetall(self._key(cluster_id, "nodes"))
            pipe.zrange(self._key(cluster_id, "leases"), 0, -1, withscores=True)
            pipe.time()
            return pipe.execute()

        fields, entries, leases, (server_seconds, server_us) = self._connection.call(ask)
        if not fields or not entries:
            raise self._unknown(f"run {cluster_id}")
        run = _brief(fields)
        run["now"] = server_seconds + server_us / 1e6
        lease_end = dict(leases)
        jobs = {name: json.loads(entry)["job_id"] for name, entry in entries.items()}
        names = sorted(jobs, key=lambda name: int(jobs[name].rpartition(".")[2]))
        found = self._connection.call(
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

        answers = iter(self._connection.call(ask))
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
    return {
        "time": records.time_of(entry_id),
        "node": entry["node"] or None,
        "what": entry["what"],
        "data": _data(entry),
    }


def _data(entry: dict[str, str]) -> t.Any:
    text = entry["data"]
    if not text:
        return None
    return json.loads(text) if text[0] in '{["' else text
