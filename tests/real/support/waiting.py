# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for a condition in place of sleeping: a slow machine changes nothing."""

from __future__ import annotations

import time
import typing as t


def wait_until(what: str, holds: t.Callable[[], object], seconds: float = 30) -> None:
    """Until something holds. The bound is generous: it is reached only when something is wrong.

    :param what: a sentence that says what was waited for in vain.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
