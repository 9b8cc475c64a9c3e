# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import shutil
import typing as t
from collections.abc import Sequence

from ansible_collections.lab.multidevice.plugins.module_utils import _wording as wording
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import CORE, RunView

LEFT_FREE = 4
FEWEST_ROWS = 6


class Screen:
    """A few lines at the end of a terminal's output that are written anew in their place."""

    def __init__(self, write: t.Callable[[str], t.Any]) -> None:
        self._write = write
        self._height = 0

    def show(self, lines: Sequence[str]) -> None:
        """Put these lines in the place of those before."""
        up = f"\x1b[{self._height}F" if self._height else ""
        self._write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._height = len(lines)

    def clear(self) -> None:
        """Take the lines away, so that something that stays can be written."""
        if self._height:
            self._write(f"\x1b[{self._height}F\x1b[J")
            self._height = 0


def picture(runs: Sequence[RunView], now: float, *, about: str = "") -> list[str]:
    """The run that goes on in as many lines as the terminal can show, nodes that do the same together.

    :param now: by the clock of the events.
    :param about: what Ansible does at this moment.
    """
    size = shutil.get_terminal_size()
    going = [run for run in runs if run.is_going]
    if not going:
        return [_cut(f"— {about}", size.columns)] if about else []
    run = going[0]
    rows = max(FEWEST_ROWS, size.lines - LEFT_FREE)
    head = [part for part in (run.name, run.result, wording.clock(now - (run.begin or now)), about) if part]
    lines = [f"— {' · '.join(head)} ".ljust(min(size.columns - 1, 78), "—"), _steps(run)]
    lines += [
        f"  waited for at {barrier} since {wording.clock(now - since)}: {wording.names(nodes)}"
        for barrier, nodes, since in run.missing()
    ]
    groups = _groups(run)
    room = rows - len(lines)
    if len(groups) > room:
        more = sum(len(nodes) for nodes, _text, _since, _beside in groups[room - 1 :])
        groups = groups[: room - 1]
        lines += _grouped(groups, now)
        lines.append(f"  and {more} nodes more")
    else:
        lines += _grouped(groups, now)
    return [_cut(line, size.columns) for line in lines]


def _steps(run: RunView) -> str:
    total = len(run.nodes)
    own = [barrier for barrier in run.arrived if barrier not in CORE]
    parts = []
    for barrier in (*CORE[:2], *own, CORE[2]):
        mark = " ✔" if barrier in run.released else ""
        count = len(run.arrived.get(barrier, ()))
        parts.append(f"{barrier} {count}{'' if barrier in own else f'/{total}'}{mark}")
    return "  " + "   ".join(parts)


def _groups(run: RunView) -> list[tuple[list[str], str, float, str]]:
    found: dict[tuple[str, str], tuple[list[str], float]] = {}
    for name, node in run.nodes.items():
        text, since, beside = node.now()
        names, first = found.setdefault((text, beside), ([], since))
        names.append(name)
        found[text, beside] = (names, min(first, since) if since else first)
    groups = [(names, text, since, beside) for (text, beside), (names, since) in found.items()]
    return sorted(groups, key=lambda group: -len(group[0]))


def _grouped(groups: Sequence[tuple[list[str], str, float, str]], now: float) -> list[str]:
    named = [(wording.names(names), text, since, beside) for names, text, since, beside in groups]
    width = min(40, max((len(names) for names, *_rest in named), default=0))
    lines = []
    for names, text, since, beside in named:
        clock = f" {wording.clock(now - since)}" if since else ""
        lines.append(f"  {names.ljust(width)}  {text}{clock}{f'  + {beside}' if beside else ''}")
    return lines


def _cut(line: str, columns: int) -> str:
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
    return line if len(line) < columns else line[: columns - 2] + "…"
