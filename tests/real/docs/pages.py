# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A page of the documentation as somebody follows it: files to write, commands to type, and what they print.

A file is a block of code after a line that is its path in backquotes and a colon. Commands are the lines of a block
`console` that begin with `$ `; the lines after each are what it prints. Where there are none, the page is silent about it.
"""

from __future__ import annotations

import collections
import re
import typing as t
from dataclasses import dataclass

from support.repository import REPOSITORY

DOCS = REPOSITORY / "docs"
# Where the pages say that the reader is.
HOME = "/home/me"

_BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_ID = re.compile(r"\d{8}T\d{6}-[0-9a-z]{4}")
_DURATION = re.compile(r"\d[\d.]*(?:(?: – |–)\d[\d.]*)* s\b")
# What ip adds to the name of a card of a namespace.
_VIRTUAL = re.compile(r"(?<=\w)@if\d+")
_GROUP = re.compile(r"((?:\S+ )?)(\w[\w.-]*(?:, \w[\w.-]*)+): (.*)")


@dataclass(frozen=True)
class File:
    path: str
    text: str


@dataclass(frozen=True)
class Command:
    text: str
    shown: str
    span: tuple[int, int]
    """Where in the page the shown output is."""


Step = File | Command


def sections(page: str) -> dict[str, str]:
    """The parts of a page by their headings of level two, each as long as the page so that places in it stay right."""
    found = {}
    starts = [(match.start(), match[1]) for match in re.finditer(r"^## (.*)$", page, re.MULTILINE)]
    for (start, title), (end, _unused) in zip(starts, [*starts[1:], (len(page), "")], strict=True):
        found[title] = re.sub(r"[^\n]", " ", page[:start]) + page[start:end]
    return found


def steps(text: str) -> t.Iterator[Step]:
    for block in _BLOCK.finditer(text):
        path, language, content = block.groups()
        if language == "console":
            for command in _COMMAND.finditer(content):
                start, end = (block.start(3) + place for place in command.span(2))
                yield Command(command[1], command[2], (start, end))
        elif path:
            yield File(path, content)


def blotted(output: str) -> collections.Counter[str]:
    """The lines of an output without what differs from run to run: ids, times, numbers, and who came first."""
    text = _VIRTUAL.sub("", _DURATION.sub("# s", _ID.sub("ID", output)))
    lines = [single for line in text.splitlines() for single in _one_by_one(line)]
    plain = (re.sub(r"[ -]+", " ", re.sub(r"\d[\d.:]*", "#", line)).strip() for line in lines)
    return collections.Counter(filter(None, plain))


def _one_by_one(line: str) -> t.Iterator[str]:
    group = _GROUP.fullmatch(line)
    if group is None:
        yield line
    else:
        for name in group[2].split(", "):
            yield f"{group[1]}{name}: {group[3]}"
