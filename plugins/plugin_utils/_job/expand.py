# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Turns the documents of a job file into runs: parameters that were given, lists that expand, references."""

from __future__ import annotations

import itertools
import re
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import is_script_name
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.blocks import (
    Data,
    Entry,
    InlineScript,
    JobBlock,
    Parser,
    Statement,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.job_file import REFERENCE
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.scripts import FoundScript, InlineScripts, Library
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.values import plain_text
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import (
    Limits,
    Place,
    did_you_mean,
    error_at,
    kind_of,
    resolve_plain,
    shorten,
)

Path = tuple[Statement, ...]
_MAX_COMPARED = 200


class PlacedEntry(t.NamedTuple):
    """An entry, wherever in the job it stands: the blocks around it from outside in, then itself."""

    path: Path

    @property
    def key(self) -> str:
        return self.path[-1].key

    @property
    def value(self) -> t.Any:
        return self.path[-1].value

    @property
    def place(self) -> Place:
        return self.path[-1].place

    @property
    def dotted(self) -> str:
        return ".".join(statement.shown for statement in self.path)


def entries_of(block: JobBlock, above: Path = ()) -> t.Iterator[PlacedEntry]:
    for statement in block.statements:
        if isinstance(statement, Data):
            continue
        path = (*above, statement)
        if isinstance(statement, Entry):
            yield PlacedEntry(path)
        if isinstance(statement.value, JobBlock):
            yield from entries_of(statement.value, path)


class Names:
    """What the keys of one document mean: scripts of the trees, scripts of the job itself, options of both."""

    def __init__(self, block: JobBlock, library: Library) -> None:
        self._library = library
        self._near: dict[tuple[str, float], str] = {}
        self._inline = InlineScripts()
        self.options: set[str] = set()
        self._find_inline(block, library)
        for entry in entries_of(block):
            for script in self.scripts_of(entry.key)[1]:
                self._declare(script, library)

    def _declare(self, script: FoundScript, library: Library) -> None:
        # Options of others do not change what is tested, so their lists make no runs.
        if script.kind.properties.is_tested:
            self.options |= library.options(script)

    def _find_inline(self, block: JobBlock, library: Library) -> None:
        for statement in block.statements:
            if isinstance(statement, InlineScript):
                script = self.script_of(statement)
                self._inline.add(script)
                self._declare(script, library)
            elif isinstance(statement.value, JobBlock) and not isinstance(statement, Data):
                self._find_inline(statement.value, library)

    def script_of(self, inline: InlineScript) -> FoundScript:
        """The script that the job file gives the text of."""
        return FoundScript(inline.name, inline.kind, self._library.home, None, inline.value)

    def near(self, key: str, cutoff: float = 0.6) -> str:
        """Scripts that may have been meant. To compare names is slow, so that a file of nothing else is not helped."""
        if (key, cutoff) not in self._near:
            if len(self._near) >= _MAX_COMPARED:
                return ""
            self._near[key, cutoff] = did_you_mean(key, self._library.names | self._inline.names, cutoff)
        return self._near[key, cutoff]

    def not_executable(self, key: str) -> str | None:
        """The file that the key would name as a script if it could be executed."""
        return self._library.not_executable(key)

    def scripts_of(self, key: str) -> tuple[str, list[FoundScript]]:
        """The name that results of the key are kept under, and the script that it names: none, one, or its parts.

        Inline scripts of one name are parts too; which of them is meant, depends on where the key stands.
        """
        prefix, dot, name = key.partition(".")
        kind = ScriptKind.of_prefix(prefix) if dot else None
        if kind is not None:
            parts = [script for script in self._find(name) if script.kind is kind]
            if parts:
                return name, parts
        return key, self._find(key)

    def _find(self, key: str) -> list[FoundScript]:
        for name in (key, re.sub(r"-[0-9]+\Z", "", key)):
            scripts = self._inline.find(name) or self._library.find(name)
            if scripts:
                return scripts
        return []

    def expands(self, key: str) -> bool:
        # As with their options: a list at a monitor's key does not change what is tested.
        return key in self.options or any(script.kind.properties.is_tested for script in self.scripts_of(key)[1])


class Run(t.NamedTuple):
    block: JobBlock
    params: dict[str, t.Any]
    names: Names


def expand(
    documents: t.Sequence[JobBlock],
    library: Library,
    params: dict[str, t.Any],
    limits: Limits,
    warn: t.Callable[[str], None],
) -> list[Run]:
    runs: list[Run] = []
    for block in apply_params(documents, library, params, warn):
        if len(runs) >= limits.runs:
            raise _too_many_runs(block.place, limits)
        names = Names(block, library)
        for expanded, values in _products(block, names, params, limits.runs - len(runs), limits):
            runs.append(Run(_with_references(expanded), values, names))
    return runs


def _products(
    block: JobBlock, names: Names, params: dict[str, t.Any], room: int, limits: Limits
) -> t.Iterator[tuple[JobBlock, dict[str, t.Any]]]:
    lists = [entry for entry in entries_of(block) if isinstance(entry.value, list) and names.expands(entry.key)]
    count = 1
    for entry in lists:
        count *= max(1, len(entry.value))
        if count > room:
            raise _too_many_runs(entry.place, limits)
    keys = [entry.key for entry in lists]
    labels = [entry.key if keys.count(entry.key) == 1 else entry.dotted for entry in lists]
    given = {name: value for name, value in params.items() if not any(_is_named(entry, name) for entry in lists)}
    for values in itertools.product(*([*entry.value] or [None] for entry in lists)):
        result = block
        for entry, value in zip(lists, values, strict=True):
            result = _replaced(result, entry.path, value)
        yield result, {**dict(zip(labels, values, strict=True)), **given}


def _too_many_runs(place: Place, limits: Limits) -> InputError:
    return InputError(
        f"{place}: the parameter lists and documents of the job make more than {limits.runs} runs; "
        "shorten them, or pick values with params."
    )


def _replaced(block: JobBlock, path: Path, value: t.Any) -> JobBlock:
    result = block.clone()
    changed, *rest = path
    result.put(changed.key, _replaced(block[changed.key], tuple(rest), value) if rest else value, changed.place)
    return result


def apply_params(
    documents: t.Sequence[JobBlock], library: Library, params: dict[str, t.Any], warn: t.Callable[[str], None]
) -> list[JobBlock]:
    """Picks values from the lists that offer them; sets them everywhere where no list does."""
    blocks = list(documents)
    for name, value in params.items():
        wanted = _as_list(value)
        if not is_script_name(name):
            raise InputError(f'params "{shorten(name)}": this is no name of a parameter; write name=value.')
        if any(isinstance(item, (dict, list)) or "\0" in str(item) for item in wanted):
            raise InputError(f'params "{shorten(name)}": expects a text or a list of texts, not {kind_of(value)}.')
        picked = [_picked(block, library, name, wanted) for block in blocks]
        if not any(picked):
            if not any(_entries_named(block, name) for block in blocks):
                known = {entry.key for block in blocks for entry in entries_of(block)}
                warn(f'params: the job has no "{shorten(name)}"; set as a variable.{did_you_mean(name, known)}')
            picked = [_overridden(block, library, name, value) for block in blocks]
        blocks = [block for block in picked if block is not None]
    return blocks


def _entries_named(block: JobBlock, name: str) -> list[PlacedEntry]:
    return [entry for entry in entries_of(block) if _is_named(entry, name)]


def _is_named(entry: PlacedEntry, name: str) -> bool:
    """Whether test, netperf.test or client.netperf.test means this entry."""
    return f".{entry.dotted}".endswith(f".{name}")


def _picked(block: JobBlock, library: Library, name: str, wanted: t.Sequence[t.Any]) -> JobBlock | None:
    """The document with only the wanted values of that name left; None if it offers none of them."""
    names = Names(block, library)
    texts = {plain_text(item) for item in wanted}
    result: JobBlock | None = None
    for entry in _entries_named(block, name):
        if isinstance(entry.value, list):
            offered = [item for item in entry.value if plain_text(item) in texts] if names.expands(entry.key) else []
        else:
            offered = (
                [entry.value] if plain_text(entry.value) in texts and not isinstance(entry.value, JobBlock) else []
            )
        if offered:
            result = _replaced(result or block, entry.path, offered if isinstance(entry.value, list) else offered[0])
    return result


def _overridden(block: JobBlock, library: Library, name: str, value: t.Any) -> JobBlock:
    names = Names(block, library)
    items = [resolve_plain(item) if isinstance(item, str) else item for item in _as_list(value)]
    single = items if isinstance(value, list) else items[0]
    entries = _entries_named(block, name)
    set_here = {id(entry.path[-1]) for entry in entries}
    result = block
    for entry in entries:
        # What stands in a value that is replaced goes with it.
        if set_here.isdisjoint(map(id, entry.path[:-1])):
            result = _replaced(result, entry.path, items if names.expands(entry.key) else single)
    if not entries:
        result = block.clone()
        result.put(name, single, Place("params", 0))
    return result


def _as_list(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else [value]


def _with_references(block: JobBlock) -> JobBlock:
    if not _holds_reference(block):
        return block
    return t.cast(JobBlock, _resolved(block, block, "", block.place, False))


def _holds_reference(value: t.Any) -> bool:
    if isinstance(value, str):
        return "{{" in value or "<%" in value
    if isinstance(value, dict):
        return any(_holds_reference(item) for item in value.values())
    return isinstance(value, list) and any(_holds_reference(item) for item in value)


def _resolved(value: t.Any, job: JobBlock, key: str, place: Place, in_script: bool) -> t.Any:
    if isinstance(value, JobBlock):
        result = JobBlock(value.place)
        for inner in value.statements:
            holds_script = isinstance(inner, (InlineScript, Parser))
            result.put(inner.key, _resolved(inner.value, job, inner.key, inner.place, holds_script), inner.place)
        return result
    if isinstance(value, list):
        return [_resolved(item, job, key, place, in_script) for item in value]
    if isinstance(value, str):
        return _resolved_text(value, job, key, place, in_script)
    return value


def _resolved_text(text: str, job: JobBlock, key: str, place: Place, in_script: bool) -> str:
    def replacement(match: re.Match[str]) -> str:
        if in_script and match.group(2) is not None:
            return match.group()
        name = match.group(1) or match.group(2)
        value = job.get(name)
        if name not in job or isinstance(value, (dict, list)) or _holds_reference(value):
            raise error_at(place, key, f'"{match.group()}" refers to "{name}", which is no plain value of the job.')
        return plain_text(value)

    return REFERENCE.sub(replacement, text)
