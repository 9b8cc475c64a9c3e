# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules take to a test machine with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils import _errors
from ansible_collections.lab.multidevice.plugins.module_utils._node import _commands, _install
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier, Verdict

COLLECTIONS = Path(_errors.__file__).parents[5]
OURS = "ansible_collections.lab.multidevice.plugins.module_utils."
LOADED = "import importlib, sys; importlib.import_module(sys.argv[1]); print('\\n'.join(sys.modules))"


def loaded_with(module: str) -> set[str]:
    """The names of all modules that a Python has loaded that has imported one."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, module],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def of_ours(loaded: set[str]) -> set[str]:
    return {name.removeprefix(OURS) for name in loaded if name.startswith(OURS)}


@pytest.mark.parametrize("module", ["role_scripts", "direct_link"])
def test_nothing_of_redis_comes_to_a_test_machine(module: str) -> None:
    loaded = loaded_with(f"ansible_collections.lab.multidevice.plugins.modules.{module}")
    ours = of_ours(loaded)
    assert "_errors" in ours
    assert {name for name in ours if name.startswith("_coordination.")} <= {"_coordination.arguments"}
    assert not {name for name in loaded if name.partition(".")[0] in ("redis", "asyncio", "yaml")}


def test_the_supervisor_is_given_what_it_imports_and_nothing_else() -> None:
    assert of_ours(loaded_with(f"{OURS}{_install.SUPERVISOR}")) - {"_links", "_node"} == set(_install.PARTS)
    assert len(set(_install.PARTS)) == len(_install.PARTS)


def test_the_module_does_not_load_what_it_only_hands_on() -> None:
    ours = of_ours(loaded_with("ansible_collections.lab.multidevice.plugins.modules.role_scripts"))
    assert not ours & {_install.SUPERVISOR, "_node._undo", "_node._attach", "_links.changes"}


def test_no_script_can_call_for_a_barrier_of_the_run_itself() -> None:
    assert set(_commands.CORE_BARRIERS) == {*Barrier, Verdict.ABORT, "retry"}
