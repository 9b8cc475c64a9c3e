# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Shows how far the machines of a run have come
version_added: 0.1.0
description:
  - Shows what happens in a run instead of the tasks that make it happen. The tasks of this collection's own playbooks and
    roles are not listed, those of others are, as with P(ansible.builtin.default#callback).
  - In a terminal, a few lines at its end are kept up to date. They tell who has reached which barrier, who is waited for and for
    how long, and which scripts run where since when. Machines that do the same share a line.
  - In a log file there is a line for each step of a run.
  - With C(-v) everything is shown as P(ansible.builtin.default#callback) shows it, and the steps of the run in between.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout callback in the configuration
  - redis (Python) >= 5.0.0
options:
  live:
    description:
      - Whether the lines at the end of the terminal are kept up to date.
      - V(auto) does so when the output goes to a terminal that can.
    type: str
    choices: [auto, always, never]
    default: auto
    version_added: 0.1.0
    env:
      - name: MULTIDEVICE_PROGRESS_LIVE
    ini:
      - section: callback_multidevice_progress
        key: live
"""

import os
import sys
import time
import typing as t
from pathlib import Path

from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.utils.display import Display
from ansible_collections.lab.multidevice.plugins.module_utils import _format
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.planned import Plan
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._colors import color_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import Note, RunView
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._screen import Screen, picture
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._watcher import Watcher

COLLECTION = Path(__file__).resolve().parents[2]
NAME = "lab.multidevice"
LIVE_PATIENCE = 0.25
LOG_PATIENCE = 1.0
SILENCE = 60.0


class CallbackModule(DefaultCallback):
    """Ansible's default output for the tasks of others, and the runs' own progress instead of this collection's tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lab.multidevice.progress"

    def __init__(self) -> None:
        super().__init__()
        self._watcher: Watcher | None = None
        self._screen: Screen | None = None
        self._about = ""
        self._done = 0
        self._hosts = 0
        self._has_foreign = False
        self._said: set[str] = set()
        self._last_line = 0.0

    # What is shown, and what is not

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        self._play = play
        if self._hides(play):
            self._about = ""
        else:
            self._has_foreign = True
            super().v2_playbook_on_play_start(play)

    def _task_start(self, task: t.Any, prefix: str | None = None) -> None:
        if task.action == f"{NAME}.cluster_results" and task.args.get("state") != "promised":
            self._end_watch()
        if not self._hides(task):
            super()._task_start(task, prefix)
            return
        self._task_type_cache[task._uuid] = prefix or "TASK"
        self._last_task_name = task.get_name().strip()
        if "Validating arguments" not in task.get_name() and task._get_meta() is None:
            self._about, self._done = self._last_task_name.rpartition(" : ")[2], 0

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        if not self._hides(included_file._task):
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        if not self._hides(task):
            super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._notice(result)
        if not self._hides(result.task):
            super().v2_runner_on_ok(result)
            return
        self._done += 1
        self._handle_warnings_and_exception(result)
        if result.task.action in ("debug", "ansible.builtin.debug") and "msg" in result.result:
            said = result.result["msg"]
            text = "\n".join(map(str, said)) if isinstance(said, list) else str(said)
            self._say(f"{self._who(result)}{text}")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._notice(result)
        if not self._hides(result.task):
            super().v2_runner_on_failed(result, ignore_errors=ignore_errors)
        elif not ignore_errors:
            self._failed(result, "failed")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        if self._hides(result.task):
            self._failed(result, "cannot be reached")
        else:
            super().v2_runner_on_unreachable(result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        if not self._hides(result.task):
            super().v2_runner_on_skipped(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        if not self._hides(result.task):
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        if not self._hides(result.task):
            super().v2_runner_item_on_failed(result)

    def v2_runner_item_on_skipped(self, result: t.Any) -> None:
        if not self._hides(result.task):
            super().v2_runner_item_on_skipped(result)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        if not self._hides(self._play):
            super().v2_playbook_on_no_hosts_remaining()

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._end_watch()
        if self._has_foreign:
            super().v2_playbook_on_stats(stats)

    def _hides(self, item: t.Any) -> bool:
        """Whether a play or a task is this collection's own, and nobody asked for all."""
        if self._display.verbosity:
            return False
        path = (item.get_path() or "").rpartition(":")[0]
        return bool(path) and Path(path).resolve().is_relative_to(COLLECTION)

    def _failed(self, result: t.Any, how: str) -> None:
        node = result.host.get_name()
        message = str(result.result.get("msg") or "")
        # The loop's own message says nothing; those of its items do.
        for item in result.result.get("results", ()):
            if isinstance(item, dict) and item.get("failed"):
                message = str(item.get("msg") or message)
        if message in self._said:
            return
        text = f"{how}: {message or result.task.get_name()}"
        run = self._run_of(node)
        if self._watcher is not None and run is not None:
            self._watcher.note(run.cluster_id, Note(text, node, outcome="failed", failure=message))
        else:
            self._handle_warnings_and_exception(result)
            self._say(f"{self._who(result)}{text}", "bad")

    @staticmethod
    def _who(result: t.Any) -> str:
        name = result.host.get_name()
        return "" if name == "localhost" else f"{name}: "

    # The runs

    def _notice(self, result: t.Any) -> None:
        """Learn from a task's result which runs there are, and how they ended."""
        action = result.task.action
        if not action.startswith(f"{NAME}."):
            return
        if action == f"{NAME}.cluster_split" and result.result.get("runs") and not result.task.check_mode:
            self._take_plan(result.result["plan"], self._arguments(result))
        elif action == f"{NAME}.cluster_results":
            self._said.add(result.result.get("verdict", ""))
        elif self._watcher is None and self._arguments(result).get("job_id"):
            self._take_job(str(self._arguments(result)["job_id"]), self._arguments(result))

    @staticmethod
    def _arguments(result: t.Any) -> t.Mapping[str, t.Any]:
        fields = getattr(result, "_task_fields", None) or {"args": result.task.args}
        arguments: t.Mapping[str, t.Any] = fields["args"]
        return arguments

    def _take_plan(self, plan: Plan, arguments: t.Mapping[str, t.Any]) -> None:
        runs = plan["runs"]
        watcher = self._watch(arguments)
        for run in runs:
            name = f"run {run['number']} of {len(runs)}" if len(runs) > 1 else ""
            nodes = {node["node"]: node["roles"] for node in run["nodes"]}
            watcher.add(RunView(run["cluster_id"], nodes, name=name))
        self._hosts = len(runs[0]["nodes"])
        roles = ", ".join(
            f"{sum(role in node['roles'] for node in runs[0]['nodes'])} {role}" for role in runs[0]["roles"]
        )
        what = f"{_format.count(len(runs), 'run')} of {plan['job']}" if len(runs) > 1 else plan["job"]
        self._say(f"{time.strftime('%H:%M:%S')} {plan['submission_id']}: {what}, {_nodes(self._hosts, roles)}")

    def _take_job(self, job_id: str, arguments: t.Mapping[str, t.Any]) -> None:
        cluster_id = job_id.rpartition(".")[0]
        self._watch(arguments).add(RunView(cluster_id, {}))

    def _watch(self, arguments: t.Mapping[str, t.Any]) -> Watcher:
        if self._watcher is None:
            live = self._is_live()
            self._watcher = Watcher(arguments, self._show, patience=LIVE_PATIENCE if live else LOG_PATIENCE)
            if live:
                self._begin_screen()
            self._last_line = time.monotonic()
            self._watcher.start()
        return self._watcher

    def _run_of(self, node: str) -> RunView | None:
        """The run that a node has a part in now: the last that has begun."""
        runs = self._watcher.runs.values() if self._watcher is not None else ()
        mine = [run for run in runs if node in run.nodes]
        return next((run for run in reversed(mine) if run.history.begin is not None), mine[0] if mine else None)

    def _end_watch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.end()
            self._about = ""
            self._tell(watcher, everything=True)
            self._end_screen()

    # The terminal. The watcher's thread and Ansible's main thread write to it, under the lock of Ansible's display.

    def _is_live(self) -> bool:
        choice = self.get_option("live")
        if choice == "auto":
            return not self._display.verbosity and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        return bool(choice == "always")

    def _begin_screen(self) -> None:
        screen = self._screen = Screen(_write)
        display, process = self._display, os.getpid()

        def show_above(*arguments: t.Any, **options: t.Any) -> None:
            if os.getpid() != process:
                Display.display(display, *arguments, **options)
                return
            with display._lock:
                screen.clear()
                Display.display(display, *arguments, **options)

        # Warnings and others' tasks are written above the lines that are kept up to date, not into them.
        vars(display)["display"] = show_above

    def _end_screen(self) -> None:
        if self._screen is not None:
            with self._display._lock:
                self._screen.clear()
            self._screen = None
            del vars(self._display)["display"]

    def _show(self) -> None:
        """Called by the watcher's thread."""
        watcher = self._watcher
        if watcher is None:
            return
        self._tell(watcher)
        with watcher.lock:
            runs = list(watcher.runs.values())
            now = watcher.now()
            counted = f"{self._about} {self._done}/{self._hosts}" if self._about and self._done else self._about
            lines = picture(runs, now, about=counted)
        screen = self._screen
        if screen is not None:
            with self._display._lock:
                screen.show(lines)
        elif time.monotonic() - self._last_line > SILENCE and len(lines) > 1:
            self._say("\n".join([f"{time.strftime('%H:%M:%S')} {lines[0].strip(' —')}", *lines[1:]]))

    def _tell(self, watcher: Watcher, *, everything: bool = False) -> None:
        with watcher.lock:
            lines = list(watcher.notes.lines(everything=everything))
        for text, outcome in lines:
            self._say(text, outcome)

    def _say(self, text: str, outcome: str = "") -> None:
        self._display.display(text, color=color_of(outcome))
        self._last_line = time.monotonic()


def _nodes(count: int, roles: str) -> str:
    return f"{_format.count(count, 'node')} ({roles})"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
