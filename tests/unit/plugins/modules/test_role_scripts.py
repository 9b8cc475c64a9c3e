# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules take to a test machine with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils import _errors

COLLECTIONS = Path(_errors.__file__).parents[5]
OURS = "ansible_collections.lab.multidevice.plugins.module_utils."
LOADED = "import importlib, sys; importlib.import_module(sys.argv[1]); print('\\n'.join(sys.modules))"


@pytest.mark.parametrize("module", ["role_scripts", "direct_link"])
def test_nothing_of_redis_comes_to_a_test_machine(module: str) -> None:
    name = f"ansible_collections.lab.multidevice.plugins.modules.{module}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(COLLECTIONS)!r}); {LOADED}", name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    ours = {name.removeprefix(OURS) for name in loaded if name.startswith(OURS)}
    assert "_errors" in ours
    assert {name for name in ours if name.startswith("_coordination.")} <= {"_coordination.arguments"}
    assert not {name for name in loaded if name.partition(".")[0] in ("redis", "asyncio", "yaml")}
