"""Exceptions, generators and module state: the places where big programs rot."""

import ast
import re

# The only functions that may catch everything: the edge of a run (a call or a delegation), and of a request over HTTP
# and over stdio.
BROAD_EXCEPTS = {
    ("runtime.run", "Run.carry_out"),
    ("runtime.carrying", "Carrier.carry"),
    ("listeners.http", "HttpApp.__call__"),
    ("listeners.stdio", "StdioListener._guarded"),
}
MUTABLE_CALLS = {"dict", "list", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter", "WeakSet"}
MUTABLE_CALLS |= {"WeakKeyDictionary", "WeakValueDictionary", "ContextVar", "Lock", "Event", "Queue", "count"}


def is_broad(handler):
    caught = handler.type
    names = [caught] if not isinstance(caught, ast.Tuple) else caught.elts
    return caught is None or any(isinstance(n, ast.Name) and n.id in {"Exception", "BaseException"} for n in names)


def raises_again(handler):
    return isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None


def test_everything_is_caught_only_at_the_three_edges(modules):
    broad = set()
    for module in modules:
        for name, node in module.functions():
            own = [child for child in ast.walk(node) if isinstance(child, ast.ExceptHandler)]
            if any(is_broad(handler) and not raises_again(handler) for handler in own):
                broad.add((module.name, name))
    assert broad == BROAD_EXCEPTS


def test_what_an_edge_catches_is_told(modules):
    """An edge that swallows a bug without a word hides it."""
    silent = []
    for module in modules:
        for name, node in module.functions():
            for handler in ast.walk(node):
                if isinstance(handler, ast.ExceptHandler) and is_broad(handler) and not raises_again(handler):
                    called = {ast.unparse(call.func) for call in ast.walk(handler) if isinstance(call, ast.Call)}
                    if not any(part.endswith((".exception", ".error")) for part in called):
                        silent.append(f"{module.name}.{name}")
    assert silent == []


def test_nothing_is_suppressed_wholesale(modules):
    pattern = re.compile(r"suppress\((Base)?Exception\)")
    assert [module.name for module in modules if pattern.search(module.text)] == []


def test_no_async_generator_crosses_a_floor(modules):
    offenders = []
    for module in modules:
        for name, node in module.functions():
            if not isinstance(node, ast.AsyncFunctionDef) or node.name.startswith("_"):
                continue
            yields = [child for child in walk_own(node) if isinstance(child, ast.Yield)]
            decorated = any("contextmanager" in ast.unparse(decorator) for decorator in node.decorator_list)
            if yields and not decorated:
                offenders.append(f"{module.name}.{name}")
    assert offenders == [], "PEP 789: hand over a callback, a queue or an object with a next() instead"


def walk_own(function):
    """The nodes of a function without those of functions inside it."""
    pending = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))


def is_mutable(value):
    if isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
        return True
    if isinstance(value, ast.Call):
        called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return called in MUTABLE_CALLS
    return False


def test_modules_hold_no_state(modules):
    """A table in capitals that its module never changes is a constant; anything else at module level is state."""
    offenders = []
    for module in modules:
        changed = names_changed_in_place(module.tree)
        for node in module.tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None or not is_mutable(node.value):
                continue
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                name = ast.unparse(target)
                literal = not isinstance(node.value, ast.Call)
                if name != "__all__" and not (literal and name.isupper() and name not in changed):
                    offenders.append(f"{module.name}:{node.lineno} {name}")
        offenders += [f"{module.name}:{n.lineno} global" for n in ast.walk(module.tree) if isinstance(n, ast.Global)]
    assert offenders == []


def names_changed_in_place(tree):
    """Names that are written through: `name[key] = ...`, `del name[key]`, `name.append(...)` and the like."""
    writers = {"append", "extend", "insert", "pop", "popitem", "remove", "discard", "clear", "update", "add"}
    writers |= {"setdefault", "sort", "reverse"}
    changed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed.add(ast.unparse(node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in writers:
            changed.add(ast.unparse(node.func.value))
    return changed


def test_a_match_is_closed(modules):
    """Either the last case takes the rest (`assert_never`), or the type checker sees a missing return."""
    offenders = []
    for module in modules:
        for name, function in module.functions():
            matches = [node for node in walk_own(function) if isinstance(node, ast.Match)]
            unclosed = [node for node in matches if not (takes_the_rest(node) or always_leaves(node))]
            offenders += [f"{module.name}.{name}:{node.lineno}" for node in unclosed]
    assert offenders == []


def takes_the_rest(match):
    last = match.cases[-1]
    return last.guard is None and isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None


def always_leaves(match):
    return all(isinstance(case.body[-1], ast.Return | ast.Raise | ast.Match) for case in match.cases)


def test_nothing_is_left_for_later(modules):
    words = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error"]
    pattern = re.compile(r"\b(" + "|".join(words) + r")\b")
    offenders = [
        f"{module.name}:{number} {line.strip()}"
        for module in modules
        for number, line in enumerate(module.text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert offenders == []


def test_only_faces_print(modules):
    offenders = [
        f"{module.name}.{name}"
        for module in modules
        if module.room not in {"cli", "testing"}
        for name, function in module.functions()
        for node in walk_own(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert offenders == [], "stdout belongs to the protocol in stdio mode"
