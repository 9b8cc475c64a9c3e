# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Reads YAML that other people wrote: safely, within bounds, and remembering the line of every key."""

from __future__ import annotations

import difflib
import os
import re
import traceback
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import SHELL_NAME

YAML_IMPORT_ERROR: str | None
try:
    import yaml

    YAML_IMPORT_ERROR = None
except ImportError:
    YAML_IMPORT_ERROR = traceback.format_exc()


class Limits(t.NamedTuple):
    """What a file may cost before it is refused."""

    file_bytes: int = 4 * 1024 * 1024
    depth: int = 64
    # One for every value and another one for every 64 characters of text, counted as if every alias were written out.
    weight: int = 250_000
    include_depth: int = 8
    includes: int = 100
    runs: int = 1000
    node_jobs: int = 250_000
    plan_bytes: int = 512 * 1024 * 1024


class Place(t.NamedTuple):
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


class Block(dict[str, t.Any]):
    """A YAML mapping that knows where each of its keys was written."""

    __slots__ = ("place", "places")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}

    def put(self, key: str, value: t.Any, place: Place) -> None:
        self[key] = value
        self.places[key] = place

    def place_of(self, key: str) -> Place:
        return self.places.get(key, self.place)

    def clone(self) -> Block:
        other = Block(self.place)
        other.update(self)
        other.places.update(self.places)
        return other


Include = t.Callable[[str, Place], Block]


def error_at(place: Place, key: str | None, text: str) -> InputError:
    return InputError(f'{place}, key "{shorten(key)}": {text}' if key is not None else f"{place}: {text}")


def shorten(text: t.Any, width: int = 80) -> str:
    """The text on one line and no longer than a message can bear."""
    shown = str(text)
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in shown[: width + 1])
    return shown if len(shown) <= width else shown[: width - 3] + "..."


