# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_RESULTS_DIR
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.plugin_utils._report import _store, _write

Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """The whole of the module: the results, and what a page is made with, are on the controller."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Make the report, or the comparison, and say where it is."""
        super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "submission": {"type": "str"},
                "submissions": {"type": "list", "elements": "str"},
                "results": {"type": "path", "default": DEFAULT_RESULTS_DIR},
                "dest": {"type": "path"},
            },
            mutually_exclusive=[("submission", "submissions")],
            required_one_of=[("submission", "submissions")],
            required_by={"dest": "submissions"},
        )
        try:
            result = self._make(options)
        except MultideviceError as error:
            return {"failed": True, "changed": False, "msg": str(error)}
        self._display.display("\n".join(["", *filter(None, [result.get("table")]), f"report: {result['report']}", ""]))
        return result

    def _make(self, options: Result) -> Result:
        results, dry = Path(options["results"]), self._task.check_mode
        if options["submission"] is not None:
            report, changed = _write.write_reports(_store.find(options["submission"], results), dry=dry)
            return {"changed": changed, "report": str(report.absolute())}
        folders = [_store.find(name, results) for name in options["submissions"]]
        report, table, changed = _write.write_comparison(folders, Path(options["dest"] or results), dry=dry)
        return {"changed": changed, "report": str(report.absolute()), "table": table}
