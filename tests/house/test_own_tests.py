"""Every module with a decision in it has a test file of its own."""

import ast

BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.Match, ast.Try, ast.BoolOp, ast.comprehension, ast.AsyncFor)


def decides(module):
    """Whether there is anything in it that could go one way or the other."""
    return any(isinstance(node, BRANCHES) for _name, function in module.functions() for node in ast.walk(function))


def test_every_module_that_decides_has_its_own_test_file(modules, root):
    missing = []
    for module in modules:
        if module.path.stem in {"__init__", "__main__"} or not decides(module):
            continue
        *rooms, name = module.name.split(".")
        expected = root.joinpath("tests", *rooms, f"test_{name}.py")
        if not expected.exists():
            missing.append(str(expected.relative_to(root)))
    assert missing == []
