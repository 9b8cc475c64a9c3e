# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the commands in Redis are put together from files, and looked at."""

from __future__ import annotations

import pathlib
import shutil

import pytest

import lua
import luacheck

FILES = {
    "two.lua": "-- Does both.\n-- @include second\n\nreturn second()\n",
    "one.lua": "-- Does one.\n--\n-- @include first\n\n-- Of the code.\nreturn first()\n",
    "includes/first.lua": "-- The first.\n\nlocal function first()\n  return 1\nend\n",
    "includes/second.lua": "-- @include first\n\nlocal function second()\n  return first()\nend\n",
}
FIRST = "local function first()\n  return 1\nend\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "includes").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def texts(folder: pathlib.Path) -> dict[str, str]:
    return {command.name: lua.assembled(command, folder) for command in lua.commands(folder)}


def test_a_command_comes_after_what_it_includes(folder: pathlib.Path) -> None:
    assert texts(folder) == {
        "one": f"{FIRST}\n-- Of the code.\nreturn first()\n",
        "two": f"{FIRST}\nlocal function second()\n  return first()\nend\n\nreturn second()\n",
    }


def test_the_module_holds_what_is_put_together(folder: pathlib.Path) -> None:
    module: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {}
    exec(lua.module_text(folder), module)
    includes, commands = module["INCLUDES"], module["COMMANDS"]
    found = {
        name: "\n".join([*(str(includes[one]) for one in parts), code]) for name, (parts, code) in commands.items()
    }
    assert found == texts(folder)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("one.lua", "-- @include third\n", "lua/one.lua includes third, and there is no lua/includes/third.lua"),
        ("includes/first.lua", "-- @include no\n", "lua/includes/first.lua includes no, and there is no"),
        (
            "includes/first.lua",
            "-- @include second\n",
            "lua/includes/second.lua includes itself: second → first → second",
        ),
    ],
)
def test_what_cannot_be_put_together(folder: pathlib.Path, name: str, text: str, said: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(lua.LuaError, match=said):
        lua.parts_of(lua.read(folder / ("two.lua" if "second" in text else "one.lua")), folder)


@pytest.mark.skipif(not shutil.which("luacheck"), reason="there is no luacheck")
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("one.lua", FILES["one.lua"], []),
        ("one.lua", "-- @include first\n\nreturn first(a)\n", ["lua/one.lua: 'return first(a)': accessing undefined"]),
        (
            "one.lua",
            "-- @include first\n\nlocal a = first()\n",
            ["lua/one.lua: 'local a = first()': unused variable 'a'"],
        ),
        ("one.lua", "-- @include first\n\nreturn 1\n", ["lua/one.lua uses nothing of lua/includes/first.lua"]),
        (
            "includes/first.lua",
            FILES["includes/first.lua"].replace("return 1", "return b"),
            ["lua/includes/first.lua: 'return b': accessing undefined variable 'b'"],
        ),
        (
            "includes/first.lua",
            f"{FILES['includes/first.lua']}\nlocal a, b = first(), 2\n",
            ["lua/includes/first.lua: nothing uses a", "lua/includes/first.lua: nothing uses b"],
        ),
    ],
)
def test_what_luacheck_finds(folder: pathlib.Path, name: str, text: str, said: list[str]) -> None:
    (folder / name).write_text(text)
    found = sorted(luacheck.problems(folder))
    assert len(found) == len(said), found
    assert all(problem.startswith(beginning) for problem, beginning in zip(found, said, strict=True)), found
