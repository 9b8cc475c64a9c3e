# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults for Python: those of cosmic-ray that a person might make, and statements left out, which it does not know.

cosmic-ray rather than mutmut, because its operators can be used without its way to run tests. mutmut 3 writes all mutants
of a function into one module and chooses one while it runs: that does not reach a program that is started from the
file's text, as the supervisor is.
"""

from __future__ import annotations

import ast
import collections.abc as c
import functools

from mutants.lua import Edit

# Of each comparison its opposite and its neighbours: every other one is noticed by what notices these. A slash mostly
# stands between the parts of a path, where anything else fails at once.
OPERATORS = (
    *(
        f"ReplaceComparisonOperator_{change}"
        for change in (
            [
                "Eq_NotEq",
                "NotEq_Eq",
                "Lt_LtE",
                "Lt_GtE",
                "LtE_Lt",
                "LtE_Gt",
                "Gt_GtE",
                "Gt_LtE",
                "GtE_Gt",
                "GtE_Lt",
                "Is_IsNot",
                "IsNot_Is",
            ]
        )
    ),
    *(
        f"ReplaceBinaryOperator_{change}"
        for change in ["Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul"]
    ),
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ExceptionReplacer",
    "ZeroIterationForLoop",
)
LARGEST_NUMBER = 1000  # one more or less of a limit that is higher is no fault


def statements_left_out(source: str) -> c.Iterator[Edit]:
    """Statements of functions whose absence the next line does not stumble over."""
    starts = line_starts(source)
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for statement in own_statements(function):
            if can_be_left_out(statement, is_last=statement is function.body[-1]):
                assert statement.end_lineno is not None and statement.end_col_offset is not None
                start = starts[statement.lineno - 1] + statement.col_offset
                end = starts[statement.end_lineno - 1] + statement.end_col_offset
                text = source.encode()
                yield Edit(len(text[:start].decode()), len(text[:end].decode()), "pass")


def line_starts(source: str) -> list[int]:
    """Where each line starts, in bytes, as ast counts."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def own_statements(function: ast.AST) -> c.Iterator[ast.stmt]:
    """All statements in a function, but not those of functions in it."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.expr)):
            yield from own_statements(child)


def can_be_left_out(statement: ast.stmt, is_last: bool) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, (ast.Call, ast.Await))
    if isinstance(statement, ast.Assign):
        # Without a variable everything fails, and everything notices.
        return all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in statement.targets)
    if isinstance(statement, ast.Return):
        return not is_last
    return isinstance(statement, (ast.AugAssign, ast.Delete, ast.Raise))


def faults_of_cosmic_ray(source: str) -> c.Iterator[tuple[str, int, c.Callable[[], str | None]]]:
    """Of each fault: what is done, in which line, and what makes the text with it, which takes its time."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import MutationVisitor
    from cosmic_ray.operators.provider import OperatorProvider

    provider = OperatorProvider()
    tree = get_ast(source)
    for name in OPERATORS:
        operator = provider[name]()
        found = [(node, position) for node in ast_nodes(tree) for position in operator.mutation_positions(node)]
        for occurrence, (node, ((line, column), (_, end))) in enumerate(found):
            if name == "NumberReplacer" and is_large(node.value):
                continue
            # It fails at a name with dots.
            if name == "ExceptionReplacer" and "." in source.splitlines()[line - 1][column:end]:
                continue
            # It takes the star of a parameter for a multiplication.
            if name.startswith("ReplaceBinaryOperator") and node.parent.type not in ("term", "arith_expr"):
                continue
            yield name, line, functools.partial(MutationVisitor.mutate_code, source, operator, occurrence)


def is_large(number: str) -> bool:
    return abs(ast.literal_eval(number)) >= LARGEST_NUMBER
