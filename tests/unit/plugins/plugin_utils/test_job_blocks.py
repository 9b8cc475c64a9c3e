# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the keys of a job file mean, with their values."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.plugin_utils._job import blocks
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import Place

PLACE = Place("job.yaml", 3)
BLOCK = blocks.JobBlock(PLACE)


@pytest.mark.parametrize(
    ("key", "value", "meaning"),
    [
        ("if distro", None, blocks.ConditionBlock("if distro", None, PLACE, "distro")),
        ("if\tdistro :: ", BLOCK, blocks.ConditionBlock("if\tdistro :: ", BLOCK, PLACE, "distro")),
        ("if distro", "debian", blocks.Entry("if distro", "debian", PLACE)),
        ("if distro", 0, blocks.Entry("if distro", 0, PLACE)),
        ("iff distro", None, blocks.Entry("iff distro", None, PLACE)),
        ("if role a", None, blocks.RoleBlock("if role a", None, PLACE, "a")),
        ("ready", 5, blocks.Entry("ready", 5, PLACE)),
        ("ready", BLOCK, blocks.Data("ready", BLOCK, PLACE)),
        ("pp", 5, blocks.Data("pp", 5, PLACE)),
        ("script stats/a", "x", blocks.Parser("script stats/a", "x", PLACE)),
    ],
)
def test_what_a_key_means(key: str, value: t.Any, meaning: blocks.Statement) -> None:
    said = blocks.statement_of(key, value, PLACE)
    assert type(said) is type(meaning)
    assert said == meaning
