# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples in the documentation of modules and plugins, as data, and what became of them in a playbook."""

from __future__ import annotations

import ast
import json
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml

from support.plays import Play
from support.repository import REPOSITORY

CALLBACKS = Path(__file__).parent / "callbacks"
PLUGINS = REPOSITORY / "plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))

Task = dict[str, t.Any]


def example_documents(path: Path) -> list[t.Any]:
    """The YAML documents of a plugin's EXAMPLES."""
    (text,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["EXAMPLES"]
    )
    return list(yaml.safe_load_all(text))


def example_tasks(module: str) -> list[Task]:
    (tasks,) = example_documents(PLUGINS / "modules" / f"{module}.py")
    names = [task["name"] for task in tasks]
    assert len(set(names)) == len(names), f"{module}: two examples have the same name"
    return list(tasks)


def replaced(value: t.Any, places: t.Mapping[str, str]) -> t.Any:
    """An example with other texts in place of some; in place of a folder, also at the beginning of a path."""
    if isinstance(value, dict):
        return {key: replaced(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, places) for item in value]
    if isinstance(value, str):
        for shown, real in places.items():
            if value == shown or (shown.startswith("/") and value.startswith(f"{shown}/")):
                return real + value.removeprefix(shown)
    return value


@dataclass(frozen=True)
class Outcome:
    """What became of a task on a host."""

    play: str
    task: str
    host: str
    status: str
    result: dict[str, t.Any]


class RecordedPlay(Play):
    """A playbook of which every task's result is known."""

    def __init__(self, folder: Path, *arguments: str | Path, **settings: t.Any) -> None:
        self.record = folder / "record"
        self.record.touch()
        super().__init__(
            folder,
            *arguments,
            **settings,
            ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / "playbooks" / "collections"),
            ANSIBLE_CONFIG=str(REPOSITORY / "playbooks" / "ansible.cfg"),
            RECORD_TASKS_IN=str(self.record),
            ANSIBLE_CALLBACK_PLUGINS=str(CALLBACKS),
            ANSIBLE_CALLBACKS_ENABLED="record_tasks",
        )

    @property
    def outcomes(self) -> list[Outcome]:
        """In the order of their end; a line that is being written is left out."""
        lines = self.record.read_text().splitlines(keepends=True)
        return [Outcome(**json.loads(line)) for line in lines if line.endswith("\n")]

    def returned(self, task: str, host: str | None = None) -> list[dict[str, t.Any]]:
        """What a task has returned, each time and, unless a host is named, on every host."""
        return [one.result for one in self.outcomes if one.task == task and host in (None, one.host)]

    def returned_once(self, task: str) -> dict[str, t.Any]:
        """What a task that ran once has returned."""
        (result,) = self.returned(task)
        return result
