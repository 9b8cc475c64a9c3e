# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t


def node_job(plan: t.Mapping[str, t.Any], run: t.Mapping[str, t.Any], node: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a machine is told of its part of a run: the keys of its node in the plan, and what the run and the submission are."""
    about = {key: run[key] for key in ("cluster_id", "number", "params")}
    return {**node, **about, "submission_id": plan["submission_id"]}
