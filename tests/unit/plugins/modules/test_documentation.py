# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-doc shows of the modules: examples that Ansible would take, and attributes that are true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.lab.multidevice.plugins.module_utils import _errors

COLLECTION = Path(_errors.__file__).parents[2]
MODULES = sorted(path.stem for path in (COLLECTION / "plugins" / "modules").glob("*.py"))
ACTIONS = {path.stem for path in (COLLECTION / "plugins" / "action").glob("*.py")}

Document = dict[str, t.Any]

# What a template could have become, by the type of the option.
SAMPLES = {"bool": True, "int": 1, "float": 1.0, "list": ["one"], "dict": {"one": 1}, "path": "one", "raw": "one"}


def documents() -> dict[str, Document]:
    """The documentation of all modules, with that of their fragments."""
    names = [f"lab.multidevice.{name}" for name in MODULES]
    # ansible-test lets tests of modules see no more of Ansible than modules may use.
    whole_ansible = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.doc", "--json", *names],
        env={**whole_ansible, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.rpartition(".")[2]: entry for name, entry in json.loads(done.stdout).items()}


# Once for all tests: ansible-test gives each of them a process of its own.
DOCUMENTS = documents()


def spec_of(options: Document) -> Document:
    """The argument spec that the documentation of options describes."""
    spec = {}
    for name, option in options.items():
        keys = ("type", "elements", "choices", "required", "aliases")
        spec[name] = {key: option[key] for key in keys if key in option}
        if option.get("suboptions"):
            spec[name]["options"] = spec_of(option["suboptions"])
    return spec


def rendered(arguments: Document, options: Document) -> Document:
    """The arguments, with samples in place of templates."""
    return {
        name: SAMPLES.get(options.get(name, {}).get("type", "str"), "one")
        if isinstance(value, str) and "{{" in value
        else value
        for name, value in arguments.items()
    }


def examples(module: str) -> list[tuple[str, Document]]:
    """The tasks of a module's examples that use modules of the collection: the module, and its arguments."""
    tasks = yaml.safe_load(DOCUMENTS[module]["examples"])
    found = []
    for task in tasks:
        for name, arguments in task.items():
            if name.startswith("lab.multidevice."):
                found.append((name.rpartition(".")[2], arguments or {}))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_are_tasks_that_the_modules_take(module: str) -> None:
    used = examples(module)
    assert module in {name for name, _arguments in used}
    for name, arguments in used:
        options = DOCUMENTS[name]["doc"]["options"]
        result = ArgumentSpecValidator(spec_of(options)).validate(rendered(arguments, options))
        assert result.error_messages == []


@pytest.mark.parametrize("module", MODULES)
def test_the_attributes_are_complete_and_true(module: str) -> None:
    attributes = DOCUMENTS[module]["doc"]["attributes"]
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(attributes)
    assert all(attribute["support"] in ("full", "partial", "none", "N/A") for attribute in attributes.values())
    assert all(
        attribute.get("details") for attribute in attributes.values() if attribute["support"] in ("partial", "none")
    )
    assert ("action" in attributes) == (module in ACTIONS)
    assert attributes["platform"]["platforms"] in ("linux", "posix")


@pytest.mark.parametrize("module", MODULES)
def test_the_returned_values_have_samples(module: str) -> None:
    returned = DOCUMENTS[module]["return"]
    assert returned
    for name, value in returned.items():
        assert value["returned"], name
        assert "sample" in value or value.get("contains") or re.search("whole", value["description"]), name