def did_you_mean(name: str, known: t.Iterable[str], cutoff: float = 0.6) -> str:
    near = difflib.get_close_matches(name, sorted(set(known) - {name}), n=3, cutoff=cutoff)
    if near:
        scores = {other: difflib.SequenceMatcher(None, other, name).ratio() for other in near}
        near = [other for other in near if scores[other] > scores[near[0]] - 0.15]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def kind_of(value: t.Any) -> str:
    """What a value is, in the words of a message to the user."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f'"{shorten(value, 40)}"'


def read_text(path: str, limits: Limits) -> str:
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{shorten(path, 200)}: this is no regular file.")
    try:
        with open(path, "rb") as handle:
            if os.fstat(handle.fileno()).st_size > limits.file_bytes:
                raise InputError(
                    f"{path}: the file is larger than {limits.file_bytes} bytes; this cannot be what was meant."
                )
            content = handle.read(limits.file_bytes + 1)
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InputError(f"{shorten(path, 200)}: the file cannot be read: {reason}.") from exc
    if len(content) > limits.file_bytes:
        raise InputError(f"{path}: the file is larger than {limits.file_bytes} bytes; this cannot be what was meant.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise InputError(f"{path}, line {line}: the file is not UTF-8 text.") from exc


def load_documents(path: str, limits: Limits = Limits(), include: Include | None = None) -> list[t.Any]:
    return parse_documents(read_text(path, limits), path, limits, include)


def parse_documents(text: str, file: str, limits: Limits = Limits(), include: Include | None = None) -> list[t.Any]:
    """The documents of a YAML text, mappings as Block, as plain Python values otherwise."""
    if YAML_IMPORT_ERROR is not None:
        raise InputError("The Python library PyYAML is not installed; it is needed to read job and cluster files.")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = _Composer(text, file, limits, include)
    try:
        for event in yaml.parse(text, Loader=loader):
            composer.feed(event)
    except yaml.MarkedYAMLError as exc:
        raise _syntax_error(text, file, exc, limits) from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, text.find(chr(exc.character))) + 1
        raise InputError(
            f"{file}, line {line}: not YAML: the character U+{exc.character:04X} is not allowed in it."
        ) from exc
    return composer.documents


def _syntax_error(text: str, file: str, exc: yaml.MarkedYAMLError, limits: Limits) -> InputError:
    mark = exc.problem_mark or exc.context_mark
    if mark is not None and "nesting depth" in (exc.problem or ""):
        # libyaml 0.2.6 and later have a limit of their own, and read ahead: it can speak before the composer does.
        return _too_deep(Place(file, mark.line + 1), limits)
    lines = text.splitlines()
    template = re.compile(r"<%|^%(?!YAML|TAG)")
    for number, line in enumerate(lines, 1):
        if template.search(line) and not line.lstrip().startswith("#"):
            return unsupported_template(Place(file, number), None, line.strip())
    problem = shorten(exc.problem or exc.context or "not YAML", 200)
    if mark is None:
        return InputError(f"{file}: not YAML: {problem}.")
    hint = ""
    if mark.line < len(lines) and "{{" in lines[mark.line]:
        hint = ' Write a value that holds "{{ }}" in quotes.'
    elif "\t" in problem or "\\t" in problem:
        hint = " Indent with spaces."
    return InputError(f"{file}, line {mark.line + 1}, column {mark.column + 1}: not YAML: {problem}.{hint}")


def _too_deep(place: Place, limits: Limits) -> InputError:
    return error_at(place, None, f"nested more than {limits.depth} levels deep.")


def unsupported_template(place: Place, key: str | None, text: str) -> InputError:
    return error_at(
        place,
        key,
        f'the embedded Ruby "{shorten(text, 60)}" is not run; write the value itself, '
        'or "<%= name %>" or "{{ name }}" to refer to a variable of the job.',
    )


_CONSTANTS: dict[str, t.Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
for _truth, _words in ((True, ("yes", "true", "on")), (False, ("no", "false", "off"))):
    for _word in _words:
        for _spelling in (_word, _word.capitalize(), _word.upper()):
            _CONSTANTS[_spelling] = _truth
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]+")
_TAGS = {"!": str, "tag:yaml.org,2002:str": str}
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null", "map", "seq", "merge")}


def resolve_plain(text: str) -> t.Any:
    """The value of an unquoted scalar.

    What would not be written the same way again stays text: 1.10 is a version, 0755 a mode, 12:30 a time, and
    52:54:00:12:34:56 a MAC, none of them a number in base 60.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in "0123456789+-":
        if _INTEGER.fullmatch(text):
            return int(text.replace("_", ""))
        if _FLOAT.fullmatch(text):
            number = float(text)
            if repr(number) == text:
                return number
    return text


class _Frame:
    """A mapping or a list that is being read."""

    __slots__ = ("value", "key", "key_place", "explicit", "anchor", "weight", "event")

    def __init__(self, value: t.Any, event: t.Any) -> None:
        self.value = value
        self.key: str | None = None
        self.key_place: Place | None = None
        self.explicit: set[str] = set()
        self.anchor: str | None = event.anchor
        self.weight = 1
        self.event = event


