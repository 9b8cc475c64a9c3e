# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import shutil
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Barrier
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import RunView

LEFT_FREE = 4
FEWEST_ROWS = 6
WIDEST_NAMES = 40


@dataclass
class _Group:
    text: str
    since: float
    beside: dict[str, float]
    names: list[str] = field(default_factory=list)


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
    head = [
        part for part in (run.name, run.history.verdict, _format.clock(now - (run.history.begin or now)), about) if part
    ]
    lines = [f"— {' · '.join(head)} ".ljust(min(size.columns - 1, 78), "—"), _steps(run)]
    lines += [
        f"  waited for at {barrier} since {_format.clock(now - since)}: {_format.names(nodes)}"
        for barrier, nodes, since in run.missing()
    ]
    groups = _groups(run)
    room = rows - len(lines)
    shown = groups if len(groups) <= room else groups[: room - 1]
    lines += _group_lines(shown, now)
    if shown is not groups:
        lines.append(f"  and {_format.count(sum(len(group.names) for group in groups[len(shown) :]), 'node')} more")
    return [_cut(line, size.columns) for line in lines]


def _steps(run: RunView) -> str:
    """Each barrier with how many have come; those of the scripts stand before the last one of the run."""
    total, barriers = len(run.nodes), run.history.barriers
    own = [name for name in barriers if name not in list(Barrier)]
    parts = []
    for name in (*[barrier for barrier in Barrier if barrier is not Barrier.FINISH], *own, Barrier.FINISH):
        barrier = barriers.get(name)
        mark = " ✔" if barrier and barrier.released is not None else ""
        count = len(barrier.arrived) if barrier else 0
        parts.append(f"{name} {count}{'' if name in own else f'/{total}'}{mark}")
    return "  " + "   ".join(parts)


def _groups(run: RunView) -> list[_Group]:
    """The nodes, those together that do the same; the largest group first."""
    found: dict[t.Any, _Group] = {}
    for name, node in run.nodes.items():
        text, since = node.now()
        beside = node.beside()
        group = found.setdefault((text, *beside), _Group(text, since, dict(beside)))
        group.names.append(name)
        group.since = min(group.since, since)
        group.beside = {label: min(group.beside[label], moment) for label, moment in beside.items()}
    return sorted(found.values(), key=lambda group: -len(group.names))


def _group_lines(groups: Sequence[_Group], now: float) -> list[str]:
    named = [(_format.names(group.names), group) for group in groups]
    width = min(WIDEST_NAMES, max((len(names) for names, _group in named), default=0))
    lines = []
    for names, group in named:
        clock = f" {_format.clock(now - group.since)}" if group.since else ""
        beside = "".join(f"  + {label} {_format.clock(now - since)}" for label, since in group.beside.items())
        lines.append(f"  {names.ljust(width)}  {group.text}{clock}{beside}")
    return lines


def _cut(line: str, columns: int) -> str:
    line = _format.printable(line)
    return line if len(line) < columns else line[: columns - 2] + "…"
