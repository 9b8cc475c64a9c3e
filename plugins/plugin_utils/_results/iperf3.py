# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import re
import typing as t

LARGEST = 1e300
ERRORS = 3
ERROR_LIMIT = 300

Numbers = dict[str, dict[str, t.Any]]

# So often something may look like the beginning of a document in a text that is none.
FAILURES = 1000
_DOCUMENT_START = re.compile(r"^\{", re.MULTILINE)
_DIRECTIONS = (("", ""), ("_bidir_reverse", "_reverse"))


def numbers_in(text: str) -> Numbers:
    """What iperf3's ``--json`` output says, if that is what a text holds: ``{name: {"value", "unit", "better"}}``.

    The output of several runs may stand one after another, other lines between them; the numbers of the second run
    get ``_2`` at the end of their names.
    """
    found: Numbers = {}
    count = 0
    for document in _documents(text):
        numbers = _numbers(document)
        if numbers:
            count += 1
            ending = "" if count == 1 else f"_{count}"
            found.update({name + ending: number for name, number in numbers.items()})
    return found


def errors_in(text: str) -> list[str]:
    """What iperf3 says that went wrong: it may have measured nothing, whatever the script made of that."""
    said = [document["error"] for document in _documents(text) if document.get("error")]
    return [error[:ERROR_LIMIT] if isinstance(error, str) else "an error without a text" for error in said[:ERRORS]]


def _documents(text: str) -> t.Iterator[dict[str, t.Any]]:
    decoder = json.JSONDecoder()
    position = failures = 0
    while True:
        start = _DOCUMENT_START.search(text, position)
        if start is None:
            return
        try:
            document, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
            failures += 1
            if failures > FAILURES:
                return
            continue
        if str(_at(document, "start", "version")).startswith("iperf 3"):
            yield document


def _numbers(document: dict[str, t.Any]) -> Numbers:
    found: Numbers = {}
    for key, ending in _DIRECTIONS:
        received = _at(document, "end", f"sum_received{key}")
        sent = _at(document, "end", f"sum_sent{key}")
        udp = _at(document, "end", f"sum{key}")
        speed = _number(received, "bits_per_second") or _number(udp, "bits_per_second")
        if speed:
            found[f"throughput{ending}"] = {"value": round(speed / 1e9, 6), "unit": "Gbit/s", "better": "higher"}
        retransmits = _number(sent, "retransmits")
        if retransmits is not None:
            found[f"retransmits{ending}"] = {"value": retransmits, "unit": "", "better": "lower"}
        about_loss = received if _number(received, "packets") else udp
        if _number(about_loss, "packets"):
            for name, source, unit in (("jitter", "jitter_ms", "ms"), ("lost", "lost_percent", "%")):
                value = _number(about_loss, source)
                if value is not None:
                    found[f"{name}{ending}"] = {"value": round(value, 6), "unit": unit, "better": "lower"}
    return found


def _at(value: t.Any, *keys: str) -> t.Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(value: t.Any, key: str) -> float | None:
    number = _at(value, key)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= LARGEST:
        return None
    return number
