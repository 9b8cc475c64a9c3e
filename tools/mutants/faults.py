# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults that can be planted in a file: those of its Python and those of its Lua, in an order that does not change."""

from __future__ import annotations

import ast
import collections.abc as c
import dataclasses
import functools
import hashlib
import io
import tokenize

from mutants import lua, python

SEED = "lab.multidevice"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One that may turn out to be no fault, once it is made."""

    kind: str
    line: int
    make: c.Callable[[], str | None]
    # The Lua that is to be compiled: where it starts, and how much of the file follows it.
    lua: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A file's text with a fault in it."""

    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.line}: {self.before}  →  {self.after or '(left out)'}"


def faults_of(name: str, source: str) -> list[Fault]:
    """All faults, in the order in which a sample takes them: by the text of their lines, so that a sample stays what it was
    when other lines change."""
    faults = []
    if name.endswith(".py"):
        for kind, line, make in python.faults_of_cosmic_ray(source):
            faults.append(Fault(kind, line, make))
        for edit in python.statements_left_out(source):
            faults.append(of_edit("LeaveOut", source, 0, edit))
    for start, end in lua_in(name, source):
        for edit in lua.faults(source[start:end]):
            faults.append(of_edit("Lua", source, start, edit, (start, len(source) - end)))
    lines = source.splitlines()
    seen: dict[str, int] = {}
    keys: dict[int, str] = {}
    for number, fault in enumerate(faults):
        text = f"{fault.kind} {lines[fault.line - 1].strip()}"
        seen[text] = seen.get(text, 0) + 1
        keys[number] = hashlib.sha256(f"{SEED} {seen[text]} {text}".encode()).hexdigest()
    return [faults[number] for number in sorted(keys, key=lambda number: keys[number])]


def of_edit(kind: str, source: str, offset: int, edit: lua.Edit, piece: tuple[int, int] | None = None) -> Fault:
    moved = dataclasses.replace(edit, start=edit.start + offset, end=edit.end + offset)
    return Fault(kind, source.count("\n", 0, moved.start) + 1, functools.partial(moved.apply, source), piece)


def lua_in(name: str, source: str) -> list[tuple[int, int]]:
    """Where there is Lua: all of a file of it, or what is between three quotes and is no documentation."""
    if name.endswith(".lua"):
        return [(0, len(source))]
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    pieces = []
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_documentation = before in (tokenize.NEWLINE, tokenize.INDENT)
        if token.string.startswith('"""') and "redis.call(" in token.string and not is_documentation:
            start, end = (starts[line - 1] + column for line, column in (token.start, token.end))
            pieces.append((start + 3, end - 3))
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.type
    return pieces


def mutant_of(source: str, fault: Fault, compiles: c.Callable[[str], bool]) -> Mutant | None:
    """The file with the fault; None if it would not even start, or says what it said before."""
    text = fault.make()
    if text is None or text == source:
        return None
    if fault.lua:
        start, rest = fault.lua
        if not compiles(text[start : len(text) - rest]):
            return None
    else:
        try:
            if ast.dump(ast.parse(text)) == ast.dump(ast.parse(source)):
                return None
            compile(text, "mutant", "exec", dont_inherit=True)
        except SyntaxError:
            return None
    before, after = source.splitlines(), text.splitlines()
    line = next(number for number, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
    return Mutant(line + 1, before[line].strip(), after[line].strip(), text)
