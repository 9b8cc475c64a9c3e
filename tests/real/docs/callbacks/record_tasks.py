# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: record_tasks
type: aggregate
short_description: Writes down what became of every task on every host
description:
  - Appends a line of JSON to a file for each, as soon as it is known.
author:
  - lab.multidevice contributors (@lab)
options:
  path:
    description:
      - The file.
    type: path
    required: true
    env:
      - name: RECORD_TASKS_IN
"""

import json
import typing as t

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record_tasks"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        self._play = play.get_name()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._record(result, "ok")

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._record(result, "skipped")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._record(result, "failed")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._record(result, "unreachable")

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        # What includes tasks has no result of its own.
        for host in included_file._hosts:
            self._write(included_file._task, host, "ok", {})

    def _record(self, result: t.Any, status: str) -> None:
        self._write(result.task, result.host, status, result.result)

    def _write(self, task: t.Any, host: t.Any, status: str, result: t.Any) -> None:
        entry = {"play": self._play, "task": task.get_name(), "host": host.get_name()}
        with open(self.get_option("path"), "a", encoding="utf-8") as stream:
            stream.write(json.dumps({**entry, "status": status, "result": result}, default=str) + "\n")
