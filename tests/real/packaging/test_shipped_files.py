# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible sends to other machines: of each module what it needs there, and nothing that only the controller runs."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from support.repository import REPOSITORY

HERE = pathlib.Path(__file__).resolve().parent
PLUGINS = REPOSITORY / "plugins"
# These do their work on the controller only: what is sent is never run.
NEVER_SENT = {"cluster_follow", "cluster_report", "cluster_worker"}
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py") if path.stem not in NEVER_SENT)

LINKS = {f"module_utils/_links/{name}.py" for name in ("changes", "checks", "devices", "options", "probes", "records")}
NODE = {path.relative_to(PLUGINS).as_posix() for path in (PLUGINS / "module_utils" / "_node").glob("*.py")}
VIRTUAL_LAB = {f"module_utils/_virtual_lab/{name}.py" for name in ("control", "machines", "settings", "state")}
ARGUMENTS = {"module_utils/_coordination/arguments.py"}
DEFAULTS = {"module_utils/_defaults.py"}
LOCKS = {"module_utils/_locks.py"}
TO_SUPERVISORS = {f"module_utils/{name}.py" for name in ("_archives", "_json_lines", "_vocabulary")}
ERRORS = {"module_utils/_errors.py"}
NAMES = {"module_utils/_names.py"}
FORMAT = {"module_utils/_format.py"}
TO_REDIS = ERRORS | {
    f"module_utils/{name}.py"
    for name in (
        *("_names", "_vocabulary", "_coordination/operations/base"),
        *(
            f"_coordination/{name}"
            for name in ("_lua", "arguments", "commands", "connection", "records", "settings", "subject", "tls")
        ),
    )
}


def to_redis(operation: str, *subjects: str) -> set[str]:
    names = [f"operations/{operation}", *subjects]
    return TO_REDIS | {f"module_utils/_coordination/{name}.py" for name in names}


EXPECTED = {
    "cluster_barrier": to_redis("barrier", "barriers") | DEFAULTS,
    "cluster_info": to_redis("info", "history", "queues", "reservations", "status") | FORMAT,
    "cluster_message": to_redis("message", "messages", "nodes") | DEFAULTS,
    "cluster_queue": to_redis("queue", "history", "queues", "runs") | DEFAULTS,
    "cluster_reserve": to_redis("reserve", "nodes", "reservations") | DEFAULTS,
    "cluster_results": to_redis("results", "history", "runs") | DEFAULTS,
    "cluster_split": to_redis("split", "registration") | DEFAULTS,
    "cluster_state": to_redis("state", "nodes", "runs"),
    "direct_link": ERRORS | LINKS | LOCKS,
    "role_scripts": DEFAULTS | ERRORS | FORMAT | LINKS | NODE | LOCKS | NAMES | TO_SUPERVISORS | ARGUMENTS,
    "virtual_lab": ERRORS | LOCKS | VIRTUAL_LAB,
}


@pytest.fixture(scope="module")
def shipped() -> dict[str, set[str]]:
    collections = REPOSITORY / "playbooks" / "collections"
    command = [sys.executable, str(HERE / "shipped_files.py"), str(collections), *MODULES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return {module: set(files) for module, files in json.loads(done.stdout).items()}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_takes_along_what_it_needs(shipped: dict[str, set[str]], module: str) -> None:
    assert shipped[module] == {*EXPECTED[module], f"modules/{module}.py"}


def test_nothing_that_only_the_controller_runs_lies_among_what_is_sent(shipped: dict[str, set[str]]) -> None:
    there = {path.relative_to(PLUGINS).as_posix() for path in (PLUGINS / "module_utils").rglob("*.py")}
    assert there == {name for files in shipped.values() for name in files if name.startswith("module_utils/")}
