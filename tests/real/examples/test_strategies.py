# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of docs/strategies.md, cell by cell: what they call right works, what they refuse is refused in their words.

Of multidevice.yml each combination of strategy and forks is tried; of the other playbooks each strategy, each number of
forks, and what is refused. With WHOLE_TABLE=1 in the environment, all are.
"""

from __future__ import annotations

import os
import typing as t

import pytest

from examples.cells import FORKS, STRATEGIES, Cell, Outcomes, read_tables

WITH_ALL_COMBINATIONS = "multidevice.yml"


def chosen(cells: t.Sequence[Cell]) -> t.Iterator[Cell]:
    rows = list(dict.fromkeys(cell.playbook for cell in cells))
    for cell in cells:
        turn = rows.index(cell.playbook) + STRATEGIES.index(cell.strategy)
        if (
            cell.option
            or cell.refusal
            or cell.playbook == WITH_ALL_COMBINATIONS
            or cell.forks == FORKS[turn % len(FORKS)]
            or os.environ.get("WHOLE_TABLE")
        ):
            yield cell


@pytest.mark.parametrize("cell", list(chosen(read_tables())), ids=str)
def test_cell(cell: Cell, outcomes: Outcomes) -> None:
    outcomes.check(cell)


def test_nothing_is_left_on_the_machines(outcomes: Outcomes) -> None:
    outcomes.check_machines()
