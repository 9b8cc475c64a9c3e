# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A barrier of runs, and a reason, are added in the few files that CONTRIBUTING.md lists, and in no others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("jinja2")

from ansible_collections.lab.multidevice.plugins.module_utils._node import _commands
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier, ReasonKind, State
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import REPOSITORY

VOCABULARY = "plugins/module_utils/_vocabulary.py"
COORDINATION = "plugins/module_utils/_coordination"
SCHEMA = REPOSITORY / "docs" / "summary.schema.json"

ALL_BARRIERS = re.compile(r"""["']?, ?["']?""".join(Barrier))
LISTS_OF_BARRIERS = {
    "plugins/module_utils/_node/_commands.py",
}
KIND_OF_A_REASON = re.compile(rf"""\bkind["']?[\])]* ?(?:=|[!=]=|:) ?["'](?:{"|".join(ReasonKind)})["']""")
KINDS_OF_REASONS = {
    # Lua, which cannot import the vocabulary
    f"{COORDINATION}/_lua.py",
}

# A barrier before the last, and the state that it brings, in a copy in which nothing else is changed.
NEW = "REPORTED"
WITH_A_BARRIER = """
import json
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import State
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress import _screen
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import RunView
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _page, _timeline

def event(time, node, what, data=None):
    return {"time": time, "node": node, "what": what, "data": data}

events = [event(1, node, "arrive", barrier) for barrier in ("start", "ready") for node in "ab"]
events.insert(2, event(2, None, "release", "start"))
events += [event(3, None, "release", "ready"), event(4, "a", "arrive", "reported")]
run = RunView("r", {"a": ["server"], "b": ["client"]})
for one in events:
    run.take(one)
nodes = {name: {"scripts": [], "direct_macs": []} for name in "ab"}
meetings = _timeline.build({"nodes": nodes}, events)
waits = meetings.lanes[0].segments[-1]
print(json.dumps({
    "ranks": [State(name).rank for name in ("ready", "reported", "finish")],
    "steps": _screen.picture([run], 9.0)[1].split(),
    "missing": run.missing(),
    "doing": [node.now() for node in run.nodes.values()],
    "waits": [waits.text, _page.LEGEND[_page._class(waits)]],
}))
"""


def files_with(pattern: re.Pattern[str]) -> set[str]:
    """The files of the plugins whose code has such a text; the documentation of modules is theirs."""
    paths = [path for path in (REPOSITORY / "plugins").rglob("*.py") if path.parent.name != "modules"]
    return {path.relative_to(REPOSITORY).as_posix() for path in paths if pattern.search(path.read_text())} - {
        VOCABULARY
    }


def listed(heading: str) -> list[str]:
    """The files in the list of a section of CONTRIBUTING.md."""
    section = (REPOSITORY / "CONTRIBUTING.md").read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    return [
        path
        for entry in re.findall(r"^- (`[^:]+`):", section, re.MULTILINE)
        for path in re.findall(r"`([^`]+)`", entry)
    ]


@pytest.mark.parametrize(("heading", "most"), [("How to add a barrier", 5), ("How to add a reason", 3)])
def test_the_files_that_a_word_needs_are_listed(heading: str, most: int) -> None:
    files = listed(heading)
    assert 1 < len(files) <= most and files[0] == VOCABULARY
    assert [path for path in files[1:] if not (REPOSITORY / path).is_file()] == []


def test_all_barriers_are_listed_where_it_is_said_that_they_are() -> None:
    assert files_with(ALL_BARRIERS) <= LISTS_OF_BARRIERS
    assert (*Barrier, "abort", "retry") == _commands.CORE_BARRIERS


def test_kinds_of_reasons_are_words_in_lua_only() -> None:
    assert files_with(KIND_OF_A_REASON) <= KINDS_OF_REASONS


def test_the_schema_of_summaries_knows_all_states_and_kinds_of_reasons() -> None:
    definitions: dict[str, t.Any] = json.loads(SCHEMA.read_text())["$defs"]
    assert definitions["node"]["properties"]["state"]["enum"] == list(State)
    described = definitions["reason"]["properties"]["kind"]["description"]
    assert set(re.findall(r"\w+", described)) - {"or"} == set(ReasonKind)


def test_a_new_barrier_is_told_of_like_the_others(tmp_path: Path) -> None:
    copy = tmp_path / "ansible_collections" / "lab" / "multidevice"
    shutil.copytree(REPOSITORY / "plugins", copy / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    text = (copy / VOCABULARY).read_text()
    for name in ("Barrier", "State"):
        head, found, rest = text.partition(f"class {name}(Word):")
        text = head + found + rest.replace("    FINISH = ", f'    {NEW} = "{NEW.lower()}"\n    FINISH = ', 1)
    (copy / VOCABULARY).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_BARRIER],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == {
        "ranks": [4, 5, 6],
        "steps": ["start", "2/2", "✔", "ready", "2/2", "✔", "reported", "1/2", "finish", "0/2"],
        "missing": [["reported", ["b"], 4]],
        "doing": [["waits at reported", 4], ["on its way to reported", 3]],
        "waits": ["waited at reported in vain", "waits at another barrier"],
    }
