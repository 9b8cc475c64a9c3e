# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts where nobody has set anything is said once, by the module; what else tells it says the same."""

from __future__ import annotations

import importlib
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RESULTS_DIR

from docs.pages import DOCS
from support.repository import REPOSITORY

ROLES = sorted(path.parent.parent.name for path in REPOSITORY.glob("roles/*/meta/argument_specs.yml"))
PLAYBOOKS = sorted(path for path in REPOSITORY.glob("playbooks/**/*.yml") if "collections" not in path.parts)

# The defaults that are not left to the module, and why. All others are `default(omit)`.
LIMIT = "a limit that the playbook sets, and the module has not"
CONDITION = "asked in a condition"
JOINED = "a part of a text or of a dictionary"
RESULT = "what a task may not have returned"
PARTS = "what a job of one's own may leave out"
KEYWORD = "a keyword of the play or the task"
LITERALS = {
    "playbooks/abort.yml": {"reason | default('an operator aborted the run')": JOINED},
    "playbooks/multidevice.yml": {
        "ansible_limit | default('')": JOINED,
        "job | default('', true)": CONDITION,
        "multidevice_strategy | default(lookup('ansible.builtin.config', 'DEFAULT_STRATEGY'))": KEYWORD,
    },
    "playbooks/report.yml": {"submissions | default([])": CONDITION},
    "playbooks/status.yml": {"follow | default(false)": CONDITION},
    "playbooks/submit.yml": {"wait | default(false)": CONDITION},
    "playbooks/tasks/given_redis.yml": {
        f"multidevice_redis_{name} | default('')": CONDITION for name in ("url", "sentinels", "config_file")
    },
    "playbooks/tasks/run.yml": {
        "multidevice_node_job.last | default(true)": CONDITION,
        "multidevice_node_job.results | default('')": JOINED,
        "multidevice_results_dir | default('results')": JOINED,
        "multidevice_reserve_timeout | default(3600)": LIMIT,
        "multidevice_start_timeout | default(600)": LIMIT,
        "multidevice_ready_timeout | default(600)": LIMIT,
        "multidevice_check_links | default(false)": CONDITION,
        "ansible_failed_result.msg | default('a task failed', true)": RESULT,
    },
    "playbooks/tasks/split.yml": {"multidevice_run_timeout | default(86400)": LIMIT},
    "playbooks/worker.yml": {
        "ansible_become | default(false)": KEYWORD,
        "multidevice_idle_timeout | default(3600)": LIMIT,
        "multidevice_taken.job | default(none)": CONDITION,
    },
    "roles/cluster/tasks/main.yml": {"ansible_python_interpreter | default(ansible_playbook_python)": JOINED},
    "roles/direct_links/vars/main.yml": {"direct_links_links | default(__direct_links_derived)": JOINED},
    "roles/role_scripts/tasks/clean_up.yml": {"role_scripts_left.lost | default(false)": RESULT},
    "roles/role_scripts/tasks/leave.yml": {"role_scripts_collected.msg | default('')": RESULT},
    "roles/role_scripts/tasks/start_daemon.yml": {
        "role_scripts_job.env | default({})": PARTS,
        "role_scripts_cluster_id | default('')": JOINED,
        "role_scripts_job.node_roles | default('')": PARTS,
        "role_scripts_job.direct_macs | default([])": PARTS,
        "role_scripts_job.direct_ips | default([])": PARTS,
        "role_scripts_answer.answer | default('retry')": RESULT,
    },
}

_DEFAULT = re.compile(r"([\w.]+)\s*\|\s*default\(((?:[^()]|\([^()]*\))*)\)")
_HANDED_ON = re.compile(r"{{ (\w+) \| default\(omit(?:, true)?\) }}")
_ROW = re.compile(r"^\| `(multidevice_\w+)` \|.*\| ([^|]*?) \|$", re.MULTILINE)


def literals(text: str) -> set[str]:
    return {f"{name} | default({value})" for name, value in _DEFAULT.findall(text) if not value.startswith("omit")}


def test_every_default_that_is_not_left_to_the_module_is_explained() -> None:
    found = {}
    for path in [*PLAYBOOKS, *sorted(REPOSITORY.glob("roles/*/*/*.yml")), *sorted(REPOSITORY.glob("roles/*/*/*.j2"))]:
        if values := literals(path.read_text()):
            found[str(path.relative_to(REPOSITORY))] = values
    assert found == {path: set(values) for path, values in LITERALS.items()}


