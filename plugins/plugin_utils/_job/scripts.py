# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Finds a script by its name, in the older and the newer layout of a script tree. Nothing found is ever executed."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import is_script_name
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import Place, error_at

# Where a name is that of several scripts of a tree, one that is tested goes before one that looks on.
KINDS_AS_SEARCHED = sorted(ScriptKind, key=lambda kind: not kind.properties.is_tested)
_PROGRAM_FILES = [(kind, file) for kind in KINDS_AS_SEARCHED for file in kind.properties.program_files]
# What the folders hold besides scripts: descriptions, and the wrapper that the original starts scripts with.
_NOT_A_SCRIPT = re.compile(r"wrapper|.*\.ya?ml|.*\.[0-9]+")
_OPTION = re.compile(r"# [-=] ([A-Za-z0-9_.-]+)\s*")
_HEADER_BYTES = 64 * 1024
_MAX_ENTRIES = 200_000


class FoundScript(t.NamedTuple):
    """A script that can be run: a file of a script tree, or the content that the job file gives it."""

    name: str
    kind: ScriptKind
    root: str | None
    path: str | None
    content: str | None = None


class InlineScripts:
    """Scripts that a job gives the text of. Later ones go before earlier ones, and replace those of their own kind."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[ScriptKind, FoundScript]] = {}

    def add(self, script: FoundScript) -> None:
        of_name = self._by_name.setdefault(script.name, {})
        of_name.pop(script.kind, None)
        of_name[script.kind] = script

    @property
    def names(self) -> t.AbstractSet[str]:
        return self._by_name.keys()

    def find(self, name: str) -> list[FoundScript]:
        """One of each kind, in the order in which they have been added."""
        return list(self._by_name.get(name, {}).values())


class ScriptTree:
    """One folder that holds daemon/ tests/ setup/ monitors/ or programs/."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._scripts: dict[str, list[FoundScript]] | None = None
        self._not_executable: dict[str, str] = {}

    @property
    def scripts(self) -> dict[str, list[FoundScript]]:
        if self._scripts is None:
            try:
                self._scripts = self._index()
            except OSError as exc:
                raise InputError(
                    f"{exc.filename or self.root}: cannot be searched for scripts: {exc.strerror}."
                ) from exc
        return self._scripts

    def not_executable(self, name: str) -> str | None:
        """The file that would be the script of that name if it could be executed."""
        return None if name in self.scripts else self._not_executable.get(name)

    def _index(self) -> dict[str, list[FoundScript]]:
        found: dict[str, list[FoundScript]] = {}
        for kind in KINDS_AS_SEARCHED:
            for path in self._files(os.path.join(self.root, kind.properties.folder)):
                name = os.path.basename(path)
                if not is_script_name(name) or _NOT_A_SCRIPT.fullmatch(name):
                    continue
                if not os.access(path, os.X_OK):
                    self._not_executable.setdefault(name, path)
                elif name not in found:
                    found[name] = [self._script(name, kind, path)]
        for name, parts in self._programs():
            found[name] = parts
        return found

    def _files(self, folder: str) -> t.Iterator[str]:
        budget = _MAX_ENTRIES
        for parent, folders, files in os.walk(folder):
            budget -= len(files) + len(folders)
            if budget < 0:
                raise InputError(f"{folder}: more than {_MAX_ENTRIES} files; this is no folder of scripts.")
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = os.path.join(parent, name)
                if os.path.isfile(path):
                    yield path

    def _programs(self) -> t.Iterator[tuple[str, list[FoundScript]]]:
        folder = os.path.join(self.root, "programs")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if not is_script_name(name):
                continue
            parts: dict[ScriptKind, FoundScript] = {}
            for kind, file in _PROGRAM_FILES:
                path = os.path.join(folder, name, file)
                if kind in parts or not os.path.isfile(path):
                    continue
                if os.access(path, os.X_OK):
                    parts[kind] = self._script(name, kind, path)
                else:
                    self._not_executable.setdefault(name, path)
            if parts:
                yield name, list(parts.values())

    def _script(self, name: str, kind: ScriptKind, path: str) -> FoundScript:
        return FoundScript(name, kind, self.root, os.path.relpath(path, self.root))


class Library:
    """All script trees in the order in which they are searched: the job's own folder, then the others."""

    def __init__(self, job_folder: str, script_paths: t.Sequence[str]) -> None:
        roots = dict.fromkeys(map(os.path.realpath, (job_folder, *script_paths)))
        self._all_trees = [ScriptTree(root) for root in roots]
        self._job_folder = os.path.realpath(job_folder)
        self._trees = [tree for tree in self._all_trees if tree.scripts]
        self.searched = list(roots)
        self._options: dict[tuple[str | None, str | None], frozenset[str]] = {}

    @property
    def roots(self) -> list[str]:
        return [tree.root for tree in self._trees]

    @property
    def home(self) -> str | None:
        """The tree that an inline script is taken to be in, so that it finds the helpers there: the first of others."""
        others = [root for root in self.roots if root != self._job_folder] or self.roots
        return others[0] if others else None

    @property
    def names(self) -> set[str]:
        return {name for tree in self._trees for name in tree.scripts}

    def find(self, name: str) -> list[FoundScript]:
        """The parts of the script of that name: one in the older layout, one or more in the newer one."""
        for tree in self._trees:
            if name in tree.scripts:
                return tree.scripts[name]
        return []

    def not_executable(self, name: str) -> str | None:
        """The first file that would be the script of that name if it could be executed."""
        return next(filter(None, (tree.not_executable(name) for tree in self._all_trees)), None)

    def options(self, script: FoundScript) -> frozenset[str]:
        """The options that a script declares in its header."""
        if script.content is not None:
            return header_options(script.content)
        key = (script.root, script.path)
        if key not in self._options:
            path = os.path.join(script.root or "", script.path or "")
            try:
                with open(path, "rb") as handle:
                    self._options[key] = header_options(handle.read(_HEADER_BYTES).decode("utf-8", "replace"))
            except OSError as exc:
                raise InputError(f"{path}: the script cannot be read: {exc.strerror}.") from exc
        return self._options[key]


def header_options(text: str) -> frozenset[str]:
    options = set()
    for number, line in enumerate(text.split("\n")):
        line = line.rstrip("\r")
        if not line and number:
            break
        match = _OPTION.fullmatch(line)
        if match:
            options.add(match.group(1))
    return frozenset(options)


def refuse_outside(script: FoundScript, place: Place, key: str) -> None:
    """A link that leads out of the tree would not be there on a node."""
    if script.root is None or script.path is None:
        return
    real = os.path.realpath(os.path.join(script.root, script.path))
    if os.path.commonpath([real, script.root]) != script.root:
        raise error_at(
            place, key, f"the script {script.path} leads out of its folder {script.root}; put the script itself there."
        )
