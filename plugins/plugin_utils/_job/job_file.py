# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Job files as they are written: documents, includes, the meaning of keys, and what is refused."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import check_role
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.scripts import KIND_OF_FOLDER
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import (
    Block,
    Limits,
    Place,
    error_at,
    kind_of,
    load_documents,
    shorten,
    unsupported_template,
)

# Keys whose mappings are data of other tools, or ours; nothing in them is a script or a parameter.
SETTINGS = frozenset(("cluster_spec", "define_files", "monitors", "pp"))
# Ours when they hold a mapping by script; a plain value under the same name is a variable like any other.
SCRIPT_SETTINGS = frozenset(("ready", "timeout"))
REFERENCE = re.compile(r"<%=\s*([A-Za-z_][A-Za-z0-9_]*)\s*%>|\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_ROLE_KEY = re.compile(r"if\s+role(?:\s+(.*)|:.*)?", re.DOTALL)
_INLINE_KEY = re.compile(r"script\s+([a-z]+)/((?:[A-Za-z0-9_][A-Za-z0-9_.+-]*/)*)([A-Za-z0-9_][A-Za-z0-9_.+-]*)")
_SCRIPT_KEY = re.compile(r"script(?:\s|\Z)")
_IGNORED_INLINE = re.compile(r"script\s+stats/\S+")
_CONDITION_KEY = re.compile(r"if\s")
_SHELL_LOOP = re.compile(r"(for|while|until)\s")
_SHELL_COMMAND = re.compile(r"(function|call|command|source)\s")


def role_of(key: str) -> str | None:
    """The X of "if role X"; None for another key. Keys have been through `read_job_documents`."""
    return key[len("if role ") :] if key.startswith("if role ") else None


def condition_of(key: str, value: t.Any) -> str | None:
    """The shell condition of an "if <condition>" block, which only the node that runs its scripts can evaluate."""
    if role_of(key) is None and _CONDITION_KEY.match(key) and (value is None or isinstance(value, Block)):
        return key[len("if") :].strip().rstrip(": \t")
    return None


class InlineScript(t.NamedTuple):
    kind: str
    name: str


def is_script_text(key: str) -> bool:
    """Whether the value of a key is the text of a script, or would be if the key were written well."""
    return _SCRIPT_KEY.match(key) is not None


def inline_script_of(key: str) -> InlineScript | None:
    match = _INLINE_KEY.fullmatch(key)
    if match is None or match.group(1) not in KIND_OF_FOLDER:
        return None
    return InlineScript(KIND_OF_FOLDER[match.group(1)], match.group(3))


def is_ignored(key: str, value: t.Any) -> bool:
    """Whether a key is no variable and no script: settings of ours, and what is made of the results elsewhere."""
    if key in SETTINGS or _IGNORED_INLINE.fullmatch(key):
        return True
    return key in SCRIPT_SETTINGS and isinstance(value, Block)


def read_job_documents(job_file: str, limits: Limits, include_folders: t.Sequence[str]) -> list[Block]:
    """One mapping for each document: the first as it is, each later one merged, key by key, onto the first."""
    include = _Includer(job_file, limits, include_folders)
    documents: list[Block] = []
    for content in load_documents(job_file, limits, include):
        if content is None:
            continue
        if not isinstance(content, Block):
            raise InputError(f"{job_file}: a job is a mapping of keys and values, not {kind_of(content)}.")
        documents.append(_checked(content, top=True))
    if not documents:
        raise InputError(f"{job_file}: the job file is empty.")
    return [documents[0]] + [_merged(documents[0], later) for later in documents[1:]]


def _merged(first: Block, later: Block) -> Block:
    result = first.clone()
    for key in later:
        result.put(key, later[key], later.place_of(key))
    return result


class _Includer:
    """Answers `<< : file`: the file beside the one that names it, or in jobs/ or the top of a script tree."""

    def __init__(self, job_file: str, limits: Limits, folders: t.Sequence[str]) -> None:
        self._limits = limits
        self._folders = [os.path.realpath(folder) for folder in folders]
        self._job_folder = os.path.realpath(os.path.dirname(job_file) or ".")
        self._count = 0
        self._open: list[str] = []

    def __call__(self, name: str, place: Place) -> Block:
        path = self._find(name, place)
        self._count += 1
        if path in self._open or len(self._open) >= self._limits.include_depth:
            raise error_at(place, "<<", f'the file "{shorten(name)}" includes itself, or is included too deep.')
        if self._count > self._limits.includes:
            raise error_at(place, "<<", f"more than {self._limits.includes} files are included.")
        self._open.append(path)
        try:
            documents = [document for document in load_documents(path, self._limits, self) if document is not None]
        finally:
            self._open.pop()
        if not documents:
            return Block(Place(path, 0))
        if len(documents) > 1 or not isinstance(documents[0], Block):
            raise error_at(place, "<<", f'the file "{shorten(name)}" must hold one mapping of keys and values.')
        return documents[0]

    def _find(self, name: str, place: Place) -> str:
        beside = os.path.dirname(self._open[-1]) if self._open else self._job_folder
        searched = [beside]
        for folder in self._folders:
            searched += [os.path.join(folder, "jobs"), folder]
        if not os.path.isabs(name) and "\0" not in name:
            for folder in searched:
                path = os.path.realpath(os.path.join(folder, name))
                inside = any(os.path.commonpath([path, root]) == root for root in [self._job_folder, *self._folders])
                if inside and os.path.isfile(path):
                    return path
        raise error_at(
            place, "<<", f'no file "{shorten(name)}" to include: it must lie in {" or ".join(dict.fromkeys(searched))}.'
        )


def _checked(block: Block, top: bool = False) -> Block:
    """The block with its role keys in one spelling; constructs that are not supported are refused."""
    result = Block(block.place)
    for key, value in block.items():
        place = block.place_of(key)
        role_key = _ROLE_KEY.fullmatch(key)
        if role_key:
            key = _role_key(key, role_key.group(1) or "", value, place)
            if key in result:
                first = result.place_of(key).line
                raise error_at(place, key, f"the key is there twice, first in line {first}; keep one of them.")
        else:
            _refuse_unsupported(key, value, place, top)
        result.put(key, _checked_value(value, key, place, is_script_text(key)), place)
    return result


def _checked_value(value: t.Any, key: str, place: Place, in_script: bool) -> t.Any:
    if isinstance(value, Block):
        return _checked(value)
    if isinstance(value, list):
        return [_checked_value(item, key, place, in_script) for item in value]
    if isinstance(value, str) and ("<%" in value or ("{{" in value and not in_script)):
        rest = REFERENCE.sub("", value)
        if "<%" in rest or ("{{" in rest and not in_script):
            raise unsupported_template(place, key, value)
    return value


def _role_key(key: str, text: str, value: t.Any, place: Place) -> str:
    role = text.strip().rstrip(": \t")
    if not role:
        raise error_at(place, key, 'the role is missing; write "if role server:".')
    if len(role.split()) > 1:
        raise error_at(
            place,
            key,
            f'"{shorten(role)}" is one name here, and no role has spaces; write one "if role" block for each role.',
        )
    check_role(role, place, key)
    if value is not None and not isinstance(value, Block):
        raise error_at(place, key, f"expects the scripts and variables of the role as a mapping, not {kind_of(value)}.")
    return f"if role {role}"


def _refuse_unsupported(key: str, value: t.Any, place: Place, top: bool) -> None:
    if "<%" in key or "{{" in key:
        raise unsupported_template(place, None, key)
    if top and key == "override" and isinstance(value, Block):
        raise error_at(place, key, "is not supported; write the values in the documents that they are meant for.")
    if key == "if-role":
        raise error_at(place, key, 'is not supported; put the script into an "if role X:" block.')
    condition = condition_of(key, value)
    if condition is not None and (not condition or "\n" in condition):
        raise error_at(
            place, key, 'the condition must be one line of shell; write "if role server:" or "if [ -e /file ]:".'
        )
    loop = _SHELL_LOOP.match(key)
    if loop and (value is None or isinstance(value, Block)):
        raise error_at(place, key, f'a shell "{loop.group(1)}" is not supported; put the loop into the script.')
    command = _SHELL_COMMAND.match(key)
    if command:
        raise error_at(
            place,
            key,
            f'"{command.group(1)}" is not supported; write the commands as a "script tests/NAME: |" and run "NAME:".',
        )
    if is_script_text(key):
        _refuse_bad_inline(key, value, place)
    if (
        isinstance(value, list)
        and len(re.findall(r"\w+", key)) > 1
        and re.fullmatch(r"\w+(?:\s*\|\s*\w+|\s+\w+)+", key)
    ):
        raise error_at(
            place, key, "parameters tied together are not supported; write one document for each combination."
        )


def _refuse_bad_inline(key: str, value: t.Any, place: Place) -> None:
    if _IGNORED_INLINE.fullmatch(key) and ".." not in key:
        return
    if inline_script_of(key) is None or ".." in key:
        raise error_at(
            place,
            key,
            'an inline script is written "script tests/NAME: |", with setup, daemon, tests or monitors before the name.',
        )
    if not isinstance(value, str):
        raise error_at(place, key, f"expects the text of the script, not {kind_of(value)}.")
