# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import re
import typing as t

_NUMBERED = re.compile(r"(.*?)(0|[1-9]\d*)(\D*)")


def names(given: t.Iterable[str], *, at_most: int = 3) -> str:
    """Names in a few words: a few as they are, more with their numbers joined, ``client-[1-7,9]``."""
    unique = list(dict.fromkeys(given))
    if len(unique) <= at_most:
        return ", ".join(unique)
    families: dict[t.Any, list[int]] = {}
    for name in unique:
        found = _NUMBERED.fullmatch(name)
        families.setdefault((found[1], found[3]) if found else name, []).append(int(found[2]) if found else 0)
    return ", ".join(_family(key, numbers) for key, numbers in families.items())


def count(number: int, one: str, more: str | None = None) -> str:
    """A number of things: ``1 node``, ``3 nodes``.

    :param more: what several are called, where an s at the end does not do.
    """
    return f"{number} {one}" if number == 1 else f"{number} {more or one + 's'}"


def duration(seconds: float) -> str:
    """How long something took, as precise as a person cares: ``0.42 s``, ``12.3 s``, ``4 min 05 s``, ``2 h 03 min``."""
    if seconds < 0.995:
        return f"{max(0.0, seconds):.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rough_duration(seconds: float) -> str:
    """How long something has been so, in one unit: ``42 s``, ``4 min``, ``30 h``, ``9 d``."""
    whole = max(0, round(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def span(seconds: t.Sequence[float]) -> str:
    """The shortest and the longest of several durations."""
    low, high = duration(min(seconds)), duration(max(seconds))
    if low == high:
        return low
    (low_number, low_unit), high_words = low.split(" ", 1), high.split(" ")
    return f"{low_number}–{high}" if high_words[1:] == [low_unit] else f"{low} – {high}"


def clock(seconds: float) -> str:
    """A time that runs, as a watch shows it: ``0:07``, ``12:34``, ``1:02:03``."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def printable(text: str, *, keep: str = "") -> str:
    """A line without what would move a terminal's cursor or turn its text round.

    :param keep: letters to leave as they are all the same.
    """
    return "".join(letter if letter.isprintable() or letter in keep else "\ufffd" for letter in text)


def _family(key: t.Any, numbers: t.Sequence[int]) -> str:
    if isinstance(key, str):
        return key
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    inside = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    prefix, suffix = key
    return f"{prefix}[{inside}]{suffix}" if len(numbers) > 1 else f"{prefix}{inside}{suffix}"