def test_a_new_literal_is_found() -> None:
    text = 'lease: "{{ lease | default(omit) }}"\nslice: "{{ a.slice|default(9) }}"\nx: {{ y | default(f(\'1\')) }}'
    assert literals(text) == {"a.slice | default(9)", "y | default(f('1'))"}


def options_of(module: str) -> dict[str, t.Any]:
    documentation = importlib.import_module(
        f"ansible_collections.lab.multidevice.plugins.modules.{module}"
    ).DOCUMENTATION
    options: dict[str, t.Any] = yaml.safe_load(documentation)["options"]
    return options


def handed_on(node: t.Any) -> t.Iterator[tuple[str, t.Any]]:
    """What the tasks of a file leave to a module, with that module's default: variable, default."""
    if isinstance(node, list):
        for item in node:
            yield from handed_on(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key.startswith("lab.multidevice.") and isinstance(value, dict):
                options = options_of(key.rpartition(".")[2])
                for option, template in value.items():
                    if found := _HANDED_ON.fullmatch(str(template)):
                        yield found[1], options[option].get("default")
            else:
                yield from handed_on(value)


def tasks(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text())


def left_out(role: str) -> dict[str, t.Any]:
    """The variables of a role that go to a module only if somebody has set them, with the module's default."""
    return dict(pair for path in REPOSITORY.glob(f"roles/{role}/tasks/*.yml") for pair in handed_on(tasks(path)))


def own_defaults(role: str) -> dict[str, t.Any]:
    path = REPOSITORY / "roles" / role / "defaults" / "main.yml"
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_documents_the_default_that_counts(role: str) -> None:
    own, left = own_defaults(role), left_out(role)
    assert not {name for name in own.keys() & left.keys() if own[name] != ""}, "the module has it"
    # A template is told in words.
    counts = {**left, **{name: None if "{{" in str(value) else value for name, value in own.items()}}
    specs = tasks(REPOSITORY / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    for part, spec in specs.items():
        for name, option in spec.get("options", {}).items():
            # A list of one that is also told as a text.
            wanted = None if option.get("required") or name == "cluster_direct_network" else counts.get(name)
            assert option.get("default") == wanted, f"{part}: {name}"


def defaults_of_variables() -> dict[str, t.Any]:
    """The playbooks' variables and what counts without them."""
    counts = {name: value for role in ROLES for name, value in {**left_out(role), **own_defaults(role)}.items()}
    found: dict[str, t.Any] = {}
    for path in PLAYBOOKS:
        found |= dict(handed_on(tasks(path)))
        for name, template in re.findall(r"^ +(\w+): \"(.*)\"$", path.read_text(), re.MULTILINE):
            if (variable := _HANDED_ON.fullmatch(template)) and name in counts:
                found[variable[1]] = counts[name]
        for name, value in _DEFAULT.findall(path.read_text()):
            if re.fullmatch(r"[0-9]+|'.+'|true|false", value):
                found[name] = yaml.safe_load(value)
    return {name: value for name, value in found.items() if name.startswith("multidevice_")}


def test_the_pages_tell_the_defaults_that_count() -> None:
    """All numbers; of the other rows, some are put in words."""
    counts = defaults_of_variables()
    numbers = {
        name for name, value in counts.items() if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    told: dict[str, set[str]] = {}
    for page in [DOCS / "reference" / "variables.md", DOCS / "queue.md", REPOSITORY / "README.md"]:
        for name, cell in _ROW.findall(page.read_text()):
            told.setdefault(name, set()).add(cell)
    assert {name: {float(cell) for cell in told[name]} for name in numbers} == {
        name: {counts[name]} for name in numbers
    }
    assert len(numbers) > 10


def test_what_has_to_be_written_twice_is_the_same() -> None:
    counts = defaults_of_variables()
    assert counts["multidevice_run_timeout"] == own_defaults("cluster")["cluster_run_timeout"]
    assert counts["multidevice_results_dir"] == DEFAULT_RESULTS_DIR
    assert left_out("results")["results_dir"] == DEFAULT_RESULTS_DIR
