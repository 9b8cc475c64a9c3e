# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation held against itself and against the code: links, variables, messages."""

from __future__ import annotations

import ast
import functools
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from docs.pages import DOCS, REPOSITORY

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


def test_all_variables_of_the_playbooks_are_described() -> None:
    page = (DOCS / "reference" / "variables.md").read_text()
    described = set(re.findall(r"`(multidevice_[a-z_]+)`", page))
    text = "".join(
        path.read_text() for path in REPOSITORY.glob("playbooks/**/*.yml") if "collections" not in path.parts
    )
    used = set(re.findall(r"\b(multidevice_[a-z_]+)\b", text))
    made = set(re.findall(r"(?:register|loop_var|index_var): (multidevice_[a-z_]+)", text))
    # What tasks hand on to one another.
    made |= {"multidevice_node_job", "multidevice_node_jobs", "multidevice_nodes"}
    assert described - used == set()
    assert used - made - described == set()


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
