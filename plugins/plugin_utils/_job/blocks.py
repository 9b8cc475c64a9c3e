# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The blocks of a job: each key is a statement, whose type says what it means. Only this file tells that by the key."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._names import SCRIPT_NAME
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import Block, Place

# Keys whose mappings are data of other tools, or ours; nothing in them is a script or a parameter.
_DATA = frozenset(("cluster_spec", "define_files", "monitors", "pp"))
# Ours when they hold a mapping by script; a plain value under the same name is a variable like any other.
_DATA_BY_SCRIPT = frozenset(("ready", "timeout"))
_INLINE_KEY = re.compile(rf"script\s+([a-z]+)/(?:{SCRIPT_NAME}/)*({SCRIPT_NAME})")
_PARSER_KEY = re.compile(r"script\s+stats/\S+")
_CONDITION_KEY = re.compile(r"if\s")
_ROLE_START = "if role "


@dataclass(frozen=True, slots=True)
class Statement:
    """A key of a block and its value."""

    key: str
    value: t.Any
    place: Place

    @property
    def shown(self) -> str:
        """What stands for it in the name of a parameter within it."""
        return self.key


class Entry(Statement):
    """A script with its parameters, one of these parameters, or a variable: the script trees say which."""

    __slots__ = ()


class Data(Statement):
    """What is no variable and no script, and holds none: what other tools read, and what is ours."""

    __slots__ = ()


class Parser(Data):
    """The text of a script that makes numbers of the results, elsewhere."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class InlineScript(Statement):
    """The text of a script, which entries can name."""

    kind: ScriptKind
    name: str


@dataclass(frozen=True, slots=True)
class RoleBlock(Statement):
    """What is for the nodes of one role; its value is a block or nothing."""

    role: str

    @property
    def shown(self) -> str:
        """The role alone."""
        return self.role


@dataclass(frozen=True, slots=True)
class ConditionBlock(Statement):
    """What is for nodes where a shell condition holds, which only they can tell; its value is a block or nothing."""

    condition: str


class JobBlock(Block):
    """A mapping of a job, with what its keys mean."""

    __slots__ = ("_statements",)

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._statements: dict[str, Statement] = {}

    @property
    def statements(self) -> t.Iterable[Statement]:
        """The keys in the order of the file."""
        return self._statements.values()

    @property
    def roles(self) -> dict[str, RoleBlock]:
        """The blocks of roles that stand right here, by role."""
        return {statement.role: statement for statement in self.statements if isinstance(statement, RoleBlock)}

    def put(self, key: str, value: t.Any, place: Place) -> None:
        """Set a key, which has its meaning from then on."""
        super().put(key, value, place)
        self._statements[key] = statement_of(key, value, place)

    def clone(self) -> JobBlock:
        """The same with the same values, to be changed."""
        other = JobBlock(self.place)
        other.update(self)
        other.places.update(self.places)
        other._statements.update(self._statements)
        return other


def role_key(role: str) -> str:
    """The one spelling of the key of a role's block."""
    return _ROLE_START + role


def statement_of(key: str, value: t.Any, place: Place) -> Statement:
    """What a key means, with this value. Keys of roles have their one spelling by now."""
    if _PARSER_KEY.fullmatch(key):
        return Parser(key, value, place)
    if key in _DATA or (key in _DATA_BY_SCRIPT and isinstance(value, Block)):
        return Data(key, value, place)
    inline = _INLINE_KEY.fullmatch(key)
    kind = ScriptKind.of_folder(inline.group(1)) if inline else None
    if inline and kind:
        return InlineScript(key, value, place, kind, inline.group(2))
    if key.startswith(_ROLE_START):
        return RoleBlock(key, value, place, key.removeprefix(_ROLE_START))
    if _CONDITION_KEY.match(key) and (value is None or isinstance(value, Block)):
        return ConditionBlock(key, value, place, key[len("if") :].strip().rstrip(": \t"))
    return Entry(key, value, place)
