# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import Operation
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.base import CoordinationAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._colors import color_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._follow import follow

Result = dict[str, t.Any]


def _nowhere_else(connect: t.Callable[[], t.Any], options: Result, check_mode: bool) -> Result:
    raise CoordinationError("a run is followed on the controller only, where there is a terminal")


class ActionModule(CoordinationAction):
    """The whole of the module: its work is to show lines as they come."""

    operation = Operation(
        work=_nowhere_else,
        argument_spec={"cluster_id": {"type": "str"}, "timeout": {"type": "float", "default": 0}},
    )

    def _work(self, options: Result) -> Result:
        lines = []
        for text, mood in follow(self._connect(options), options["cluster_id"], timeout=options["timeout"]):
            self._display.display(text, color=color_of(mood))
            lines.append(text)
        return {"changed": False, "lines": lines}

    def _delegate(self, options: Result, variables: Result) -> Result:
        return _nowhere_else(lambda: None, options, self._task.check_mode)
