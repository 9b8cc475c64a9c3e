# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.base import ControllerAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._colors import color_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._follow import follow

Result = dict[str, t.Any]


class ActionModule(ControllerAction):
    """The whole of the module: its work is to show lines as they come."""

    argument_spec = {"cluster_id": {"type": "str"}, "timeout": {"type": "float", "default": 0}}
    nowhere_else = "a run is followed on the controller only, where there is a terminal"

    def work(self, options: Result) -> Result:
        """Show what happens until it is over."""
        lines = []
        for text, outcome in follow(self.connect(options), options["cluster_id"], timeout=options["timeout"]):
            self._display.display(text, color=color_of(outcome))
            lines.append(text)
        return {"changed": False, "lines": lines}
