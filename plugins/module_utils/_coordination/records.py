# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import check_address, shell_name
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    Reason,
    ReasonKind,
    Verdict,
    make_reason,
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,119}")
# What else a wait answers with.
_RESERVED = (str(Verdict.ABORT), "retry")


@dataclass(frozen=True)
class Reported:
    """What became of a report. `verdict` is that of the run: `abort`, `finish` or None while it goes on."""

    changed: bool
    verdict: str | None = None
    reason: Reason | None = None


@dataclass(frozen=True)
class Arrival:
    """The immediate answer to an arrival; without a verdict, wait on the verdicts after `position`.

    :ivar node: the name of the one that arrived.
    :ivar missing_nodes: who is missing, with their roles, if that was asked.
    """

    verdict: str | None
    reason: Reason | None
    position: str
    missing: int
    changed: bool
    retries: int = 0
    waited: float = 0.0
    lease: float = 0.0
    node: str = ""
    missing_nodes: list[dict[str, t.Any]] | None = None


@dataclass(frozen=True)
class Answer:
    """The end of a wait or of one slice of it. `answer` is the barrier's name, `abort` or `retry`."""

    answer: str
    reason: Reason | None = None
    missing: list[dict[str, t.Any]] = field(default_factory=list)
    waited: float = 0.0
    retries: int = 0
    changed: bool = False


@dataclass(frozen=True)
class Received:
    """Messages after a position. Without any, `verdict` tells whether the run is over."""

    position: str
    messages: list[dict[str, t.Any]]
    verdict: str | None = None
    reason: Reason | None = None


def check_name(what: str, name: str) -> str:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise InputError(
            f"{name!r} is no name for a {what}: letters, digits and _ . : - are right, 120 at most, "
            f"and not {' or '.join(_RESERVED)}"
        )
    return name


def cluster_of(job_id: str) -> str:
    """A job id is the id of its run, a dot and the number of the node."""
    cluster_id, separator, number = job_id.rpartition(".")
    if not separator or not cluster_id or not number.isdigit():
        raise InputError(f"{job_id!r} is no job id; right would be one like 20260131T120000-k3f9.1.2")
    return cluster_id


def natural_order(name: str) -> list[tuple[int, str]]:
    """A key to sort by, with node-2 before node-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def time_of(entry_id: str) -> float:
    """When an entry of a stream was added."""
    return int(entry_id.partition("-")[0]) / 1000


def compact(value: t.Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def node_record(
    cluster_id: str,
    node: str,
    *,
    roles: t.Sequence[str],
    ip: str | None,
    direct_macs: t.Sequence[str],
    direct_ips: t.Sequence[str],
) -> str:
    """The part of a node's record that Lua passes on as text: its JSON cannot tell an empty list from an empty map.

    :raises InputError: an address is none.
    """
    for address in (*([ip] if ip else []), *direct_ips):
        check_address(address)
    fixed = {
        "cluster_id": cluster_id,
        "node": node,
        "roles": list(roles),
        "ip": ip,
        "direct_macs": list(direct_macs),
        "direct_ips": list(direct_ips),
    }
    return compact(fixed)[:-1]


def new_record(head: str) -> str:
    return head + ',"state":"registered","times":{}}'


def complete_reason(reason: Reason | None, *, kind: ReasonKind, node: str | None = None) -> Reason:
    """Every abort has a sentence, and names the node where there is one; `kind` takes the place of the usual one."""
    full = make_reason("") if reason is None else reason
    if full["kind"] == ReasonKind.ABORT:
        full = {**full, "kind": str(kind)}
    full = {**full, "node": full["node"] or node}
    return {**full, "text": full["text"] or _sentence_of(full)}


def read_reason(text: str | None) -> Reason | None:
    """A reason as Redis holds it; what it does not say is as usual."""
    return t.cast(Reason, {**make_reason(""), **json.loads(text)}) if text else None


def explain(reason: t.Mapping[str, t.Any] | None) -> str:
    """The one sentence that a person reads: the reason's text, and what it leaves out of node, script and exit code."""
    if not reason:
        return "no reason was given"
    text = str(reason.get("text") or _sentence_of(reason))
    more = []
    for label, key in (("node", "node"), ("script", "script"), ("exit code", "exit_code")):
        value = reason.get(key)
        if value is not None and not re.search(rf"(?<![\w-]){re.escape(str(value))}(?![\w-])", text):
            more.append(f"{label} {value}")
    return f"{text} ({', '.join(more)})" if more else text


def _sentence_of(reason: t.Mapping[str, t.Any]) -> str:
    where = f" on node {reason['node']}" if reason.get("node") else ""
    if reason.get("script"):
        how = f" with exit code {reason['exit_code']}" if reason.get("exit_code") is not None else ""
        return f"script {reason['script']} failed{how}{where}"
    return f"the run was {'failed' if reason.get('kind') == ReasonKind.FAILED else 'aborted'}{where}"


def roles_ip(nodes: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, str]:
    """The addresses of all roles, one variable each, nodes in the order of the cluster file."""
    direct: dict[str, list[str]] = {}
    own: dict[str, list[str]] = {}
    for node in nodes:
        ip = [node["ip"]] if node.get("ip") else []
        for role in node["roles"]:
            name = shell_name(role)
            direct.setdefault(name, []).extend(node.get("direct_ips") or ip)
            own.setdefault(name, []).extend(ip)
    variables = {f"direct_{name}_ips": " ".join(ips) for name, ips in direct.items()}
    variables.update({name: " ".join(ips) for name, ips in own.items()})
    return variables
