# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.results import RESULTS
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.base import CoordinationAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._colors import color_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._embedded_redis import complete_redis_options
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._write import write_reports


class ActionModule(CoordinationAction):
    operation = RESULTS

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Write the results, and show them as a table on the terminal."""
        result = super().run(tmp, task_vars)
        if "table" in result:
            self._show(result)
        return result

    def _show(self, result: dict[str, t.Any]) -> None:
        where = f"report: {result['report']}" if "report" in result else f"results: {result['folder']}"
        mood = "good" if result["summary"]["result"] == "finish" else "bad"
        parts = [result["table"], result["last_words"], where]
        self._display.display("\n" + "\n\n".join(part for part in parts if part))
        self._display.display(f"{result['verdict']}\n", color=color_of(mood))

    def _work(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        if options["state"] == "promised":
            if not self._task.check_mode:
                dest, redis = os.path.abspath(options["dest"]), complete_redis_options(options)
                relay.call("promise_results", plan=options["plan"], dest=dest, redis=redis)
            return {"changed": False}
        result = super()._work(options)
        if not self._task.check_mode:
            relay.call("promise_results", start_relay=False, plan=None)
            try:
                result["report"] = str(write_reports(Path(result["folder"]))[0])
            except MultideviceError as error:
                # The results are written: a page that could not be made must not hide how the runs ended.
                self._display.warning(f"no report was made: {error}")
        return result
