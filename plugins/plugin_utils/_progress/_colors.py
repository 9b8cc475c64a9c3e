# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

from ansible import constants

_SETTINGS = {"good": "COLOR_OK", "bad": "COLOR_ERROR"}


def color_of(mood: str) -> str | None:
    """The colour that the user has set for something good or bad; None for what is neither."""
    setting = _SETTINGS.get(mood)
    return getattr(constants, setting) if setting else None
