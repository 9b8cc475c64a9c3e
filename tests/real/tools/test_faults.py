# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults that "make mutants" plants, those that it gets from cosmic-ray apart."""

from __future__ import annotations

import ast
import pathlib
import sys

import pytest

import environments
from mutants import lua, python
from mutants.faults import Fault, Mutant, faults_of, mutant_of, of_edit
from mutants.trees import LUA_MODULE, Tree


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("return a == b", ["return a ~= b"]),
        ("return a ~= b", ["return a == b"]),
        ("return a < b", ["return a <= b", "return a >= b"]),
        ("return a <= b", ["return a < b", "return a > b"]),
        ("return a > b", ["return a >= b", "return a <= b"]),
        ("return a >= b", ["return a > b", "return a < b"]),
        ("return a and b", ["return a or b"]),
        ("return a or b", ["return a and b"]),
        ("return not a", ["return a"]),
        ("return true", ["return false"]),
        ("return false", ["return true"]),
        ("return a + b", ["return a - b"]),
        ("return a - b", ["return a + b"]),
        ("return a * b", ["return a / b"]),
        ("return -a", []),
        ("return f(-a, a .. -b)", []),
        ("return 5", ["return 6", "return 4"]),
        ("return 0", ["return 1", "return (-1)"]),
        ("return 86400000", []),
        ("return '1 + 1', \"not true\", [[a == b]]", []),
        ("return 'it\\'s 1'", []),
        ("return a -- not 1 == 2", []),
        ("return a --[[ not\n1 ]]", []),
        ("return nothing, android", []),
        ("redis.call('DEL', key)", [""]),
        ("redis.call('DEL', key) f(key)", [" f(key)", "redis.call('DEL', key) "]),
        ("f(a)\nredis.call('DEL', key)", ["\nredis.call('DEL', key)", "f(a)\n"]),
        ("f(a\n.. b)\ng(c)", ["\ng(c)", "f(a\n.. b)\n"]),
        ("a.b[c] = f(d) .. g(e) h(i)", [" h(i)", "a.b[c] = f(d) .. g(e) "]),
        ("a, b = c, d", [""]),
        ("local a = f(b)", []),
        ("local a, b = f(c) g(d)", ["local a, b = f(c) "]),
        ("local function f(a) g(a) end", ["local function f(a)  end"]),
        ("f(function() end)", [""]),
        ("f = function() end", []),
        ("for _, a in ipairs(b) do f(a) end", ["for _, a in ipairs(b) do  end"]),
        ("for a = b, c do if a then break end end", ["if not (a) then break", "if a then  end"]),
        ("if a then return b end", ["if not (a) then return b end", "if a then  end"]),
        ("if a then f() else return end", ["not (a)", "if a then  else", "f() else  end"]),
        ("if a then elseif b then end", ["if not (a) then elseif b then", "elseif not (b) then"]),
        ("while a do f() end", ["while not (a) do f() end", "while a do  end"]),
        ("repeat f() until a", ["repeat  until a"]),
    ],
)
def test_lua(source: str, mutants: list[str]) -> None:
    made = [edit.apply(source) for edit in lua.faults(source)]
    assert len(made) == len(mutants), made
    for mutant in mutants:
        assert any(mutant == one or (len(mutants) > 1 and mutant and mutant in one) for one in made), made


@pytest.mark.parametrize("source", ["return 'a", "f(a", "a ? b", "if a"])
def test_what_is_no_lua(source: str) -> None:
    with pytest.raises(lua.NotLua):
        list(lua.faults(source))


@pytest.mark.parametrize(
    ("body", "left_out"),
    [
        ("f(a)", ["f(a)"]),
        ("f(\n    a,\n  )", ["f(\n    a,\n  )"]),
        ("a = f('ü'); g('ü')", ["g('ü')"]),
        ("self.a = b", ["self.a = b"]),
        ("a[b] = c", ["a[b] = c"]),
        ("a += 1", ["a += 1"]),
        ("del a[b]", ["del a[b]"]),
        ("if a: raise b", ["raise b"]),
        ("if a: return b\n  return c", ["return b"]),
        ("return a", []),
        ("a = b", []),
        ("'documentation'", []),
        ("def g(): f(a)", ["f(a)"]),
        ("with a: f(b)", ["f(b)"]),
        ("try: f(a)\n  except b: g(c)", ["f(a)", "g(c)"]),
    ],
)
def test_statements_of_python(body: str, left_out: list[str]) -> None:
    source = f"f('ö')\ndef outer():\n  {body}\n"
    edits = list(python.statements_left_out(source))
    assert sorted(source[edit.start : edit.end] for edit in edits) == sorted(left_out)
    for edit in edits:
        ast.parse(edit.apply(source))


def test_a_fault_says_what_it_changed() -> None:
    source = "-- Remark.\nredis.call('GET', b)\n"
    (edit,) = lua.faults(source)
    asked = []

    def compiles(text: str) -> bool:
        asked.append(text)
        return True

    fault = of_edit("Lua", source, edit, is_lua=True)
    mutant = mutant_of(source, fault, compiles)
    assert mutant is not None
    assert asked == ["-- Remark.\n\n"]
    assert str(mutant) == "2: redis.call('GET', b)  →  (left out)"
    assert mutant_of(source, fault, lambda text: False) is None


@pytest.mark.parametrize("text", ["a = 1\n", "a  =  1\n", "a = = 1\n", None])
def test_what_changes_nothing_or_cannot_be_read_is_no_fault(text: str | None) -> None:
    assert mutant_of("a = 1\n", Fault("it", 1, lambda: text), lambda text: True) is None


def test_all_lua_of_the_collection_can_be_read(repository: pathlib.Path) -> None:
    found = [faults_of(path.name, path.read_text()) for path in repository.glob("lua/**/*.lua")]
    assert sum(map(len, found)) > 500


def test_a_fault_in_lua_reaches_the_module_of_the_copy() -> None:
    environment = environments.Environment("tests", pathlib.Path(sys.prefix), "3")
    tree = Tree(environment)
    try:
        module, name = tree.root / LUA_MODULE, "lua/sweep.lua"
        before = module.read_text()
        source = (tree.root / name).read_text()
        with tree.planted(name, Mutant(1, "", "", source.replace("judge()", ""))):
            assert module.read_text().count("\njudge()\n") == before.count("\njudge()\n") - 1
        assert module.read_text() == before
        assert (tree.root / name).read_text() == source
    finally:
        tree.remove()
