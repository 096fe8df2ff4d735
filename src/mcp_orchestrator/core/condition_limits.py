"""Refuses conditions whose evaluation could take long, whatever values they meet: it holds up every other call.

The engine (cel-expr-python 0.1.3, measured 2026-11) stops after some 10,000 steps of loops, but a step may scan long
texts, copy what was collected so far, or compare large values. Together with the bounds of `condition_views` the rules
here keep one evaluation within some tens of milliseconds at the very worst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcp_orchestrator.core.condition_tree import Form, Tree

LONGEST: Final = 4000
"""Characters of an expression."""

MOST_NESTED: Final = 2
"""Loops within each other."""

MOST_COLLECTING: Final = 2
"""Loops that make lists (`map`, `filter`): they copy what they have with every step."""

MOST_PATTERNS: Final = 16
"""Uses of `matches`."""

_COLLECTS: Final = frozenset({Form.LIST, Form.STRUCT})
_SCANS: Final = frozenset({"matches", "contains", "startsWith", "endsWith", "size"})
_EQUALS: Final = frozenset({"_==_", "_!=_"})


def trouble(tree: Tree, untrusted: frozenset[str]) -> str:
    """Why an expression is refused, for a person; "" when it is not. `untrusted` are the variables of any size."""
    loops = [node for node in tree.walk() if node.form is Form.LOOP]
    if sum(_collects(loop) for loop in loops) > MOST_COLLECTING:
        return f"map and filter may be used {MOST_COLLECTING} times in one expression; use exists, all or exists_one"
    patterns = [node for node in tree.walk() if node.form is Form.CALL and node.name == "matches"]
    if len(patterns) > MOST_PATTERNS:
        return f"matches may be used {MOST_PATTERNS} times in one expression"
    if any(node.parts[-1].text is None for node in patterns):
        return 'the pattern of matches must be a text: matches("...")'
    return next((why for loop in _outermost(tree) for why in _nested(loop, 1)), "") or next(
        (why for loop in loops for why in _in_loop(loop, untrusted, ())), ""
    )


def patterns(tree: Tree) -> list[str]:
    """The patterns of `matches`."""
    found = (node.parts[-1].text for node in tree.walk() if node.form is Form.CALL and node.name == "matches")
    return [text for text in found if text is not None]


def _outermost(tree: Tree) -> Iterator[Tree]:
    if tree.form is Form.LOOP:
        yield tree
        return
    for part in tree.parts:
        yield from _outermost(part)


def _nested(loop: Tree, depth: int) -> Iterator[str]:
    """Loops stand in the range of another one behind it, in its step within it."""
    if depth > MOST_NESTED:
        yield f"loops may be nested {MOST_NESTED} deep"
    for inner in _outermost(loop.parts[3]):
        if _collects(inner):
            yield "map and filter may not stand inside another loop"
        yield from _nested(inner, depth + 1)
    for before in _outermost(loop.parts[0]):
        yield from _nested(before, depth)


def _collects(loop: Tree) -> bool:
    return loop.parts[1].form in _COLLECTS


def _in_loop(loop: Tree, untrusted: frozenset[str], outer: tuple[str, ...]) -> Iterator[str]:
    """What the steps of one loop do that may take long."""
    variables = (*outer, loop.name)
    for node in _steps(loop.parts[3], loop.sum):
        if node.form is Form.CALL:
            yield from _call(node, loop.name, untrusted | set(variables))
    for inner in _outermost(loop.parts[3]):
        if any(node.form is Form.CALL and node.name in _SCANS for node in _steps(inner.parts[3], inner.sum)):
            yield "a loop inside of a loop may compare, but not search in texts or measure them"
        yield from _in_loop(inner, untrusted, variables)


def _call(node: Tree, variable: str, large: frozenset[str] | set[str]) -> Iterator[str]:
    if node.name == "_+_" and not node.number:
        yield "inside a loop only numbers may be added; say which they are: int(x) + int(y)"
    if node.name in _EQUALS and not any(part.scalar for part in node.parts):
        yield "inside a loop one side of == and != must be a known text or number: string(x) == y"
    if node.name == "@in" and node.parts[1].names() & large:
        yield 'inside a loop "in" takes a list that is written out, or one of the caller, not one of the arguments'
    if node.name in _SCANS and not _is_path_of(node.parts[0], variable) and node.parts[0].names() & large:
        yield f"inside a loop {node.name}() may be asked of the loop's own variable only"


def _is_path_of(node: Tree, variable: str) -> bool:
    """Whether this is the variable, a field or an element of it, or the element that it names (`args[k]`)."""
    if node.form is Form.NAME:
        return node.name == variable
    if node.form is Form.SELECT:
        return _is_path_of(node.parts[0], variable)
    if node.form is Form.CALL and node.name == "string":
        return _is_path_of(node.parts[0], variable)
    if node.form is Form.CALL and node.name == "_[_]":
        return any(part.form is Form.NAME and part.name == variable for part in node.parts) or _is_path_of(
            node.parts[0], variable
        )
    return False


def _steps(step: Tree, collected: str) -> Iterator[Tree]:
    """What one step evaluates, without what the macro itself adds: the sum and its bookkeeping."""
    own = any(part.form is Form.NAME and part.name == collected for part in step.parts)
    if not (step.form is Form.CALL and own):
        yield step
    for part in step.parts:
        yield from _steps(part, collected)
