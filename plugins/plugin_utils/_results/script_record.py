# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""What the record of a script says, whoever shows it."""

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ScriptKind

Record = t.Mapping[str, t.Any]


def label(script: Record) -> str:
    """What a script is called where people read it."""
    return f"{script['kind']} {script['name']}"


def has_failed(script: Record) -> bool:
    """Whether a script is a failure of its own; one that was stopped because the run was over is not."""
    if script.get("failure") or script["timed_out"]:
        return True
    return (
        ScriptKind(script["kind"]).properties.is_tested
        and not script["stopped"]
        and script["exit_code"] not in (None, 0)
    )


def exit_word(script: Record) -> str:
    """How a script ended, in a word."""
    if script["timed_out"]:
        return "timed out"
    if script["started"] is None:
        return "not run" if script["exit_code"] is None else "not started"
    if script["stopped"]:
        return "stopped"
    return "-" if script["exit_code"] is None else str(script["exit_code"])


def seconds(record: Record) -> float | None:
    """How long a script or a run took."""
    if record["started"] is None or record["finished"] is None:
        return None
    return float(record["finished"] - record["started"])
