"""Modules and functions stay small enough to be read, and each says in one line what it is for."""

import ast

MODULE_LINES = 400
FUNCTION_LINES = 60


def test_no_module_is_longer_than_400_lines(modules):
    sizes = {module.name: len(module.text.splitlines()) for module in modules}
    assert {name: lines for name, lines in sizes.items() if lines > MODULE_LINES} == {}


def test_no_function_is_longer_than_60_lines(modules):
    offenders = {
        f"{module.name}:{name}": node.end_lineno - node.lineno + 1
        for module in modules
        for name, node in module.functions()
        if node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    }
    assert offenders == {}


def test_every_module_begins_with_one_line_of_purpose(modules):
    offenders = []
    for module in modules:
        purpose = (ast.get_docstring(module.tree) or "").split("\n")
        if not purpose[0].endswith(".") or len(purpose[0]) < 10 or (len(purpose) > 1 and purpose[1]):
            offenders.append(f"{module.name}: {purpose[0]!r}")
    assert offenders == []


def test_functions_are_short_in_the_middle_too(modules):
    sizes = sorted(node.end_lineno - node.lineno + 1 for module in modules for _name, node in module.functions())
    assert sizes[len(sizes) // 2] <= 12
