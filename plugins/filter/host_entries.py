# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t


def host_entries(run: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """The entries of /etc/hosts for a run: node and role names at the nodes' own addresses, and with ``direct-`` before
    them at the direct ones. A node without a direct link has its own address under both.
    """
    entries = []
    for name, node in run["nodes"].items():
        names = [name, *node["roles"]]
        own = [node["ip"]] if node["ip"] else []
        for address in own:
            entries.append({"address": address, "names": names})
        for address in node["direct_ips"] or own:
            entries.append({"address": address, "names": [f"direct-{each}" for each in names]})
    return entries


class FilterModule:
    """Filters for playbooks that use a run's state."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"host_entries": host_entries}
