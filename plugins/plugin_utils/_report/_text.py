# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import re

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Text that a page or an XML file can hold: without colours, cursor movements and control characters."""
    lines = _TERMINAL.sub("", text).replace("\r\n", "\n").split("\n")
    # What a carriage return overwrote, as progress bars do, is not what was left on the screen.
    return "\n".join(_CONTROL.sub("\ufffd", line.rstrip("\r").rpartition("\r")[2]) for line in lines)
