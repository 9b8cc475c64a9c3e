# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t


def queued_lines(runs: t.Sequence[dict[str, t.Any]], submission_id: str) -> list[str]:
    """What has been put into which queues, for a person: the ids first, as they are needed to ask for them."""
    lines = [f"submission {submission_id}"]
    for run in runs:
        queues = ", ".join(f"{node['node']} in queue {node['queue']}" for node in run["nodes"])
        lines.append(f"run {run['cluster_id']}: {queues}")
    return lines


class FilterModule:
    """Filters for playbooks that put node jobs into queues."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"queued_lines": queued_lines}
