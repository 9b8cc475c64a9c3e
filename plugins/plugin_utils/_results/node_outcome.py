# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import EventName, ReasonKind, ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._history.run_history import NodeHistory

Info = t.Mapping[str, t.Any]


def describe(name: str, node: Info, run: Info, history: NodeHistory) -> str:
    """In one sentence what became of a node in a run.

    :param node: what the summary says of it, its scripts as a list.
    :param run: the summary of the run: its result and its reason.
    """
    text = _what_happened(name, node, run)
    if history.has(EventName.PREPARED) and not history.has(EventName.LEFT):
        text += "; it could not be reached at the end, and cleans itself when its lease is over"
    elif history.lost_results is not None:
        text += f"; its results could not be fetched: {history.lost_results}"
    return text


def came_to_its_end(run: Info) -> bool:
    """Whether all nodes reached the last barrier, though the run may not count as good for want of results, or for warnings."""
    reason = run["reason"]
    return reason is None or reason.get("kind") in (ReasonKind.RESULTS_LOST, ReasonKind.WARNINGS)


def _what_happened(name: str, node: Info, run: Info) -> str:
    started = [script for script in node["scripts"] if script["started"] is not None]
    if came_to_its_end(run):
        return _succeeded(started)
    reason = run["reason"]
    if reason["node"] == name:
        return str(reason["text"])
    failed = [script for script in started if script.get("failure")]
    if failed:
        return str(failed[0]["failure"])
    stopped = [script for script in started if script["stopped"]]
    if stopped:
        took = _seconds_to_stop(run, stopped)
        return f"{_list(stopped)} {'was' if len(stopped) == 1 else 'were'} stopped {took} the run was aborted"
    if not started:
        return "no script had been started when the run was aborted"
    if any(script["finished"] is None for script in started):
        running = [script for script in started if script["finished"] is None]
        return f"{_list(running)} ran when the run was aborted, and nobody has seen the end"
    return f"{_list(started)} had ended when the run was aborted"


def _succeeded(started: t.Sequence[Info]) -> str:
    tests = [script for script in started if script["kind"] == ScriptKind.TEST]
    if tests:
        return f"{_list(tests)} ended with success"
    daemons = [script for script in started if script["kind"] == ScriptKind.DAEMON]
    if daemons:
        return f"{_list(daemons)} served until the end"
    return f"{_list(started)} ended with success" if started else "took part without a script"


def _seconds_to_stop(run: Info, stopped: t.Sequence[Info]) -> str:
    ends = [script["finished"] for script in stopped if script["finished"] is not None]
    if not ends or run["finished"] is None or max(ends) < run["finished"]:
        # The clocks of the machines may differ.
        return "when"
    return f"{_format.duration(max(ends) - run['finished'])} after"


def _list(scripts: t.Sequence[Info]) -> str:
    kinds: dict[str, list[str]] = {}
    for script in scripts:
        kinds.setdefault(script["kind"], []).append(script["name"])
    parts = [f"{kind}{'s' if len(names) > 1 else ''} {_format.names(names)}" for kind, names in kinds.items()]
    return " and ".join(parts)
