# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time
import typing as t


class Background(threading.Thread):
    """A call in a thread, and when it ended."""

    def __init__(self, call: t.Callable[[], t.Any]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.result: t.Any = None
        self.ended = 0.0
        self.start()

    def run(self) -> None:
        try:
            self.result = self.call()
        except Exception as error:
            self.result = error
        self.ended = time.monotonic()

    @property
    def is_over(self) -> bool:
        return not self.is_alive()

    def end(self, seconds: float) -> t.Any:
        self.join(seconds)
        assert not self.is_alive(), "it still waits"
        return self.result
