# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""What programs of this collection say to one another: JSON objects, each in a line of its own.

``_node/_commands.py`` speaks it too, but stands alone on the machines.
"""

from __future__ import annotations

import json
import typing as t

Message = dict[str, t.Any]


def encode(message: t.Mapping[str, t.Any]) -> bytes:
    """A message as a line."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message in a line.

    :raises ValueError: there is none.
    """
    try:
        message = json.loads(line)
    except RecursionError as error:
        raise ValueError(f"nested too deeply: {line[:80]!r}") from error
    if not isinstance(message, dict):
        raise ValueError(f"no JSON object: {line[:80]!r}")
    return message
