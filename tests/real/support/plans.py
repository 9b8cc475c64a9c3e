# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of submissions as splitting makes them, by number and roles of their nodes."""

from __future__ import annotations

import itertools
import typing as t

_numbers = itertools.count()


def fresh_submission_id() -> str:
    return f"20260131T120000-{next(_numbers):04d}"


def make_plan(
    roles: t.Sequence[t.Sequence[str]], *, submission_id: str | None = None, runs: int = 1
) -> dict[str, t.Any]:
    """One node for each entry of `roles`; node-1 has the first."""
    submission_id = submission_id or fresh_submission_id()
    return {
        "submission_id": submission_id,
        "job": "jobs/example.yaml",
        "runs": [
            {
                "cluster_id": f"{submission_id}.{number}",
                "number": number,
                "params": {"runtime": 60},
                "cluster": "example",
                "roles": sorted({role for entry in roles for role in entry}),
                "nodes": [
                    {
                        "node": f"node-{index}",
                        "job_id": f"{submission_id}.{number}.{index}",
                        "roles": list(entry),
                        "direct_macs": [f"02:00:00:00:{index // 256:02x}:{index % 256:02x}"],
                        "direct_ips": [f"10.{index // 65536}.{index // 256 % 256}.{index % 256}"],
                    }
                    for index, entry in enumerate(roles, 1)
                ],
            }
            for number in range(1, runs + 1)
        ],
    }


def one_server_and(clients: int) -> list[list[str]]:
    return [["server"], *(["client"] for _ in range(clients))]
