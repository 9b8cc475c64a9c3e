# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmarks run in the environment of a user, which has nothing of what only the tests need."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from support.repository import REPOSITORY

BENCHMARKS = sorted(path.stem for path in (REPOSITORY / "benchmarks").glob("*.py"))
OF_TESTS_ONLY = ("pytest", "hypothesis", "jsonschema", "junitparser", "xmlschema")
IMPORT = """
import importlib, json, sys
wanted, unwanted = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(unwanted))
import run
run.machine()
for name in wanted:
    importlib.import_module(f"ansible_collections.lab.multidevice.benchmarks.{name}")
"""


def test_nothing_is_needed_that_only_the_tests_have() -> None:
    names = json.dumps([BENCHMARKS, OF_TESTS_ONLY])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "benchmarks")}
    command = [sys.executable, "-c", IMPORT, names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
