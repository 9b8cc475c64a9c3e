# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.redis_variables import VARIABLES

# All that a user can set for the playbooks. What tasks hand on to one another is here neither when a play begins.
SETTINGS = frozenset(
    f"multidevice_{name}"
    for name in [
        "check_links",
        "cluster",
        "cluster_paths",
        "direct_mtu",
        "direct_network",
        "exchange",
        "idle_timeout",
        "lease",
        "machine",
        "node_dir",
        "node_ssh",
        "one_network_per_mac",
        "params",
        "priority",
        "queue_timeout",
        "ready_timeout",
        "report",
        "reserve_timeout",
        "results_dir",
        "results_limit",
        "retention",
        "retries",
        "run_timeout",
        "script_paths",
        "script_user",
        "slice",
        "spool",
        "start_timeout",
        "stop_grace",
        "strategy",
        "strict",
        "trees_limit",
        "worker_lease",
    ]
) | frozenset(VARIABLES.values())


def unknown_settings(names: t.Iterable[str]) -> list[str]:
    """A sentence for each of these variables that no playbook knows: as a rule a typing error."""
    sentences = []
    for name in sorted(set(names) - SETTINGS):
        near = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0.8)
        hint = f"; did you mean {near[0]}?" if near else "; docs/reference/variables.md lists all of them."
        sentences.append(f"there is no variable {name}{hint}")
    return sentences


class FilterModule:
    """Filters for playbooks that refuse variables which nobody reads."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"unknown_settings": unknown_settings}
