# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import explain
from ansible_collections.lab.multidevice.plugins.module_utils._format import count, rough_duration
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Verdict

_NAMES_SHOWN = 20


def describe(run: t.Mapping[str, t.Any], now: float) -> list[str]:
    """A run for a person: how far it has come, who waits for whom, and since when. `nodes` may be left out of it."""
    lines = [f"{run['cluster_id']}: {run['job']} on {run['cluster']}: {_how_far(run, now)}"]
    if run["result"] == Verdict.ABORT:
        lines.append(f"    {explain(run['reason'])}")
    if run["result"] or "nodes" not in run:
        return lines
    nodes = run["nodes"]
    for name, barrier in run["barriers"].items():
        if not barrier["since"] or barrier["released"]:
            continue
        waiting = _names(f"{node} ({' '.join(nodes[node]['roles'])})" for node in barrier["arrived"])
        missing = _names(_last_seen(entry["node"], nodes[entry["node"]], now) for entry in barrier["missing"])
        lines.append(f"    at barrier {name} for {rough_duration(now - barrier['since'])}: {waiting}")
        lines.append(f"    waiting for: {missing}")
    lost = [name for name, node in nodes.items() if node["lease"] is not None and node["lease"] < now]
    if lost:
        lines.append(f"    not heard from in time: {_names(lost)}")
    return lines


def describe_queues(
    queues: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]], workers: t.Sequence[t.Mapping[str, t.Any]], now: float
) -> list[str]:
    """The queues for a person: what waits in each and since when, which workers it has, and what they hold."""
    lines = []
    for queue, jobs in queues.items():
        waiting = [job for job in jobs if job["machine"] is None]
        mine = [worker for worker in workers if worker["queue"] == queue]
        lines.append(f"queue {queue}: {count(len(waiting), 'node job waits', 'node jobs wait')}, {_workers(len(mine))}")
        for job in waiting[:_NAMES_SHOWN]:
            lines.append(f"    {job['node']} of run {job['cluster_id']} waits for {rough_duration(now - job['since'])}")
        if len(waiting) > _NAMES_SHOWN:
            lines.append(f"    and {len(waiting) - _NAMES_SHOWN} more")
        for worker in mine:
            lines.append(f"    worker on {worker['machine']}, {_what_it_does(worker, now)}")
    return lines


def _what_it_does(worker: t.Mapping[str, t.Any], now: float) -> str:
    if now - worker["seen"] > max(15.0, (worker["lease"] - worker["seen"]) / 2):
        heard = f", last heard from {rough_duration(now - worker['seen'])} ago"
    else:
        heard = ""
    if worker["job_id"]:
        return f"busy with {worker['job_id']} for {rough_duration(now - worker['job_since'])}{heard}"
    return f"free for {rough_duration(now - worker['since'])}{heard}"


def _workers(number: int) -> str:
    return count(number, "worker") if number else "no worker"


def _how_far(run: t.Mapping[str, t.Any], now: float) -> str:
    if run["result"] == Verdict.FINISH:
        return f"finished {rough_duration(now - run['finished'])} ago"
    if run["result"] == Verdict.ABORT:
        return f"aborted {rough_duration(now - run['finished'])} ago"
    if not run["started"] and run["mode"] == "queue":
        return f"in its queues for {rough_duration(now - run['registered'])}, no worker has begun"
    if not run["started"]:
        return f"registered {rough_duration(now - run['registered'])} ago, no node has begun"
    phase = {"registered": "its nodes are getting ready to start"}.get(run["phase"], f"has passed {run['phase']}")
    return f"running for {rough_duration(now - run['started'])}, {phase}"


def _last_seen(name: str, node: t.Mapping[str, t.Any], now: float) -> str:
    roles = " ".join(node["roles"])
    if node["state"] not in node["times"]:
        return f"{name} ({roles}), {node['state']}"
    return f"{name} ({roles}), {node['state']} for {rough_duration(now - node['times'][node['state']])}"


def _names(names: t.Iterable[str]) -> str:
    every = list(names)
    more = [f"{len(every) - _NAMES_SHOWN} more"] if len(every) > _NAMES_SHOWN else []
    return "; ".join(every[:_NAMES_SHOWN] + more)
