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
from ansible_collections.lab.multidevice.plugins.module_utils._names import SHELL_NAME
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.blocks import (
    ConditionBlock,
    InlineScript,
    JobBlock,
    Parser,
    Statement,
    role_key,
    statement_of,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import check_role
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.scripts import KINDS_AS_SEARCHED
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

REFERENCE = re.compile(rf"<%=\s*({SHELL_NAME})\s*%>|\{{\{{\s*({SHELL_NAME})\s*\}}\}}")
_ROLE_KEY = re.compile(r"if\s+role(?:\s+(.*)|:.*)?", re.DOTALL)
_SCRIPT_KEY = re.compile(r"script(?:\s|\Z)")
_SHELL_LOOP = re.compile(r"(for|while|until)\s")
_SHELL_COMMAND = re.compile(r"(function|call|command|source)\s")


def read_job_documents(job_file: str, limits: Limits, include_folders: t.Sequence[str]) -> list[JobBlock]:
    """One mapping for each document: the first as it is, each later one merged, key by key, onto the first."""
    include = _Includer(job_file, limits, include_folders)
    documents: list[JobBlock] = []
    for content in load_documents(job_file, limits, include):
        if content is None:
            continue
        if not isinstance(content, Block):
            raise InputError(f"{job_file}: a job is a mapping of keys and values, not {kind_of(content)}.")
        documents.append(_checked(content, top=True))
    if not documents:
        raise InputError(f"{job_file}: the job file is empty.")
    return [documents[0]] + [_merged(documents[0], later) for later in documents[1:]]


def _merged(first: JobBlock, later: JobBlock) -> JobBlock:
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


def _checked(block: Block, top: bool = False) -> JobBlock:
    """The block with what its keys mean, those of roles in one spelling; constructs that are not supported are refused."""
    result = JobBlock(block.place)
    for key, value in block.items():
        place = block.place_of(key)
        of_role = _ROLE_KEY.fullmatch(key)
        if of_role:
            key = role_key(_role(key, of_role.group(1) or "", value, place))
            if key in result:
                first = result.place_of(key).line
                raise error_at(place, key, f"the key is there twice, first in line {first}; keep one of them.")
        else:
            _refuse_unsupported(statement_of(key, value, place), top)
        in_script = _SCRIPT_KEY.match(key) is not None
        result.put(key, _checked_value(value, key, place, in_script), place)
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


def _role(key: str, text: str, value: t.Any, place: Place) -> str:
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
    return role


def _refuse_unsupported(statement: Statement, top: bool) -> None:
    key, value, place = statement.key, statement.value, statement.place
    if "<%" in key or "{{" in key:
        raise unsupported_template(place, None, key)
    if top and key == "override" and isinstance(value, Block):
        raise error_at(place, key, "is not supported; write the values in the documents that they are meant for.")
    if key == "if-role":
        raise error_at(place, key, 'is not supported; put the script into an "if role X:" block.')
    if isinstance(statement, ConditionBlock) and (not statement.condition or "\n" in statement.condition):
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
    if _SCRIPT_KEY.match(key):
        _refuse_bad_inline(statement)
    if (
        isinstance(value, list)
        and len(re.findall(r"\w+", key)) > 1
        and re.fullmatch(r"\w+(?:\s*\|\s*\w+|\s+\w+)+", key)
    ):
        raise error_at(
            place, key, "parameters tied together are not supported; write one document for each combination."
        )


def _refuse_bad_inline(statement: Statement) -> None:
    key, value, place = statement.key, statement.value, statement.place
    if ".." in key or not isinstance(statement, (InlineScript, Parser)):
        *others, last = (kind.properties.folder for kind in KINDS_AS_SEARCHED)
        raise error_at(
            place,
            key,
            f'an inline script is written "script tests/NAME: |", with {", ".join(others)} or {last} before the name.',
        )
    if isinstance(statement, InlineScript) and not isinstance(value, str):
        raise error_at(place, key, f"expects the text of the script, not {kind_of(value)}.")
