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

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.plugin_utils._embedded_redis import embedded_redis_url
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._notebook import Notebook
from ansible_collections.lab.multidevice.plugins.plugin_utils._progress._run_view import Note, RunView

PAUSE_AFTER_TROUBLE = 2.0
LAST_LOOK = 5.0


class Watcher(threading.Thread):
    """Follows the events of runs in Redis, beside Ansible's own main thread.

    :param options: how to reach Redis, as tasks have it; when they say nothing, it is the embedded one of this process.
    :param tell: called now and then, and whenever something has happened.
    """

    def __init__(self, options: t.Mapping[str, t.Any], tell: t.Callable[[], None], *, patience: float) -> None:
        super().__init__(name="multidevice-progress", daemon=True)
        self.runs: dict[str, RunView] = {}
        self.notebook = Notebook()
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
            self.notebook.add(self.runs[cluster_id], note)

    def run(self) -> None:
        """Follow until told to end."""
        coordinator: Coordinator | None = None
        while not self._ending.is_set():
            try:
                coordinator = coordinator or self._connect()
                if coordinator is not None and self._positions:
                    self._look(coordinator, self._patience)
                else:
                    self._ending.wait(self._patience)
            except MultideviceError:
                self._ending.wait(PAUSE_AFTER_TROUBLE)
            self._tell()
        if coordinator is not None:
            with contextlib.suppress(MultideviceError):
                self._look(coordinator, 0)
            coordinator.close()

    def end(self) -> None:
        """Look a last time, and end."""
        self._ending.set()
        self.join(LAST_LOOK)

    def now(self) -> float:
        """The time by the clock of Redis."""
        return time.time() - (self.delay or 0.0)

    def _connect(self) -> Coordinator | None:
        settings = RedisSettings.from_options(self._options)
        if not settings.is_set:
            url = embedded_redis_url(start=False, controller=os.getpid())
            if url is None:
                return None
            settings = RedisSettings.from_options({**self._options, "redis_url": url})
        return Coordinator.connect(settings)

    def _look(self, coordinator: Coordinator, seconds: float) -> None:
        with self.lock:
            positions = dict(self._positions)
        for cluster_id, event in coordinator.follow(positions, seconds):
            delay = time.time() - event["time"]
            with self.lock:
                self.delay = delay if self.delay is None else min(self.delay, delay)
                run = self.runs[cluster_id]
                for note in run.take(event):
                    self.notebook.add(run, note, at=event["time"] + self.delay)
        with self.lock:
            self._positions.update(positions)
