# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import pathlib
import typing as t

import pytest
import yaml

COLLECTION = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted((COLLECTION / "plugins" / "modules").glob("*.py"))
GROUPS: dict[str, list[t.Any]] = yaml.safe_load((COLLECTION / "meta" / "runtime.yml").read_text())["action_groups"]


def members(group: str) -> set[str]:
    found = {entry for entry in GROUPS[group] if isinstance(entry, str)}
    for entry in GROUPS[group]:
        if isinstance(entry, dict):
            found = found.union(*(members(name) for name in entry["metadata"]["extend_group"]))
    return found


def fragments(module: pathlib.Path) -> list[str]:
    """The documentation fragments that a module names."""
    for statement in ast.parse(module.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "DOCUMENTATION":
            named: list[str] = yaml.safe_load(ast.literal_eval(statement.value))["extends_documentation_fragment"]
            return named
    raise AssertionError(f"{module} has no DOCUMENTATION")


def test_every_module_is_in_the_group_of_all() -> None:
    assert members("all") == {module.stem for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_module_says_whether_it_is_in_the_group(module: pathlib.Path) -> None:
    says_so = "lab.multidevice._attributes.coordination" in fragments(module)
    assert says_so == (module.stem in members("coordination"))
