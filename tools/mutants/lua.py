# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults for a piece of Lua: small edits, each of which leaves text that may still be compiled.

There is no mutation tester for Lua that reads version 5.1 as Redis runs it.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import re

TOKEN = re.compile(
    r"""
    (?P<space>\s+|--\[\[.*?\]\]|--[^\n]*)
  | (?P<string>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\[\[.*?\]\])
  | (?P<number>0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<symbol>\.\.\.|\.\.|==|~=|<=|>=|[-+*/%^\#<>=(){}\[\];:,.])
    """,
    re.DOTALL | re.VERBOSE,
)
KEYWORDS = frozenset(
    [
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "if",
        "in",
        "local",
        "nil",
        "not",
        "or",
        "repeat",
        "return",
        "then",
        "true",
        "until",
        "while",
    ]
)
TURNED = {
    "==": ("~=",),
    "~=": ("==",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "and": ("or",),
    "or": ("and",),
    "true": ("false",),
    "false": ("true",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "/": ("*",),
}
CLOSING = {"(": ")", "[": "]", "{": "}"}
ENDS_AN_EXPRESSION = frozenset([")", "]", "}", "...", "end", "true", "false", "nil"])
# What a statement can follow beside the end of another one.
OPENS_A_BLOCK = frozenset(["then", "do", "else", "repeat", ";"])
ENDS_A_STATEMENT = frozenset(
    ["local", "if", "for", "while", "repeat", "return", "break", "do", "end", "else", "elseif", "until", ";"]
)
LARGEST_NUMBER = 1000  # one more or less of a limit that is higher is no fault


@dataclasses.dataclass(frozen=True)
class Edit:
    """Text that takes the place of other text."""

    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]


@dataclasses.dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def is_name(self) -> bool:
        return self.kind == "name" and self.text not in KEYWORDS

    @property
    def ends_an_expression(self) -> bool:
        return self.kind in ("string", "number") or self.is_name or self.text in ENDS_AN_EXPRESSION


class NotLua(Exception):
    """The text is not Lua that can be read here."""


def tokens_of(source: str) -> list[Token]:
    tokens = []
    at = 0
    while at < len(source):
        found = TOKEN.match(source, at)
        if not found:
            raise NotLua(f"cannot read {source[at : at + 20]!r}")
        at = found.end()
        if found.lastgroup != "space":
            tokens.append(Token(str(found.lastgroup), found[0], found.start(), found.end()))
    return tokens


def faults(source: str) -> c.Iterator[Edit]:
    """All edits of a piece of Lua, in the order of the text."""
    tokens = tokens_of(source)
    for number, token in enumerate(tokens):
        before = tokens[number - 1] if number else None
        yield from turned(token, before)
        if token.text == "not":
            yield Edit(token.start, tokens[number + 1].start, "")
        if token.text in ("if", "elseif", "while"):
            last = next((at for at in range(number, len(tokens)) if tokens[at].text in ("then", "do")), None)
            if last is None:
                raise NotLua(f"{token.text} without then or do")
            start, end = tokens[number + 1].start, tokens[last - 1].end
            yield Edit(start, end, f"not ({source[start:end]})")
        if starts_statement(token, before):
            end_of_it = end_of_statement(tokens, number)
            if end_of_it is not None:
                yield Edit(token.start, end_of_it, "")


def turned(token: Token, before: Token | None) -> c.Iterator[Edit]:
    """Something else in the place of an operator, a truth or a number."""
    if token.kind == "number" and token.text.isdigit() and int(token.text) < LARGEST_NUMBER:
        yield Edit(token.start, token.end, str(int(token.text) + 1))
        # In brackets, because two signs in a row begin a comment.
        yield Edit(token.start, token.end, str(int(token.text) - 1) if token.text != "0" else "(-1)")
    elif token.kind in ("symbol", "name") and (token.text != "-" or (before and before.ends_an_expression)):
        for text in TURNED.get(token.text, ()):
            yield Edit(token.start, token.end, text)


def starts_statement(token: Token, before: Token | None) -> bool:
    """A call, an assignment, or what leaves a block."""
    if token.text == "return":
        # Without those at the end of a function or of a script nothing works, and everything notices.
        return before is not None and before.text in ("then", "else")
    if token.text == "break":
        return True
    return token.is_name and (before is None or before.text in OPENS_A_BLOCK or before.ends_an_expression)


def end_of_statement(tokens: list[Token], number: int) -> int | None:
    """Where it ends in the text; None if it holds a function, which is more than one fault."""
    at = number
    while at + 1 < len(tokens):
        token = tokens[at + 1]
        if token.text == "function":
            return None
        if token.text in ENDS_A_STATEMENT or (tokens[at].ends_an_expression and token.is_name):
            break
        at = close(tokens, at + 1) if token.text in CLOSING and token.kind == "symbol" else at + 1
    return tokens[at].end


def close(tokens: list[Token], number: int) -> int:
    """The token that closes a bracket."""
    depth = 0
    for at in range(number, len(tokens)):
        if tokens[at].text in CLOSING and tokens[at].kind == "symbol":
            depth += 1
        elif tokens[at].text in CLOSING.values() and tokens[at].kind == "symbol":
            depth -= 1
            if not depth:
                return at
    raise NotLua(f"nothing closes {tokens[number].text}")
