# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files hold the guarantees, and which tests should notice a fault in them."""

from __future__ import annotations

from environments import REPOSITORY

REAL = "tests/real"
UNIT = "tests/unit/plugins"
UTILS = "plugins/module_utils"
CONTROLLER = "plugins/plugin_utils"

COORDINATION = tuple(
    f"{REAL}/coordination/{name}.py"
    for name in (
        "test_protocol",
        "test_queues",
        "test_reservations",
        "test_follow",
        "test_limits",
        "test_registering",
        "test_state_machine",
    )
)
LINKS = (f"{UNIT}/module_utils/test_link*.py", f"{UNIT}/modules/test_direct_link.py", f"{REAL}/links/test_*.py")
NODE = (f"{REAL}/node/test_runner.py", f"{REAL}/node/test_undo.py", f"{REAL}/node/test_supervisor.py")
JOBS = (f"{UNIT}/plugin_utils/test_job*.py",)

# The one that is left out is written by tools/lua.py.
LUA = sorted(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("lua/**/*.lua") if path.stem != "vocabulary")
# They are many and small: where no files are chosen, each gets so many faults at most.
FAULTS_OF_LUA = 4

# Each file's tests, as patterns of files. Their order means nothing: the quickest are run first.
TESTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(LUA, COORDINATION),
    **{
        f"{UTILS}/_coordination/{name}.py": COORDINATION
        for name in ("barriers", "history", "messages", "nodes", "queues", "registration", "reservations", "runs")
    },
    f"{UTILS}/_links/changes.py": LINKS,
    f"{UTILS}/_links/records.py": LINKS,
    f"{UTILS}/_node/_runner.py": NODE,
    f"{UTILS}/_node/_undo.py": NODE,
    f"{CONTROLLER}/_job/expand.py": JOBS,
    f"{CONTROLLER}/_job/blocks.py": JOBS,
    f"{CONTROLLER}/_job/node_scripts.py": JOBS,
    f"{CONTROLLER}/_job/cluster_file.py": (
        f"{UNIT}/plugin_utils/test_cluster_file.py",
        f"{UNIT}/inventory/test_cluster.py",
    ),
    f"{CONTROLLER}/_results/summary.py": (
        f"{UNIT}/plugin_utils/test_summary*.py",
        f"{UNIT}/plugin_utils/test_report.py",
        f"{REAL}/report/test_recorded.py",
    ),
    f"{CONTROLLER}/_history/run_history.py": (
        f"{UNIT}/plugin_utils/test_run_history.py",
        f"{REAL}/report/test_recorded.py",
    ),
    f"{CONTROLLER}/_actions/answers.py": (f"{UNIT}/plugin_utils/test_answers.py",),
    f"{CONTROLLER}/_report/_compare.py": (
        f"{UNIT}/plugin_utils/test_compare.py",
        f"{UNIT}/plugin_utils/test_report.py",
        f"{REAL}/report/test_compare.py",
        f"{REAL}/report/test_recorded.py",
    ),
    f"{CONTROLLER}/_results/archive.py": (f"{UNIT}/plugin_utils/test_results_archive.py",),
}
