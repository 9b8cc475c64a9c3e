# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import explain

_NAMES_SHOWN = 20


def describe(run: t.Mapping[str, t.Any], now: float) -> list[str]:
    """A run for a person: how far it has come, who waits for whom, and since when. `nodes` may be left out of it."""
    lines = [f"{run['cluster_id']}: {run['job']} on {run['cluster']}: {_how_far(run, now)}"]
    if run["result"] == "abort":
        lines.append(f"    {explain(run['reason'])}")
    if run["result"] or "nodes" not in run:
        return lines
    nodes = run["nodes"]
    for name, barrier in run["barriers"].items():
        if not barrier["since"] or barrier["released"]:
            continue
        waiting = _names(f"{node} ({' '.join(nodes[node]['roles'])})" for node in barrier["arrived"])
        missing = _names(_last_seen(entry["node"], nodes[entry["node"]], now) for entry in barrier["missing"])
        lines.append(f"    at barrier {name} for {duration(now - barrier['since'])}: {waiting}")
        lines.append(f"    waiting for: {missing}")
    lost = [name for name, node in nodes.items() if node["lease"] is not None and node["lease"] < now]
    if lost:
        lines.append(f"    not heard from in time: {_names(lost)}")
    return lines


def duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def _how_far(run: t.Mapping[str, t.Any], now: float) -> str:
    if run["result"] == "finish":
        return f"finished {duration(now - run['finished'])} ago"
    if run["result"] == "abort":
        return f"aborted {duration(now - run['finished'])} ago"
    if not run["started"]:
        return f"registered {duration(now - run['registered'])} ago, no node has begun"
    phase = {"registered": "its nodes are getting ready to start"}.get(run["phase"], f"has passed {run['phase']}")
    return f"running for {duration(now - run['started'])}, {phase}"


def _last_seen(name: str, node: t.Mapping[str, t.Any], now: float) -> str:
    roles = " ".join(node["roles"])
    if node["state"] not in node["times"]:
        return f"{name} ({roles}), {node['state']}"
    return f"{name} ({roles}), {node['state']} for {duration(now - node['times'][node['state']])}"


def _names(names: t.Iterable[str]) -> str:
    every = list(names)
    more = [f"{len(every) - _NAMES_SHOWN} more"] if len(every) > _NAMES_SHOWN else []
    return "; ".join(every[:_NAMES_SHOWN] + more)
