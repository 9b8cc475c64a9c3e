# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# A program of its own, which prints and exits; the rules for modules do not hold for it.
# pylint: disable=ansible-bad-function

from __future__ import annotations

# Scripts call this over and over, and most of what a call costs is the start of Python: no more is imported than a usual
# call needs. ``json``, ``argparse`` and ``socket`` take longer than all the rest.
import _socket
import os
import sys

try:
    from _json import encode_basestring_ascii, make_scanner

    HAS_JSON_IN_C = True
except ImportError:  # not every Python has this part of json
    HAS_JSON_IN_C = False

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing as t

    Question = dict[str, t.Any]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
NAME_LIMIT = 100
CHUNK = 65536
# This file is put among the programs of scripts as it is, and has to do without the vocabulary and ``_json_lines``.
CORE_BARRIERS = ("start", "ready", "finish", "abort", "retry")


def main(argv: t.Sequence[str]) -> int:
    """What a script calls to meet the other nodes of its run, and to exchange data with them.

    ``multidevice-barrier NAME [--role ROLE] [--timeout SECONDS]`` returns when all nodes, or all of a role, have called
    it. ``multidevice-send KEY [VALUE]`` sends a text, from standard input without VALUE.
    ``multidevice-receive KEY [--timeout SECONDS]`` prints the next text of that key, also one sent long before.
    """
    name = os.path.basename(argv[0])
    try:
        answer = _ask(_question(name, argv[1:]))
    except (OSError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    if not answer["ok"]:
        print(f"{name}: {answer['text']}", file=sys.stderr)
        return 1
    if "value" in answer:
        print(answer["value"])
    return 0


def _question(command: str, arguments: t.Sequence[str]) -> Question:
    question = _plain(command, arguments)
    if question is None:
        question = _parsed(command, arguments)
    if "value" in question and question["value"] is None:
        question["value"] = sys.stdin.read()
    return {"what": command.partition("-")[2], **question}


def _plain(command: str, arguments: t.Sequence[str]) -> Question | None:
    """The question of a call as they usually are, which needs no parser."""
    if not arguments or not is_name(arguments[0]) or arguments[0] in CORE_BARRIERS:
        return None
    if command == "multidevice-send":
        value = arguments[1] if len(arguments) == 2 else None
        plain = len(arguments) <= 2 and not (value or "").startswith("-")
        return {"key": arguments[0], "value": value} if plain else None
    options: Question = {"timeout": None, "role": None} if command == "multidevice-barrier" else {"timeout": None}
    for option, text in zip(arguments[1::2], arguments[2::2]):
        if option == "--timeout" and _is_count(text):
            options["timeout"] = float(text)
        elif option == "--role" and "role" in options and not text.startswith("-"):
            options["role"] = text
        else:
            return None
    if len(arguments) % 2 == 0:
        return None
    return {"name" if command == "multidevice-barrier" else "key": arguments[0], **options}


def _parsed(command: str, arguments: t.Sequence[str]) -> Question:
    import argparse

    def name(text: str) -> str:
        if not is_name(text):
            raise argparse.ArgumentTypeError(
                f"{text!r} is no name: letters, digits, '.', '_' and '-' are right, 100 at most"
            )
        return text

    parser = argparse.ArgumentParser(prog=command, allow_abbrev=False)
    parser.add_argument("name" if command == "multidevice-barrier" else "key", type=name)
    if command == "multidevice-send":
        parser.add_argument("value", nargs="?", help="standard input if left out")
    else:
        parser.add_argument("--timeout", type=float, metavar="SECONDS")
    if command == "multidevice-barrier":
        parser.add_argument("--role", help="only the nodes of this role, instead of all")
    question = vars(parser.parse_args(arguments))
    if question.get("name") in CORE_BARRIERS:
        parser.error(f"{question['name']!r} is a barrier of the run itself; choose another name")
    return question


def is_name(text: str) -> bool:
    """Whether a barrier or a key may be called so: ``[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}``."""
    return 0 < len(text) <= NAME_LIMIT and text[0] in LETTERS and not text.strip(LETTERS + ".-")


def _is_count(text: str) -> bool:
    return len(text) < 10 and text.isascii() and text.isdigit()


def _ask(question: Question) -> Question:
    folder, token = os.environ.get("MULTIDEVICE_FOLDER"), os.environ.get("MULTIDEVICE_TOKEN")
    if not folder or not token:
        raise ValueError("this works in a script of a run only: MULTIDEVICE_FOLDER and MULTIDEVICE_TOKEN are not set")
    connection = _socket.socket(_socket.AF_UNIX)
    try:
        connection.connect(os.path.join(folder, "socket"))
        answer = _exchange(connection, {"id": 0, "op": "hello", "token": token})
        if answer["ok"]:
            answer = _exchange(connection, {"id": 1, "op": "ask", **question})
    finally:
        connection.close()
    return answer


def _exchange(connection: _socket.socket, request: Question) -> Question:
    connection.sendall(_encode(request).encode() + b"\n")
    received = b""
    # One answer for each request: nothing follows it.
    while not received.endswith(b"\n"):
        data = connection.recv(CHUNK)
        if not data:
            raise ValueError("the run has ended")
        received += data
    return _decode(received.decode())


def _encode(request: Question) -> str:
    if not HAS_JSON_IN_C or not all(_is_plain(value) for value in request.values()):
        import json

        return json.dumps(request)
    quoted = encode_basestring_ascii
    fields = []
    for name, value in request.items():
        text = "null" if value is None else quoted(value) if isinstance(value, str) else repr(value)
        fields.append(f"{quoted(name)}: {text}")
    return "{" + ", ".join(fields) + "}"


def _is_plain(value: object) -> bool:
    """Whether JSON writes it as Python does, or as a text or nothing: truth and endless numbers it does not."""
    if isinstance(value, float):
        return abs(value) < float("inf")
    return value is None or (isinstance(value, (str, int)) and not isinstance(value, bool))


def _decode(line: str) -> Question:
    answer: Question
    try:
        answer, _end = _scanner()(line, 0)
    except (AttributeError, NameError):  # not there, or it wants to know more: another Python than those of today
        import json

        answer = json.loads(line)
    return answer


def _scanner() -> t.Callable[[str, int], tuple[Question, int]]:
    # The type is that of types.SimpleNamespace; this is what json.JSONDecoder has in its place.
    namespace: t.Any = type(sys.implementation)
    hooks = {"object_hook": None, "object_pairs_hook": None}
    numbers = {"parse_float": float, "parse_int": int, "parse_constant": float}
    return make_scanner(namespace(strict=True, memo={}, **hooks, **numbers))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
