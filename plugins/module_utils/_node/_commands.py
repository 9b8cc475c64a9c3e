# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# A program of its own, which prints and exits; the rules for modules do not hold for it.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
import typing as t

KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
# This file is put among the programs of scripts as it is, and has to do without the vocabulary and ``_json_lines``.
CORE_BARRIERS = ("start", "ready", "finish", "abort", "retry")

Question = dict[str, t.Any]


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
    parser = argparse.ArgumentParser(prog=command, allow_abbrev=False)
    parser.add_argument("name" if command == "multidevice-barrier" else "key", type=_name)
    if command == "multidevice-send":
        parser.add_argument("value", nargs="?", help="standard input if left out")
    else:
        parser.add_argument("--timeout", type=float, metavar="SECONDS")
    if command == "multidevice-barrier":
        parser.add_argument("--role", help="only the nodes of this role, instead of all")
    question = vars(parser.parse_args(arguments))
    if question.get("name") in CORE_BARRIERS:
        parser.error(f"{question['name']!r} is a barrier of the run itself; choose another name")
    if "value" in question and question["value"] is None:
        question["value"] = sys.stdin.read()
    return {"what": command.partition("-")[2], **question}


def _name(text: str) -> str:
    if not KEY.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name: letters, digits, '.', '_' and '-' are right, 100 at most"
        )
    return text


def _ask(question: Question) -> Question:
    folder, token = os.environ.get("MULTIDEVICE_FOLDER"), os.environ.get("MULTIDEVICE_TOKEN")
    if not folder or not token:
        raise ValueError("this works in a script of a run only: MULTIDEVICE_FOLDER and MULTIDEVICE_TOKEN are not set")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.path.join(folder, "socket"))
        with connection.makefile("rwb") as lines:
            for number, request in enumerate(({"op": "hello", "token": token}, {"op": "ask", **question})):
                lines.write(json.dumps({"id": number, **request}).encode() + b"\n")
                lines.flush()
                line = lines.readline()
                if not line:
                    raise ValueError("the run has ended")
                answer: Question = json.loads(line)
                if not answer["ok"]:
                    break
    return answer


if __name__ == "__main__":
    sys.exit(main(sys.argv))
