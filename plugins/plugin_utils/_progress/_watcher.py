# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import os
import threading
import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._grouped_notes import GroupedNotes
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import Note, RunView
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay

PAUSE_AFTER_TROUBLE = 2.0
LAST_LOOK = 5.0
ANSWER_TIMEOUT = 60.0


class Watcher(threading.Thread):
    """Follows the events of runs, beside Ansible's own main thread.

    It has the relay ask Redis for them. A client in this process could be in the middle of something, above all of TLS, in
    the moment in which Ansible forks, and leave its locks taken in the fork for ever.

    :param options: how to reach Redis, as tasks have it; when they say nothing, it is the embedded one of this process.
    :param tell: called now and then, and whenever something has happened.
    """

    def __init__(self, options: t.Mapping[str, t.Any], tell: t.Callable[[], None], *, patience: float) -> None:
        super().__init__(name="multidevice-progress", daemon=True)
        self.runs: dict[str, RunView] = {}
        self.notes = GroupedNotes()
        self.lock = threading.Lock()
        self.delay: float | None = None  # this machine's clock less that of Redis, and the way of an event
        self._options = options
        self._tell = tell
        self._patience = patience
        self._positions: dict[str, str] = {}
        self._ending = threading.Event()

    def add(self, run: RunView) -> None:
        """Follow a run too."""
        with self.lock:
            self.runs[run.cluster_id] = run
            self._positions[run.cluster_id] = "0"

    def note(self, cluster_id: str, note: Note) -> None:
        """Note what the watcher cannot see."""
        with self.lock:
            self.notes.add(self.runs[cluster_id], note)

    def run(self) -> None:
        """Follow until told to end."""
        while not self._ending.is_set():
            try:
                if not self._look(self._patience):
                    self._ending.wait(self._patience)
            except MultideviceError:
                self._ending.wait(PAUSE_AFTER_TROUBLE)
            self._tell()
        with contextlib.suppress(MultideviceError):
            self._look(0)

    def end(self) -> None:
        """Look a last time, and end."""
        self._ending.set()
        self.join(LAST_LOOK)

    def now(self) -> float:
        """The time by the clock of Redis."""
        return time.time() - (self.delay or 0.0)

    def _look(self, seconds: float) -> bool:
        """Wait for events; False when there is nothing to look into."""
        settings = RedisSettings.from_options(self._options)
        with self.lock:
            positions = dict(self._positions)
        if not positions:
            return False
        answer = relay.call(
            "follow",
            # Without an embedded Redis there is nothing to see of one.
            start_relay=settings.is_set,
            timeout=seconds + ANSWER_TIMEOUT,
            controller=os.getpid(),
            redis=settings.as_options(),
            positions=positions,
            seconds=seconds,
        )
        for cluster_id, event in answer.get("happened", ()):
            delay = time.time() - event["time"]
            with self.lock:
                self.delay = delay if self.delay is None else min(self.delay, delay)
                run = self.runs[cluster_id]
                for note in run.take(event):
                    self.notes.add(run, note, at=event["time"] + self.delay)
        with self.lock:
            self._positions.update(answer.get("positions", {}))
        return bool(answer)
