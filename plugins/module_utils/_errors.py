# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations


class MultideviceError(Exception):
    """Something went wrong that the user can be told in one sentence: what, where, and what would be right."""


class InputError(MultideviceError):
    """A job file, a cluster file or an option is wrong. Nothing has been touched yet."""


class CoordinationError(MultideviceError):
    """Redis cannot be reached, refuses a command, or does not know the run that was named."""


class NodeError(MultideviceError):
    """Something on a test machine is not as the run needs it."""
