# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import answers
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.node import NodeAction

PROMISED = dict.fromkeys(("devices", "peers", "diff"), answers.data)
CHECKS = ("check_duplicates", "check_peers", "carrier_timeout", "peer_timeout")


class ActionModule(NodeAction):
    """Has the supervisor of a run do it when there is one, which saves a trip to the machine; else the module."""

    def work(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """Bind or unbind direct addresses."""
        options = self._task.args
        supervised = options.get("job_id") and not self._task.check_mode and not options.get("record_dir")
        if not supervised or not self.call_relay("attached", start_relay=False).get("attached"):
            return answers.let_in(self.node, self._execute_module(task_vars=variables), PROMISED)
        request = {
            "op": "links",
            "state": options.get("state", "present"),
            "links": options.get("links"),
            "options": {name: options[name] for name in CHECKS if name in options},
        }
        change = self.call_relay("request", request=request)
        return {
            "changed": change["changed"],
            "devices": answers.data(change["devices"]),
            "peers": answers.data(change["peers"]),
            "warnings": answers.warnings(change["warnings"]),
            "diff": answers.data({"before": change["before"], "after": change["after"]}),
        }
