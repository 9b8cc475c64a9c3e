# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the commands in lua/ together and writes the Python module that is shipped; ``--check`` says when it is stale.

A command is a file of lua/, what several need is in lua/includes/. ``-- @include NAME`` puts an include before what names
it, once, with what it includes itself. Ansible sends Python only to the machine that reaches Redis, hence the module.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
import sys
import typing as t

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "lua"
VOCABULARY = REPOSITORY / "plugins" / "module_utils" / "_vocabulary.py"
VOCABULARY_INCLUDE = FOLDER / "includes" / "vocabulary.lua"
MODULE = REPOSITORY / "plugins" / "module_utils" / "_coordination" / "_lua.py"

_INCLUDE = re.compile(r"-- @include (\S+)\n")
_HEAD = """
# Private to this collection: it can change in any release.

# Written by "make lua" from lua/: change it there.

from __future__ import annotations

"""


class LuaError(Exception):
    """A file of lua/ cannot be put together; the text says which and why."""


class File(t.NamedTuple):
    """A file of lua/: what it includes, and its code without comments before it."""

    name: str
    includes: list[str]
    code: str


def read(path: pathlib.Path) -> File:
    """A command or an include."""
    head, code = _split(path.read_text(encoding="utf-8"))
    return File(path.stem, _INCLUDE.findall(head), code)


def _split(text: str) -> tuple[str, str]:
    """The comments at the beginning of a file, in however many blocks, and the rest."""
    at = 0
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.startswith("--"):
            break
        at += len(line)
    # A comment right above the code belongs to it.
    lines = text[:at].splitlines(keepends=True)
    while lines and lines[-1].startswith("--") and not _INCLUDE.match(lines[-1]):
        at -= len(lines.pop())
    return text[:at], text[at:]


def commands(folder: pathlib.Path = FOLDER) -> list[File]:
    """All commands, by name."""
    return [read(path) for path in sorted(folder.glob("*.lua"))]


def parts_of(command: File, folder: pathlib.Path = FOLDER) -> list[str]:
    """The includes of a command, each after those that it needs itself.

    :raises LuaError: there is no such include, or includes include one another.
    """
    found: list[str] = []

    def visit(name: str, by: t.Sequence[str]) -> None:
        if name in by:
            raise LuaError(f"lua/includes/{name}.lua includes itself: {' → '.join([*by[by.index(name) :], name])}")
        path = folder / "includes" / f"{name}.lua"
        if not path.is_file():
            where = f"includes/{by[-1]}" if by else command.name
            raise LuaError(f"lua/{where}.lua includes {name}, and there is no lua/includes/{name}.lua")
        if name not in found:
            for inner in read(path).includes:
                visit(inner, [*by, name])
            found.append(name)

    for name in command.includes:
        visit(name, [])
    return found


def pieces_of(command: File, folder: pathlib.Path = FOLDER) -> list[File]:
    """The files whose code is put together: the includes, then the command."""
    return [*(read(folder / "includes" / f"{name}.lua") for name in parts_of(command, folder)), command]


def assembled(command: File, folder: pathlib.Path = FOLDER) -> str:
    """The text of a command as Redis gets it."""
    return "\n".join(piece.code for piece in pieces_of(command, folder))


def module_text(folder: pathlib.Path = FOLDER) -> str:
    """The Python module with all commands. What they share stands in it once."""
    every = commands(folder)
    used = dict.fromkeys(name for command in every for name in parts_of(command, folder))
    lines = [_licence("#"), _HEAD, "INCLUDES = {\n"]
    for name in used:
        lines.append(f'    "{name}": """\\\n{_quoted(read(folder / "includes" / f"{name}.lua").code)}""",\n')
    lines.append("}\n\n# name → includes, code\nCOMMANDS = {\n")
    for command in every:
        lines.append(f'    "{command.name}": (\n        {_tuple(parts_of(command, folder))},\n')
        lines.append(f'        """\\\n{_quoted(command.code)}""",\n    ),\n')
    return "".join([*lines, "}\n"])


def _licence(comment: str) -> str:
    """That of this file, as a comment of another language."""
    lines = pathlib.Path(__file__).read_text(encoding="utf-8").splitlines()[:3]
    return "".join(f"{comment}{line[1:]}\n" for line in lines)


def _tuple(names: t.Sequence[str]) -> str:
    """As the formatter wants it."""
    quoted = [f'"{name}",' for name in names]
    if len(names) < 2:
        return f"({''.join(quoted)})"
    return "\n            ".join(["(", *quoted]) + "\n        )"


def _quoted(code: str) -> str:
    return code.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def vocabulary_text() -> str:
    """The words that Lua needs, from the one place where they are defined."""
    spec = importlib.util.spec_from_file_location("vocabulary", VOCABULARY)
    assert spec is not None and spec.loader is not None
    vocabulary = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = vocabulary
    spec.loader.exec_module(vocabulary)
    ranks = ", ".join(f"{state} = {state.rank}" for state in vocabulary.State)
    barriers = ", ".join(f"{barrier} = true" for barrier in vocabulary.Barrier)
    return (
        _licence("--")
        + '\n-- Written by "make lua" from plugins/module_utils/_vocabulary.py: change it there.\n\n'
        + f"local RANK = {{{ranks}}}\nlocal CORE = {{{barriers}}}\n"
    )


def main() -> int:
    """Write what is generated, or say what is stale."""
    check = sys.argv[1:] == ["--check"]
    try:
        stale = []
        for path, text in ((VOCABULARY_INCLUDE, vocabulary_text), (MODULE, module_text)):
            wanted = text()
            if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
                stale.append(str(path.relative_to(REPOSITORY)))
                if not check:
                    path.write_text(wanted, encoding="utf-8")
    except LuaError as error:
        print(error, file=sys.stderr)
        return 1
    if check and stale:
        print(f'not what lua/ says: {", ".join(stale)}; run "make lua"', file=sys.stderr)
        return 1
    for name in stale:
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
