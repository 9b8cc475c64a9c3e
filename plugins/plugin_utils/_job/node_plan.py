# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""What one node does in one run: the scripts of its roles, in order, and what each finds in its environment."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._names import is_shell_name
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.expand import Names, entries_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.job_file import (
    condition_of,
    inline_script_of,
    is_ignored,
    role_of,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.scripts import Script, refuse_outside
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.values import (
    arguments,
    cpu_share,
    environment_text,
    plain_text,
    seconds_of,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import (
    Block,
    Place,
    error_at,
    kind_of,
    shorten,
)

# A variable is a text, or a share of the CPUs of the node.
Variable = str | float

_READY_WAYS = ("port", "file", "command")
_READY_KEYS = frozenset((*_READY_WAYS, "timeout"))
# Keys of a job that describe it and need no script to be understood.
_DESCRIPTIONS = frozenset(
    ["suite", "testcase", "category", "cluster", "queue", "testbox", "os", "os_arch", "os_version", "os_mount", "ip"]
)


class _Call(t.NamedTuple):
    """A script as it is called at one place of the job."""

    record: dict[str, t.Any]
    seen: dict[str, Variable]
    own: dict[str, Variable]


class NodePlan(t.NamedTuple):
    env: dict[str, str]
    cpu_shares: dict[str, float]
    scripts: list[dict[str, t.Any]]
    job: dict[str, t.Any]


def plan_node(job: Block, names: Names, roles: t.Sequence[str], searched: t.Sequence[str], warn: Warn) -> NodePlan:
    walk = _Walk(job, names, frozenset(roles), searched, warn)
    walk.block(job, {}, {})
    common = walk.seen_by_all()
    scripts = [_finished(call, common) for call in walk.calls]
    env, shares = _split(common)
    return NodePlan(env, shares, scripts, _merged_job(job, walk.roles))


Warn = t.Callable[[str], None]


def _split(variables: dict[str, Variable]) -> tuple[dict[str, str], dict[str, float]]:
    env = {name: value for name, value in variables.items() if isinstance(value, str)}
    return env, {name: value for name, value in variables.items() if not isinstance(value, str)}


def _finished(call: _Call, common: dict[str, Variable]) -> dict[str, t.Any]:
    mine = {name: value for name, value in call.seen.items() if name not in common}
    mine.update(call.own)
    env, shares = _split(mine)
    return {**call.record, "env": env, "cpu_shares": shares}


def _merged_job(job: Block, roles: frozenset[str]) -> dict[str, t.Any]:
    """The job as this node sees it: blocks of its roles merged into the level where they stand."""
    result: dict[str, t.Any] = {}
    for key, value in job.items():
        role = role_of(key)
        if key == "cluster_spec":
            continue
        if role is None:
            _put_unless_other(result, key, _merged_job(value, roles) if isinstance(value, Block) else value, key)
        elif role in roles:
            for inner, item in _merged_job(value or Block(job.place), roles).items():
                _put_unless_other(result, inner, item, f"{role}.{inner}")
    return result


def _put_unless_other(result: dict[str, t.Any], key: str, value: t.Any, otherwise: str) -> None:
    result[key if key not in result or result[key] == value else otherwise] = value


class _Walk:
    """Goes through a job as the shell script of the original does, and notes what would be called."""

    def __init__(self, job: Block, names: Names, roles: frozenset[str], searched: t.Sequence[str], warn: Warn) -> None:
        self.roles = roles
        self.calls: list[_Call] = []
        self._names = names
        self._searched = " or ".join(searched)
        self._warn = warn
        self._variables: dict[str, Variable] = {}
        self._inline: dict[str, Script] = {}
        self._conditions: list[str] = []
        self._ids: set[str] = set()

    def block(self, block: Block, ready: dict[str, t.Any], timeouts: dict[str, t.Any]) -> None:
        ready, timeouts = {**ready, **self._ready_of(block)}, {**timeouts, **self._timeouts_of(block)}
        scripts: list[tuple[str, str, list[Script]]] = []
        rest: list[tuple[str, str, list[Script]]] = []
        for key, value in block.items():
            if is_ignored(key, value):
                continue
            inline = inline_script_of(key)
            if inline is not None:
                self._inline[inline.name] = Script(inline.name, inline.kind, self._names.home, None, value)
            elif role_of(key) is not None or condition_of(key, value) is not None:
                rest.append((key, key, []))
            else:
                shown, parts = self._names.scripts_of(key)
                if parts:
                    scripts.append((key, shown, parts))
                    rest.append((key, shown, parts))
                else:
                    self._variable(block, key, value)
        for kind in ("setup", "monitor"):
            for key, shown, parts in scripts:
                self._call(block, key, shown, parts, (kind,), ready, timeouts)
        for key, shown, parts in rest:
            role, value = role_of(key), block[key]
            if parts:
                self._call(block, key, shown, parts, ("daemon", "test"), ready, timeouts)
            elif role is None and value:
                self._conditional(value, key, block.place_of(key), ready, timeouts)
            elif role in self.roles and value:
                self.block(value, ready, timeouts)

    def _conditional(
        self, block: Block, key: str, place: Place, ready: dict[str, t.Any], timeouts: dict[str, t.Any]
    ) -> None:
        """A block whose scripts ask on the node whether they are meant to run; its variables are for them alone."""
        if not any(self._names.scripts_of(entry.key)[1] for entry in entries_of(block)):
            raise error_at(place, key, "sets variables but runs no script; set them in the scripts that need them.")
        outside = dict(self._variables)
        self._conditions.append(t.cast(str, condition_of(key, block)))
        self.block(block, ready, timeouts)
        self._conditions.pop()
        self._variables = outside

    def seen_by_all(self) -> dict[str, Variable]:
        """Variables that every script of the node sees with one value; the others belong to single scripts."""
        common = dict(self._variables)
        for call in self.calls:
            for name, value in list(common.items()):
                own = call.own.get(name, value)
                if call.seen.get(name) != value or isinstance(own, str) != isinstance(value, str):
                    del common[name]
        return common

    def _variable(self, block: Block, key: str, value: t.Any) -> None:
        place = block.place_of(key)
        if isinstance(value, Block):
            self._refuse_background(value, key, place)
        if is_shell_name(key):
            share = cpu_share(key, value)
            self._variables[key] = environment_text(key, value) if share is None else share
        self._warn_of_missing_script(key, value, place)

    def _refuse_background(self, value: Block, key: str, place: Place) -> None:
        for entry in entries_of(value):
            if self._names.scripts_of(entry.key)[1]:
                raise error_at(
                    place,
                    key,
                    f'names no script but holds one, "{shorten(entry.key)}"; a block that runs in the background is not '
                    f"supported, write its keys one level further out.{self._names.near(key)}",
                )
        if any(role_of(inner) is not None for inner in value):
            raise error_at(
                place, key, 'names no script but holds an "if role" block; write that one level further out.'
            )

    def _warn_of_missing_script(self, key: str, value: t.Any, place: Place) -> None:
        # Saved jobs have comments as keys that begin with ":#".
        if key in _DESCRIPTIONS or key in self._names.options or key.startswith(":#"):
            return
        looks_like_one = value is None or isinstance(value, Block) or not is_shell_name(key)
        plain = self._names.not_executable(key)
        near = "" if plain else self._names.near(key, 0.6 if looks_like_one else 0.85)
        if not (looks_like_one or near or plain):
            return
        fate = "exported as a variable" if is_shell_name(key) else "left out, as no variable can have that name either"
        why = f"{plain} is not executable" if plain else f"no script of that name under {self._searched}"
        self._warn(f"{place}: {shorten(key)}: {why}; {fate}.{near}")

    def _call(
        self,
        block: Block,
        key: str,
        shown: str,
        parts: t.Sequence[Script],
        kinds: t.Sequence[str],
        ready: dict[str, t.Any],
        timeouts: dict[str, t.Any],
    ) -> None:
        place, value = block.place_of(key), block[key]
        for kind in kinds:
            for found in parts:
                if found.kind != kind:
                    continue
                script = self._inline.get(found.name, found)
                refuse_outside(script, place, key)
                own = self._parameters(value) if isinstance(value, Block) else {}
                record: dict[str, t.Any] = {
                    "id": self._unique_id(f"{kind}-{shown}"),
                    "name": script.name,
                    "kind": kind,
                    "root": script.root,
                    "path": None if self._conditions else script.path,
                    "content": _guarded(script, self._conditions) if self._conditions else script.content,
                    "args": [] if isinstance(value, (Block, list)) else arguments(value, place, key),
                    "env": {},
                    "cpu_shares": {},
                    "ready": ready.get(key, ready.get(script.name)) if kind == "daemon" else None,
                    "timeout": timeouts.get(key, timeouts.get(script.name)),
                }
                self.calls.append(_Call(record, dict(self._variables), own))

    def _parameters(self, block: Block) -> dict[str, Variable]:
        """The parameters of one script; a mapping among them is flattened one level."""
        own: dict[str, Variable] = {}
        for key, value in block.items():
            place = block.place_of(key)
            if role_of(key) is not None:
                raise error_at(place, key, 'an "if role" block cannot stand among the parameters of a script.')
            for name, item in value.items() if isinstance(value, Block) else [(key, value)]:
                share = cpu_share(name, item)
                # The names that cannot be shell variables are spelled as the original's scripts expect them.
                variable = re.sub(r"[^A-Za-z0-9_]", lambda char: f"_{ord(char.group())}_", name)
                own[variable] = environment_text(name, item) if share is None else share
        return own

    def _unique_id(self, wanted: str) -> str:
        unique, number = wanted, 1
        while unique in self._ids:
            number += 1
            unique = f"{wanted}-{number}"
        self._ids.add(unique)
        return unique

    def _ready_of(self, block: Block) -> dict[str, t.Any]:
        content = block.get("ready")
        if not isinstance(content, Block):
            return {}
        result = {}
        for key, value in content.items():
            place = content.place_of(key)
            self._check_script_key(key, place, "ready", "daemon")
            result[key] = _ready(value, key, place)
        return result

    def _timeouts_of(self, block: Block) -> dict[str, t.Any]:
        content = block.get("timeout")
        if not isinstance(content, Block):
            return {}
        result = {}
        for key, value in content.items():
            place = content.place_of(key)
            self._check_script_key(key, place, "timeout", None)
            result[key] = _seconds(value, key, place)
        return result

    def _check_script_key(self, key: str, place: Place, setting: str, kind: str | None) -> None:
        scripts = self._names.scripts_of(key)[1]
        if not any(kind in (None, script.kind) for script in scripts):
            raise error_at(
                place,
                f"{setting}.{key}",
                f"no {kind or 'script'} of that name.{self._names.near(key)}",
            )


def _guarded(script: Script, conditions: t.Sequence[str]) -> str:
    """A script that runs another one only if the conditions hold where it runs."""
    lines = ["#!/bin/sh", *(f"if {condition}; then" for condition in conditions)]
    if script.content is None:
        lines.append(f'exec "$LKP_SRC"/{shlex.quote(script.path or "")} "$@"')
    else:
        lines += [
            'guarded=$(mktemp "$TMP/script.XXXXXX") || exit',
            f'printf %s {shlex.quote(script.content)} >"$guarded" && chmod 700 "$guarded" || exit',
            'exec "$guarded" "$@"',
        ]
    # Where a condition does not hold, the supervisor is told that the script was not meant to run.
    skipped = ': >"$TMP/${MULTIDEVICE_SCRIPT:-script}.skipped"'
    return "\n".join([*lines, *("fi" for _unused in conditions), skipped, ""])


def _seconds(value: t.Any, key: str, place: Place) -> int | float:
    seconds = seconds_of(value)
    if seconds is None or seconds <= 0:
        raise error_at(place, key, f'expects a time such as 30 or "5m", not {kind_of(value)}.')
    return seconds


def _ready(value: t.Any, key: str, place: Place) -> dict[str, t.Any]:
    """How to see that a daemon answers: its port, a file that it makes, or a command that succeeds."""
    ways = [way for way in _READY_WAYS if isinstance(value, Block) and way in value]
    if not isinstance(value, Block) or len(ways) != 1 or not set(value) <= _READY_KEYS:
        raise error_at(
            place,
            key,
            f"expects one of port, file and command, and a timeout if need be, not {_ready_as_written(value)}.",
        )
    way = ways[0]
    target = value[way]
    if way == "port":
        if isinstance(target, bool) or not isinstance(target, int) or not 1 <= target <= 65535:
            raise error_at(
                value.place_of(way), f"{key}.port", f"expects a number from 1 to 65535, not {kind_of(target)}."
            )
    elif not isinstance(target, str) or not target.strip():
        raise error_at(value.place_of(way), f"{key}.{way}", f"expects a text, not {kind_of(target)}.")
    result: dict[str, t.Any] = {way: target}
    if "timeout" in value:
        result["timeout"] = _seconds(value["timeout"], f"{key}.timeout", value.place_of("timeout"))
    return result


def _ready_as_written(value: t.Any) -> str:
    return (
        ", ".join(shorten(plain_text(key)) for key in value) or "nothing"
        if isinstance(value, Block)
        else kind_of(value)
    )
