# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.results import (
    RESULTS,
    close_runs,
    read_runs,
)
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Verdict
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.delegated import DelegatedAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._colors import color_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._embedded_redis import complete_redis_settings
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._write import write_reports
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.write import write_results

Result = dict[str, t.Any]


class ActionModule(DelegatedAction):
    """Writes the results here, where the scripts' own results are, whoever asks Redis for what happened."""

    operation = RESULTS

    def work(self, options: Result) -> Result:
        """Write the results, or have the relay write them should this process be ended."""
        plan = options["plan"]
        if options["state"] == "promised":
            if not self._task.check_mode:
                dest, redis = os.path.abspath(options["dest"]), complete_redis_settings(options).as_options()
                relay.call("promise_results", plan=plan, dest=dest, redis=redis, strict=options["strict"])
            return {"changed": False}
        coordinator = self.connect(options)
        result = write_results(
            plan,
            options["dest"],
            read_runs(coordinator.history, plan),
            strict=options["strict"],
            dry=self._task.check_mode,
        )
        if not self._task.check_mode:
            close_runs(coordinator.runs, plan)
        return self._completed(result)

    def delegate(self, options: Result, variables: Result) -> Result:
        """Write what the other machine has read."""
        told = super().delegate(options, variables)
        if told.get("failed"):
            return told
        plan, dry = options["plan"], self._task.check_mode
        return self._completed(write_results(plan, options["dest"], told["runs"], strict=options["strict"], dry=dry))

    def _completed(self, result: Result) -> Result:
        """Make the report, and show the results on the terminal."""
        if not self._task.check_mode:
            relay.call("promise_results", start_relay=False, plan=None)
            try:
                result["report"] = str(write_reports(Path(result["folder"]))[0])
            except MultideviceError as error:
                # The results are written: a page that could not be made must not hide how the runs ended.
                self._display.warning(f"no report was made: {error}")
        where = f"report: {result['report']}" if "report" in result else f"results: {result['folder']}"
        outcome = "passed" if result["summary"]["result"] == Verdict.FINISH else "failed"
        parts = [result["table"], result["last_words"], result["told_warnings"], where]
        self._display.display("\n" + "\n\n".join(part for part in parts if part))
        self._display.display(f"{result['verdict']}\n", color=color_of(outcome))
        return result
