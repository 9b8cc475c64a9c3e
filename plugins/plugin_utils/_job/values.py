# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Values as scripts see them: text for the environment, arguments, seconds, shares of the CPUs."""

from __future__ import annotations

import json
import re
import shlex
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import Place, error_at, kind_of

_COUNT_NAME = re.compile(r"nr_[a-z0-9_]+|(?:[a-z0-9_]+_)?(?:threads|tasks)")
_DURATION_NAME = re.compile(r"(?:[a-z0-9_]+_)?(?:run_?time|duration)|test_?time")
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%")
_COUNT_WITH_UNIT = re.compile(r"([0-9]+)[a-z]+")
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([smhdw]|sec|min)")
_ITERATIONS = re.compile(r"([0-9]+)x")
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def cpu_share(name: str, value: t.Any) -> float | None:
    """50.0 for `nr_threads: 50%`, which only the node that runs the script can turn into a number."""
    if isinstance(value, str) and _COUNT_NAME.fullmatch(name):
        match = _PERCENT.fullmatch(value.strip())
        if match:
            return float(match.group(1))
    return None


def environment_text(name: str, value: t.Any) -> str:
    """The text of a variable: its unit resolved where its name says what the unit means."""
    if isinstance(value, list):
        return "\n".join(plain_text(item) for item in value)
    text = plain_text(value)
    if isinstance(value, str):
        if _DURATION_NAME.fullmatch(name):
            seconds = seconds_of(text)
            return text if seconds is None else plain_text(seconds)
        match = None
        if name == "iterations":
            match = _ITERATIONS.fullmatch(text)
        elif _COUNT_NAME.fullmatch(name):
            match = _COUNT_WITH_UNIT.fullmatch(text)
        if match:
            return match.group(1)
    return text


def plain_text(value: t.Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "\n".join(f"{key}={plain_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def seconds_of(value: t.Any) -> int | float | None:
    """Seconds from 300, "300", "300s", "5m"; None for what is no duration."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str):
        return None
    text = value.strip()
    match = _DURATION.fullmatch(text)
    if match is None and not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text):
        return None
    seconds = float(match.group(1)) * _SECONDS[match.group(2)] if match else float(text)
    return int(seconds) if seconds == int(seconds) else seconds


def arguments(value: t.Any, place: Place, key: str) -> list[str]:
    """The arguments of a script, split as a shell splits them."""
    if value is None:
        return []
    if not isinstance(value, str):
        return [plain_text(value)]
    try:
        return shlex.split(value)
    except ValueError as exc:
        raise error_at(place, key, f"{kind_of(value)} cannot be split into arguments: a quote is not closed.") from exc


def parse_params(value: t.Any) -> dict[str, t.Any]:
    """Parameters given for one submission: a mapping, or a text such as "test=TCP_STREAM nr_threads=1"."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(name): item for name, item in value.items()}
    words: list[str]
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError as exc:
            raise InputError(f"params {kind_of(value)}: a quote is not closed.") from exc
    elif isinstance(value, (list, tuple)):
        words = [str(word) for word in value]
    else:
        raise InputError(f'params expects a mapping or a text such as "test=TCP_STREAM", not {kind_of(value)}.')
    params: dict[str, t.Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise InputError(f'params {kind_of(word)}: expects name=value, such as "test=TCP_STREAM".')
        params[name] = text
    return params
