# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults that can be planted in a file of Python or Lua, in an order that does not change."""

from __future__ import annotations

import ast
import collections.abc as c
import dataclasses
import functools
import hashlib

from mutants import lua, python

SEED = "lab.multidevice"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One that may turn out to be no fault, once it is made."""

    kind: str
    line: int
    make: c.Callable[[], str | None]
    is_lua: bool = False


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
            faults.append(of_edit("LeaveOut", source, edit))
    else:
        faults += [of_edit("Lua", source, edit, is_lua=True) for edit in lua.faults(source)]
    lines = source.splitlines()
    seen: dict[str, int] = {}
    keys: dict[int, str] = {}
    for number, fault in enumerate(faults):
        text = f"{fault.kind} {lines[fault.line - 1].strip()}"
        seen[text] = seen.get(text, 0) + 1
        keys[number] = hashlib.sha256(f"{SEED} {seen[text]} {text}".encode()).hexdigest()
    return [faults[number] for number in sorted(keys, key=lambda number: keys[number])]


def of_edit(kind: str, source: str, edit: lua.Edit, *, is_lua: bool = False) -> Fault:
    return Fault(kind, source.count("\n", 0, edit.start) + 1, functools.partial(edit.apply, source), is_lua)


def mutant_of(source: str, fault: Fault, compiles: c.Callable[[str], bool]) -> Mutant | None:
    """The file with the fault; None if it would not even start, or says what it said before."""
    text = fault.make()
    if text is None or text == source:
        return None
    if fault.is_lua:
        if not compiles(text):
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