class _Composer:
    """Builds values from parser events without recursion, so that neither depth nor aliases can hurt."""

    def __init__(self, text: str, file: str, limits: Limits, include: Include | None) -> None:
        self.documents: list[t.Any] = []
        self._text = text
        self._file = file
        self._limits = limits
        self._include = include
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[t.Any, int]] = {}
        self._root: t.Any = None
        self._skipping = 0
        self._handlers: dict[type, t.Callable[[t.Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._document_start,
            yaml.DocumentEndEvent: self._document_end,
        }

    def feed(self, event: t.Any) -> None:
        if self._skipping:
            self._skip(event)
            return
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _place(self, event: t.Any) -> Place:
        return Place(self._file, event.start_mark.line + 1)

    def _document_start(self, event: t.Any) -> None:
        self._anchors = {}
        self._root = None

    def _document_end(self, event: t.Any) -> None:
        self.documents.append(self._root)

    def _scalar(self, event: t.Any) -> None:
        text: str = event.value
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                raise error_at(self._place(event), None, "the text holds characters that are no Unicode.") from None
        if "\0" in text:
            raise error_at(self._place(event), None, "the text holds a NUL character.")
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.key is None and isinstance(frame.value, Block):
            self._set_key(frame, event)
            return
        value: t.Any = text
        if event.tag is not None and event.tag not in _TAGS:
            self._check_tag(event)
            value = resolve_plain(text)
        elif event.tag is None and event.implicit[0]:
            value = resolve_plain(text)
        weight = 1 + len(text) // 64
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, weight)
        self._attach(value, weight, event)

    def _check_tag(self, event: t.Any) -> None:
        if event.tag is not None and event.tag not in _TAGS and event.tag not in _PLAIN_TAGS:
            raise error_at(
                self._place(event), None, f'the YAML tag "{shorten(event.tag)}" is not allowed; write a plain value.'
            )

    def _alias(self, event: t.Any) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.key is None and isinstance(frame.value, Block):
            raise error_at(self._place(event), None, f'the alias "*{shorten(event.anchor)}" cannot be a key.')
        if event.anchor not in self._anchors:
            raise error_at(
                self._place(event),
                None,
                f'the alias "*{shorten(event.anchor)}" has no anchor above it, or stands in it.',
            )
        value, weight = self._anchors[event.anchor]
        self._attach(value, weight, event)

    def _start(self, event: t.Any) -> None:
        self._check_tag(event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.key is None and isinstance(frame.value, Block):
            if frame.event.flow_style and not frame.value:
                # "{{ name }}" without quotes is, to YAML, a mapping that has a mapping as its key.
                self._skipping = 2
                return
            raise error_at(self._place(event), None, "a key must be a text, not a list or a mapping.")
        if len(self._stack) >= self._limits.depth:
            raise _too_deep(self._place(event), self._limits)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Frame(Block(self._place(event)) if is_mapping else [], event))

    def _skip(self, event: t.Any) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self._skipping += 1
            if self._skipping > self._limits.depth:
                raise _too_deep(self._place(event), self._limits)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._skipping -= 1
        if self._skipping:
            return
        frame = self._stack.pop()
        text = self._text[frame.event.start_mark.index : event.end_mark.index]
        if not re.fullmatch(rf"\{{\{{\s*{SHELL_NAME}\s*\}}\}}", text):
            raise error_at(self._place(frame.event), None, "a key must be a text, not a list or a mapping.")
        self._attach(text, 1, frame.event)

    def _end(self, event: t.Any) -> None:
        frame = self._stack.pop()
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.value, frame.weight)
        self._attach(frame.value, frame.weight, frame.event)

    def _set_key(self, frame: _Frame, event: t.Any) -> None:
        key: str = event.value
        place = self._place(event)
        if key != "<<":
            if key in frame.explicit:
                first = frame.value.place_of(key).line
                raise error_at(place, key, f"the key is there twice, first in line {first}; keep one of them.")
            frame.explicit.add(key)
        frame.key = key
        frame.key_place = place

    def _attach(self, value: t.Any, weight: int, event: t.Any) -> None:
        if not self._stack:
            if weight > self._limits.weight:
                raise self._too_heavy(event)
            self._root = value
            return
        frame = self._stack[-1]
        frame.weight += weight
        if frame.weight > self._limits.weight:
            raise self._too_heavy(event)
        if isinstance(frame.value, list):
            frame.value.append(value)
            return
        key, place = t.cast(str, frame.key), t.cast(Place, frame.key_place)
        frame.key = None
        if key == "<<":
            self._merge(frame, value, place)
        else:
            frame.value.put(key, value, place)

    def _too_heavy(self, event: t.Any) -> InputError:
        return error_at(
            self._place(event), None, f"more than {self._limits.weight} values once its aliases are written out."
        )

    def _merge(self, frame: _Frame, value: t.Any, place: Place) -> None:
        target: Block = frame.value
        if isinstance(value, str) and self._include is not None:
            # A file stands for its text: what is written further down wins.
            included = self._include(value, place)
            for key in included:
                target.put(key, included[key], included.place_of(key))
            frame.weight += len(included)
            return
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, Block):
                raise error_at(place, "<<", f"expects a mapping, not {kind_of(source)}.")
            for key in source:
                if key not in target:
                    target.put(key, source[key], source.place_of(key))
