# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs luacheck over each command of lua/ as Redis gets it, and tells of the files that the text comes from.

What an include defines and one command does not use, another one may. An include of which a command uses nothing at all is
an error, and so is an unused local of a command or within a function.
"""

from __future__ import annotations

import collections
import pathlib
import re
import subprocess
import sys
import tempfile
import typing as t

import lua

_WARNING = re.compile(r"(?P<path>.+?):(?P<line>\d+):\d+: \((?P<code>\w+)\) (?P<text>.*)")
_DEFINED = re.compile(r"local (?:function )?([\w, ]+?)(?:\(| =|$)")
_UNUSED = re.compile(r"unused (?:function|variable) '(\w+)'")


def problems(folder: pathlib.Path) -> list[str]:
    """What is wrong, each once."""
    commands = lua.commands(folder)
    found: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for command in commands:
            pathlib.Path(scratch, f"{command.name}.lua").write_text(lua.assembled(command, folder), encoding="utf-8")
        said = warnings(pathlib.Path(scratch), lua.REPOSITORY / ".luacheckrc")
    unused: dict[tuple[str, str], bool] = {}
    for command in commands:
        pieces = lua.pieces_of(command, folder)
        here = unused_of_includes(pieces, said[command.name])
        found |= dict.fromkeys(problems_of(pieces, said[command.name], here))
        for piece in pieces[:-1]:
            for name in defined_in(piece):
                unused[piece.name, name] = unused.get((piece.name, name), True) and name in here[piece.name]
    found |= dict.fromkeys(
        f"lua/includes/{file}.lua: nothing uses {name}" for (file, name), is_so in unused.items() if is_so
    )
    return list(found)


def warnings(folder: pathlib.Path, settings: pathlib.Path) -> dict[str, list[tuple[int, str, str]]]:
    """What luacheck says: of each file's stem, line, code and text."""
    command = ["luacheck", "--config", str(settings), "--codes", "--formatter=plain", "--no-cache", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = collections.defaultdict(list)
    for line in answer.stdout.splitlines():
        parts = _WARNING.match(line)
        if not parts:
            raise SystemExit(f"luacheck says {line}")
        found[pathlib.Path(parts["path"]).stem].append((int(parts["line"]), parts["code"], parts["text"]))
    if answer.returncode > 2 or (answer.returncode and not found):
        raise SystemExit(f"luacheck ended with {answer.returncode}: {answer.stderr}")
    return found


def unused_of_includes(pieces: list[lua.File], said: list[tuple[int, str, str]]) -> dict[str, set[str]]:
    """What each include of a command defines and the command does not use."""
    unused: dict[str, set[str]] = collections.defaultdict(set)
    for number, _code, text in said:
        piece, line = whence(pieces, number)
        name = _UNUSED.match(text)
        if name and is_shared(piece, pieces, line):
            unused[piece.name].add(name[1])
    return unused


def is_shared(piece: lua.File, pieces: list[lua.File], line: str) -> bool:
    """Whether a line defines something for others."""
    return piece is not pieces[-1] and line.startswith("local ")


def problems_of(
    pieces: list[lua.File], said: list[tuple[int, str, str]], unused: t.Mapping[str, set[str]]
) -> list[str]:
    """What is wrong in one command, which is put together from these files."""
    command = pieces[-1]
    found = []
    for number, code, text in said:
        piece, line = whence(pieces, number)
        if not (_UNUSED.match(text) and is_shared(piece, pieces, line)):
            where = f"lua/{'' if piece is command else 'includes/'}{piece.name}.lua"
            found.append(f"{where}: {line.strip()!r}: {text} ({code})")
    for piece in pieces[:-1]:
        if unused[piece.name] >= defined_in(piece):
            found.append(f"lua/{command.name}.lua uses nothing of lua/includes/{piece.name}.lua")
    return found


def whence(pieces: list[lua.File], number: int) -> tuple[lua.File, str]:
    """The file and the text of a line of the whole."""
    for piece in pieces:
        lines = piece.code.splitlines()
        if number <= len(lines):
            return piece, lines[number - 1]
        number -= len(lines) + 1
    raise ValueError(number)


def defined_in(piece: lua.File) -> set[str]:
    """What an include defines for others."""
    names = (_DEFINED.match(line) for line in piece.code.splitlines() if line.startswith("local "))
    return {name for found in names if found for name in found[1].split(", ")}


def main() -> int:
    """Tell what is wrong."""
    try:
        found = problems(lua.FOLDER)
    except lua.LuaError as error:
        found = [str(error)]
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
