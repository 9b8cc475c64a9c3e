# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

from ansible import constants

_SETTINGS = {"passed": "COLOR_OK", "failed": "COLOR_ERROR"}


def color_of(outcome: str) -> str | None:
    """The colour that the user has set for what passed or failed; None for what did neither."""
    setting = _SETTINGS.get(outcome)
    return getattr(constants, setting) if setting else None
