# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""What one node does in one run: the scripts of its roles, in order, and what each finds in its environment."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._names import is_shell_name, numbered_shell_name
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Passes, ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.blocks import (
    ConditionBlock,
    Entry,
    InlineScript,
    JobBlock,
    RoleBlock,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.expand import Names, entries_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.planned import PlannedScript
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.scripts import (
    FoundScript,
    InlineScripts,
    refuse_outside,
)
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


# In a block, scripts of these kinds are called before all others, kind by kind; the others as they stand in the file.
_COME_FIRST = [kind for kind in ScriptKind if kind.properties.comes_first]
_IN_TURN = [kind for kind in ScriptKind if not kind.properties.comes_first]


class _ByScript(t.NamedTuple):
    """What a job says of single scripts besides their parameters."""

    ready: dict[str, dict[str, t.Any]]
    timeouts: dict[str, float]


class _Call(t.NamedTuple):
    """A script as it is called at one place of the job."""

    record: PlannedScript
    seen: dict[str, Variable]
    own: dict[str, Variable]


class NodeScripts(t.NamedTuple):
    """What one node runs, and what it has to know for that."""

    env: dict[str, str]
    cpu_shares: dict[str, float]
    scripts: list[PlannedScript]
    job: dict[str, t.Any]


Warn = t.Callable[[str], None]


def scripts_of_node(
    job: JobBlock, names: Names, roles: t.Sequence[str], searched: t.Sequence[str], warn: Warn
) -> NodeScripts:
    """The scripts of a node with these roles."""
    walk = _Walk(names, frozenset(roles), searched, warn)
    walk.block(job, _ByScript({}, {}))
    common = walk.seen_by_all()
    scripts = [_finished(call, common) for call in walk.calls]
    env, shares = _split(common)
    return NodeScripts(env, shares, scripts, _merged_job(job, walk.roles))


def _split(variables: dict[str, Variable]) -> tuple[dict[str, str], dict[str, float]]:
    env = {name: value for name, value in variables.items() if isinstance(value, str)}
    return env, {name: value for name, value in variables.items() if not isinstance(value, str)}


def _finished(call: _Call, common: dict[str, Variable]) -> PlannedScript:
    mine = {name: value for name, value in call.seen.items() if name not in common}
    mine.update(call.own)
    env, shares = _split(mine)
    return {**call.record, "env": env, "cpu_shares": shares}


def _merged_job(job: JobBlock, roles: frozenset[str]) -> dict[str, t.Any]:
    """The job as this node sees it: blocks of its roles merged into the level where they stand.

    What a role sets otherwise than the level itself, or a role before it, is kept with the role's name before it.
    """
    own = {
        statement.key: _merged_job(statement.value, roles) if isinstance(statement.value, JobBlock) else statement.value
        for statement in job.statements
        if not isinstance(statement, RoleBlock) and statement.key != "cluster_spec"
    }
    result: dict[str, t.Any] = {}
    for statement in job.statements:
        if statement.key in own:
            result[statement.key] = own[statement.key]
        elif isinstance(statement, RoleBlock) and statement.role in roles and statement.value:
            for key, value in _merged_job(statement.value, roles).items():
                is_other = (key in own and own[key] != value) or (key in result and result[key] != value)
                result[f"{statement.role}.{key}" if is_other else key] = value
    return result


class _Use(t.NamedTuple):
    """An entry that names a script: one, or the parts of a program."""

    entry: Entry
    shown: str
    parts: list[FoundScript]


class _Walk:
    """Goes through a job as the shell script of the original does, and notes what would be called."""

    def __init__(self, names: Names, roles: frozenset[str], searched: t.Sequence[str], warn: Warn) -> None:
        self.roles = roles
        self.calls: list[_Call] = []
        self._names = names
        self._searched = " or ".join(searched)
        self._warn = warn
        self._variables: dict[str, Variable] = {}
        self._inline = InlineScripts()
        self._conditions: list[str] = []
        self._ids: set[str] = set()

    def block(self, block: JobBlock, around: _ByScript) -> None:
        """Note what is called in a block, and in those within."""
        by_script = self._by_script(block, around)
        in_turn: list[_Use | RoleBlock | ConditionBlock] = []
        for statement in block.statements:
            if isinstance(statement, InlineScript):
                self._inline.add(self._names.script_of(statement))
            elif isinstance(statement, (RoleBlock, ConditionBlock)):
                in_turn.append(statement)
            elif isinstance(statement, Entry):
                shown, parts = self._names.scripts_of(statement.key)
                if parts:
                    in_turn.append(_Use(statement, shown, parts))
                else:
                    self._variable(statement)
        # An inline script counts in all of its block, above it too.
        in_turn = [item._replace(parts=self._meant(item.parts)) if isinstance(item, _Use) else item for item in in_turn]
        uses = [item for item in in_turn if isinstance(item, _Use)]
        for kind in _COME_FIRST:
            for use in uses:
                self._call(use, (kind,), by_script)
        for item in in_turn:
            if isinstance(item, _Use):
                self._call(item, _IN_TURN, by_script)
            elif item.value and isinstance(item, ConditionBlock):
                self._conditional(item, by_script)
            elif item.value and isinstance(item, RoleBlock) and item.role in self.roles:
                self.block(item.value, by_script)

    def _conditional(self, statement: ConditionBlock, around: _ByScript) -> None:
        """A block whose scripts ask on the node whether they are meant to run; its variables are for them alone."""
        if not any(self._names.scripts_of(entry.key)[1] for entry in entries_of(statement.value)):
            raise error_at(
                statement.place,
                statement.key,
                "sets variables but runs no script; set them in the scripts that need them.",
            )
        outside = dict(self._variables)
        self._conditions.append(statement.condition)
        self.block(statement.value, around)
        self._conditions.pop()
        self._variables = outside

    def _meant(self, parts: list[FoundScript]) -> list[FoundScript]:
        """Of inline scripts of one name the last that the walk has come by, or else the last of the job."""
        if parts[-1].content is None:
            return parts
        kinds = [part.kind for part in parts]
        met = [script for script in self._inline.find(parts[-1].name) if script.kind in kinds]
        return [(met or parts)[-1]]

    def seen_by_all(self) -> dict[str, Variable]:
        """Variables that every script of the node sees with one value; the others belong to single scripts."""
        common = dict(self._variables)
        for call in self.calls:
            for name, value in list(common.items()):
                own = call.own.get(name, value)
                if call.seen.get(name) != value or isinstance(own, str) != isinstance(value, str):
                    del common[name]
        return common

    def _variable(self, entry: Entry) -> None:
        key, value = entry.key, entry.value
        if isinstance(value, JobBlock):
            self._refuse_background(value, key, entry.place)
        if is_shell_name(key):
            share = cpu_share(key, value)
            self._variables[key] = environment_text(key, value) if share is None else share
        self._warn_of_missing_script(key, value, entry.place)

    def _refuse_background(self, value: JobBlock, key: str, place: Place) -> None:
        for entry in entries_of(value):
            if self._names.scripts_of(entry.key)[1]:
                raise error_at(
                    place,
                    key,
                    f'names no script but holds one, "{shorten(entry.key)}"; a block that runs in the background is not '
                    f"supported, write its keys one level further out.{self._names.near(key)}",
                )
        if any(isinstance(inner, RoleBlock) for inner in value.statements):
            raise error_at(
                place, key, 'names no script but holds an "if role" block; write that one level further out.'
            )

    def _warn_of_missing_script(self, key: str, value: t.Any, place: Place) -> None:
        # Saved jobs have comments as keys that begin with ":#".
        if key in _DESCRIPTIONS or key in self._names.options or key.startswith(":#"):
            return
        plain = self._names.not_executable(key)
        if plain:
            # As a variable it would leave a run that is green and has tested nothing.
            raise error_at(
                place, key, f"names {plain}, which is not executable; chmod +x it, or give the key another name."
            )
        looks_like_one = value is None or isinstance(value, Block) or not is_shell_name(key)
        near = self._names.near(key, 0.6 if looks_like_one else 0.85)
        if not (looks_like_one or near):
            return
        fate = "exported as a variable" if is_shell_name(key) else "left out, as no variable can have that name either"
        self._warn(f"{place}: {shorten(key)}: no script of that name under {self._searched}; {fate}.{near}")

    def _call(self, use: _Use, kinds: t.Sequence[ScriptKind], by_script: _ByScript) -> None:
        key, value, place = use.entry.key, use.entry.value, use.entry.place
        for kind in kinds:
            for found in use.parts:
                if found.kind is not kind:
                    continue
                (script,) = self._meant([found])
                refuse_outside(script, place, key)
                own = self._parameters(value) if isinstance(value, JobBlock) else {}
                record: PlannedScript = {
                    "id": self._unique_id(f"{kind}-{use.shown}"),
                    "name": script.name,
                    "kind": str(kind),
                    "root": script.root,
                    "path": None if self._conditions else script.path,
                    "content": _guarded(script, self._conditions) if self._conditions else script.content,
                    "args": [] if isinstance(value, (JobBlock, list)) else arguments(value, place, key),
                    "env": {},
                    "cpu_shares": {},
                    "ready": by_script.ready.get(key, by_script.ready.get(script.name))
                    if _can_be_ready(kind)
                    else None,
                    "timeout": by_script.timeouts.get(key, by_script.timeouts.get(script.name)),
                }
                self.calls.append(_Call(record, dict(self._variables), own))

    def _parameters(self, block: JobBlock) -> dict[str, Variable]:
        """The parameters of one script; a mapping among them is flattened one level."""
        own: dict[str, Variable] = {}
        for statement in block.statements:
            key, value = statement.key, statement.value
            if isinstance(statement, RoleBlock):
                raise error_at(
                    statement.place, key, 'an "if role" block cannot stand among the parameters of a script.'
                )
            for name, item in value.items() if isinstance(value, JobBlock) else [(key, value)]:
                share = cpu_share(name, item)
                own[numbered_shell_name(name)] = environment_text(name, item) if share is None else share
        return own

    def _unique_id(self, wanted: str) -> str:
        unique, number = wanted, 1
        while unique in self._ids:
            number += 1
            unique = f"{wanted}-{number}"
        self._ids.add(unique)
        return unique

    def _by_script(self, block: JobBlock, around: _ByScript) -> _ByScript:
        """What is said of single scripts in a block, and around it."""
        ready, timeouts = dict(around.ready), dict(around.timeouts)
        for key, value, place in _said_of_scripts(block, "ready"):
            self._check_script_key(key, place, "ready", [kind for kind in ScriptKind if _can_be_ready(kind)])
            ready[key] = _ready(value, key, place)
        for key, value, place in _said_of_scripts(block, "timeout"):
            self._check_script_key(key, place, "timeout", list(ScriptKind))
            timeouts[key] = _seconds(value, key, place)
        return _ByScript(ready, timeouts)

    def _check_script_key(self, key: str, place: Place, setting: str, kinds: t.Sequence[ScriptKind]) -> None:
        scripts = self._names.scripts_of(key)[1]
        if not any(script.kind in kinds for script in scripts):
            what = " or ".join(kinds) if len(kinds) < len(ScriptKind) else "script"
            raise error_at(place, f"{setting}.{key}", f"no {what} of that name.{self._names.near(key)}")


def _can_be_ready(kind: ScriptKind) -> bool:
    return kind.properties.passes is Passes.WHEN_READY


def _said_of_scripts(block: JobBlock, key: str) -> t.Iterator[tuple[str, t.Any, Place]]:
    said = block.get(key)
    if isinstance(said, Block):
        for script, value in said.items():
            yield script, value, said.place_of(script)


def _guarded(script: FoundScript, conditions: t.Sequence[str]) -> str:
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
