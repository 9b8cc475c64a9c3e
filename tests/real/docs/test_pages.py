# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation held against itself and against the code: links, variables, messages."""

from __future__ import annotations

import ast
import functools
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.lab.multidevice.plugins.filter.unknown_settings import SETTINGS
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.redis_variables import VARIABLES
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission

from docs.pages import DOCS, File, steps
from support.repository import REPOSITORY

PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md"), *REPOSITORY.glob("roles/*/README.md")])
# A shorter fixed text could be found by chance.
ENOUGH = 12

_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_LUA_TEXT = re.compile(r"'([^'\n]*)'")


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = _HEADING.findall(_CODE.sub("", page.read_text()))
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        path, _unused, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert not wrong


def test_every_page_is_in_the_index() -> None:
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in _LINK.findall((DOCS / "README.md").read_text())}
    generated = set((DOCS / "reference").glob("*.md")) - {DOCS / "reference" / "README.md"}
    assert set(DOCS.rglob("*.md")) - generated - listed == {DOCS / "README.md"}


def test_each_word_is_explained_once_and_the_pages_lead_there() -> None:
    words = re.findall(r"^\| (?!word)(\w[\w ]*) \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 50
    assert sorted(words) == sorted(set(words))
    for page in ("README.md", "job-file.md", "protocol.md", "protocol.zh.md", "queue.md"):
        assert "](glossary.md)" in (DOCS / page).read_text(), page


def test_the_protocol_is_the_same_in_both_languages() -> None:
    """As many headings, rows, steps of the diagrams and links, and the same names of keys, states and variables."""
    pages = [(DOCS / name).read_text() for name in ("protocol.md", "protocol.zh.md")]
    for pattern in (r"^#+ ", r"^\|", r"^- ", r"^    \w.*$", r"^```mermaid$"):
        first, second = (len(re.findall(pattern, page, re.MULTILINE)) for page in pages)
        assert first == second, pattern
    names = [set(re.findall(r"`((?:sched/|multidevice_|wait_)[^`]*)`", page)) for page in pages]
    assert names[0] == names[1]


def test_all_variables_of_the_playbooks_are_described() -> None:
    """Those of queues and workers on their own page."""
    described = set(re.findall(r"`(multidevice_[a-z_]+)`", (DOCS / "reference" / "variables.md").read_text()))
    elsewhere = set(re.findall(r"\bmultidevice_[a-z_]+\b", "".join(page.read_text() for page in DOCS.glob("*.md"))))
    text = "".join(
        path.read_text() for path in REPOSITORY.glob("playbooks/**/*.yml") if "collections" not in path.parts
    )
    used = set(re.findall(r"\bmultidevice_[a-z_]+\b", text)) | set(VARIABLES.values())
    # What a user may leave out has a default; the other names are what tasks hand on to one another.
    settings = set(re.findall(r"\b(multidevice_[a-z_]+) *\| *default\(", text))
    settings -= set(re.findall(r"(?:register|loop_var|index_var): (multidevice_[a-z_]+)", text))
    settings |= set(VARIABLES.values())
    assert described - used == set()
    assert settings - described - elsewhere == set()
    assert len(settings) > 30
    assert settings | described == SETTINGS


def jobs() -> list[t.Any]:
    """The job files on the pages of how-to guides, with the files that the same page writes."""
    found = []
    for page in sorted((DOCS / "how-to").glob("*.md")):
        text = page.read_text()
        for job in re.findall(r"^```yaml\n(cluster: .*?)^```$", text, re.MULTILINE | re.DOTALL):
            found.append(pytest.param(job, [step for step in steps(text) if isinstance(step, File)], id=page.stem))
    return found


@pytest.mark.parametrize(("job", "files"), jobs())
def test_jobs_are_read_as_they_are_meant(tmp_path: Path, job: str, files: list[File]) -> None:
    """Each key in the block of a role is a script: one that the page writes, or one that a reader would have."""
    blocks = {key.split()[2]: list(value) for key, value in yaml.safe_load(job).items() if key.startswith("if role ")}
    texts = {Path(file.path): file.text for file in files}
    there = {path.name for path in texts}
    for role, names in blocks.items():
        folder = "daemon" if role == "server" else "tests"
        texts |= {Path(folder, name): "#!/bin/sh\n" for name in names if name not in there}
    for path, text in texts.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)
    (tmp_path / "pair").write_text(json.dumps({name: {"roles": [name]} for name in blocks}))
    (tmp_path / "job.yaml").write_text(job)
    plan = plan_submission(str(tmp_path / "job.yaml"), submission_id="s")
    assert plan["warnings"] == []
    planned = {script["name"] for run in plan["runs"] for node in run["nodes"] for script in node["scripts"]}
    assert planned == {name for names in blocks.values() for name in names}
    (declared,) = re.findall(r"These are (\w+) runs", job_page(job)) or ["one"]
    assert len(plan["runs"]) == {"one": 1, "six": 6}[declared]


def job_page(job: str) -> str:
    return next(text for text in (page.read_text() for page in DOCS.glob("how-to/*.md")) if job in text)


@functools.cache
def messages() -> list[re.Pattern[str]]:
    """All texts of the code with enough that never changes; what changes is a wildcard."""
    patterns = []
    for path in REPOSITORY.glob("plugins/**/*.py"):
        patterns += [text for node in ast.walk(ast.parse(path.read_text())) for text in _of_python(node)]
    for path in [*REPOSITORY.glob("playbooks/*.yml"), *REPOSITORY.glob("playbooks/tasks/*.yml")]:
        patterns += [re.split(r"{{.*?}}", text) for text in _of_yaml(yaml.safe_load(path.read_text()))]
    enough = [parts for parts in patterns if sum(map(len, parts)) >= ENOUGH]
    return [re.compile(".*".join(map(re.escape, parts)), re.DOTALL) for parts in enough]


def _of_python(node: ast.AST) -> t.Iterator[list[str]]:
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        yield [str(part) for part in parts if part is not None]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if "redis.call(" in node.value:
            yield from ([text] for text in _LUA_TEXT.findall(node.value))
        elif "\n" not in node.value:
            yield [node.value]


def _of_yaml(node: t.Any) -> t.Iterator[str]:
    if isinstance(node, dict):
        if "fail_msg" in node:
            yield node["fail_msg"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _of_yaml(item)


def quoted() -> list[str]:
    return re.findall(r"^```text\n(.*?)\n```$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("sentence", quoted())
def test_what_is_quoted_is_what_the_code_says(sentence: str) -> None:
    assert any(message.search(sentence) for message in messages())


def test_a_sentence_that_nobody_says_is_noticed() -> None:
    assert len(quoted()) > 30
    assert not any(message.search("client-1: the moon is in the wrong phase (5)") for message in messages())
