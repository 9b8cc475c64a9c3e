# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kind of scripts is added in the few files that CONTRIBUTING.md lists, and in no others."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("netaddr")
pytest.importorskip("jinja2")

from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ScriptKind
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _page
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import REPOSITORY, SUBMISSION, JobLab

PLUGINS = REPOSITORY / "plugins"
VOCABULARY = "module_utils/_vocabulary.py"
WORDS = {word for kind in ScriptKind for word in (str(kind), kind.properties.folder)}
# The same words with other meanings.
OTHERWISE = {
    "plugin_utils/_job/blocks.py": {"monitors"},  # a key of job files
    "plugin_utils/_report/_junit.py": {"tests"},  # an attribute of the XML
    "plugin_utils/_report/_page.py": {*ScriptKind},  # the classes of the timeline
}

NEW_KIND = '    PROBE = "probe"\n'
ITS_PROPERTIES = """\
    ScriptKind.PROBE: KindProperties(
        folder="probes",
        program_files=("probe",),
        phase=Phase.TEST,
        passes=Passes.AT_ONCE,
        comes_first=True,
        is_tested=False,
        prefixes=("probe",),
    ),
"""
JOB = """
cluster: pair
if role server:
  netperf:
  look: [1, 2]
  probe.both:
  other:
  script probes/own: x
  own:
"""
PLAN = """
import json, sys
from ansible_collections.lab.multidevice.plugins.filter.scripts_of_phase import scripts_of_phase
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import script_tree
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission
job, tree, submission_id = sys.argv[1:]
(run,) = plan_submission(job, submission_id=submission_id, script_paths=[tree])["runs"]
scripts = run["nodes"][0]["scripts"]
started = [script["id"] for script in scripts_of_phase(scripts, "test")]
print(json.dumps({"scripts": [script["id"] for script in scripts], "test": started, "packed": list(script_tree.PARTS)}))
"""


def words_in(path: Path) -> set[str]:
    constants = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and value in WORDS}


def test_words_of_kinds_stand_where_they_are_said_to() -> None:
    found = {str(path.relative_to(PLUGINS)): words_in(path) for path in sorted(PLUGINS.rglob("*.py"))}
    assert found.pop(VOCABULARY) == WORDS
    elsewhere = {path: words - OTHERWISE.get(path, set()) for path, words in found.items()}
    assert {path: words for path, words in elsewhere.items() if words} == {}


def test_the_files_that_a_kind_needs_are_listed() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    section = text.partition("### How to add a script kind\n")[2].partition("\n#")[0]
    listed = re.findall(r"^- `([^`]+)`:", section, re.MULTILINE)
    assert 1 <= len(listed) <= 5 and f"plugins/{VOCABULARY}" in listed
    assert [path for path in listed if not (REPOSITORY / path).is_file()] == []


def test_the_report_has_a_colour_for_each_kind() -> None:
    style = (PLUGINS / "plugin_utils" / "_report" / "report.css").read_text()
    missing = [kind for kind in ScriptKind if f".{_page.KINDS[kind]} {{ fill: var(--" not in style]
    assert missing == [] and set(map(_page.KINDS.get, ScriptKind)) <= set(_page.LEGEND)


def test_the_summary_knows_each_kind() -> None:
    schema = (REPOSITORY / "docs" / "summary.schema.json").read_text()
    assert json.dumps([str(kind) for kind in ScriptKind]) in schema


def with_a_new_kind(folder: Path) -> Path:
    """The plugins in a tree of their own, in which nothing but the vocabulary is changed."""
    copy = folder / "ansible_collections" / "lab" / "multidevice" / "plugins"
    shutil.copytree(PLUGINS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    text = (copy / VOCABULARY).read_text()
    for before, new in (
        (f'    {ScriptKind.TEST.name} = "test"\n', NEW_KIND),
        ("    ScriptKind.TEST: ", ITS_PROPERTIES),
    ):
        head, found, rest = text.rpartition(before)
        assert found
        text = head + new + found + rest
    (copy / VOCABULARY).write_text(text)
    return folder


def planned(folder: Path, lab: JobLab) -> dict[str, t.Any]:
    lab.write("jobs/job.yaml", JOB)
    done = subprocess.run(
        [sys.executable, "-c", PLAN, str(lab.folder / "jobs" / "job.yaml"), str(lab.tree), SUBMISSION],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return t.cast(dict[str, t.Any], json.loads(done.stdout))


def test_a_new_kind_is_planned_as_its_properties_say(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    lab = JobLab(tmp_path / "lab")
    lab.cluster()
    lab.scripts("tests/netperf", "probes/look", "setup/other", "programs/both/probe", "programs/both/run")
    assert planned(with_a_new_kind(tmp_path / "changed"), lab) == {
        "scripts": ["setup-other", "probe-look", "probe-both", "probe-own", "test-netperf"],
        "test": ["probe-look", "probe-both", "probe-own", "test-netperf"],
        "packed": sorted(
            ["bin", "daemon", "distro", "etc", "include", "lib", "monitors", "probes", "programs", "sbin", "setup"]
            + ["stats", "tests", "tools"]
        ),
    }
