# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import typing as t


def link_peers(run: dict[str, t.Any], node_job: dict[str, t.Any]) -> list[dict[str, str]]:
    """The other ends that a node must reach over its direct links: whoever has an address in one of their networks."""
    networks = [
        ipaddress.ip_interface(address).network
        for link in node_job["direct_links"]
        for address in ([link["ip"]] if isinstance(link["ip"], str) else link["ip"])
    ]
    return [
        {"ip": ip, "mac": mac, "node": name}
        for name, node in run["nodes"].items()
        if name != node_job["node"]
        for ip, mac in zip(node["direct_ips"], node["direct_macs"], strict=True)
        if any(ipaddress.ip_address(ip) in network for network in networks)
    ]


class FilterModule:
    """Filters for playbooks that check the direct links of a run."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"link_peers": link_peers}
