"""Conditions of rules: CEL, checked when the configuration is loaded, judged without ever raising.

This is the one file that knows the engine (cel-expr-python 0.1.3: Google's cel-cpp). Each phase has an environment of
its own with dotted variables, so that a misspelt name, a wrong type, or arguments in the list phase are found at load
with a column. What was measured of the engine (2026-11) and is dealt with here: evaluation answers with an error as a
value, which is true as a truth value; `has()` of a variable is a text; half a surrogate pair raises, deep nesting ends
the process; a loop may run for seconds (`condition_limits`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator.core import condition_limits
from mcp_orchestrator.core.condition_tree import Form, Tree, read
from mcp_orchestrator.core.condition_views import LONGEST_RESULT, LONGEST_TEXT, View
from mcp_orchestrator.core.expressions import expression
from mcp_orchestrator.model.rules import Phase

_LIST: Final[Mapping[str, str]] = {
    "principal.id": "STRING",
    "principal.kind": "STRING",
    "principal.owner": "STRING",
    "principal.groups": "LIST",
    "principal.team": "STRING",
    "client.name": "STRING",
    "client.version": "STRING",
    "client.era": "STRING",
    "tool.name": "STRING",
    "tool.server": "STRING",
    "tool.labels": "LIST",
    "tool.read_only": "BOOL",
    "tool.destructive": "BOOL",
    "tool.idempotent": "BOOL",
    "tool.open_world": "BOOL",
    "agent.name": "STRING",
    "agent.labels": "LIST",
    "profile": "STRING",
    "kind": "STRING",
    "now": "TIMESTAMP",
}
_CALL: Final[Mapping[str, str]] = {
    **_LIST,
    "args": "MAP",
    "context.id": "STRING",
    "run.depth": "INT",
    "run.agent": "STRING",
    "run.mode": "STRING",
}
_RESULT: Final[Mapping[str, str]] = {
    **_CALL,
    "result.text": "STRING",
    "result.is_error": "BOOL",
    "result.bytes": "INT",
}
BUDGET: Final[Mapping[str, str]] = {
    "budget.left_usd": "DOUBLE",
    "budget.limit_usd": "DOUBLE",
    "budget.spent_usd": "DOUBLE",
    "budget.reserved_usd": "DOUBLE",
}
"""How the tightest money budget of a call stands (`core.budget.variables`); without one, infinite is left."""

LARGE: Final = frozenset({"args", "result.text", "result.structured", "result.json"})
"""Variables whose size others decide."""

_FAULT: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*?)(?: \(in container ''\))?(?=\n|$)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']+)'")
_NO_OVERLOAD: Final = re.compile(r"found no matching overload for '([^']+)' applied to '\((.*)\)'")
_OPERATORS: Final = re.compile(r"^_(.+?)_$")


Names = Phase | Mapping[str, str]
"""What an expression may read: the variables of a phase, or a table of them with their types."""


def variables(names: Names) -> Mapping[str, str]:
    """The variables of a phase with their types."""
    if not isinstance(names, Phase):
        return names
    match names:
        case Phase.LIST:
            return _LIST
        case Phase.CALL:
            return {**_CALL, **BUDGET}
        case Phase.RESULT:
            return {**_RESULT, **BUDGET}


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why an expression is refused. `line` and `column` count from 1, within the expression; `fix` may be ""."""

    message: str
    line: int = 1
    column: int = 1
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error while deciding: what went wrong, for a person, without any value that the condition saw.

    `absent`: it read something that is not there.
    """

    text: str
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled expression. `reads` are the variables in it, `kind` is the type of what it gives (`DYN`: any).

    `keys` are those of `args` that it reads; None: any of them.
    """

    text: str
    reads: frozenset[str]
    _expression: Any
    kind: str = "DYN"
    keys: frozenset[str] | None = None

    def judge(self, circumstances: Circumstances) -> bool | Fault:
        """Whether the condition holds; a `Fault` for everything that is neither true nor false."""
        try:
            value = self._expression.eval(circumstances.activation).value()
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            return Fault(_told(str(error), circumstances))
        if value is True or value is False:  # an error is a value, too: a text, which counts as true
            return value
        return Fault(_told(str(value), circumstances))

    def value(self, circumstances: Circumstances) -> Any:
        """What the expression gives as plain values; a `Fault` where it fails."""
        try:
            found = self._expression.eval(circumstances.activation)
            # Looked at first: the text of an error would be taken for the result.
            if found.type() == circumstances.error:
                said = str(found.value())
                return Fault(_told(said, circumstances), absent=_is_absence(said))
            return found.plain_value()
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            return Fault(_told(str(error), circumstances))


class Together:
    """Several conditions of one phase, judged at once."""

    __slots__ = ("_expression", "_number")

    def __init__(self, expression: Any, number: int) -> None:
        self._expression = expression
        self._number = number

    def judge(self, circumstances: Circumstances) -> list[bool] | None:
        """The answer to each; None where not all of them have one, so that each must be asked by itself."""
        try:
            found = self._expression.eval(circumstances.activation).plain_value()
        except (RuntimeError, TypeError, ValueError, OverflowError):
            return None
        if type(found) is not list or len(found) != self._number:  # an error is a value, too
            return None
        return found if all(one is True or one is False for one in found) else None


class Circumstances:
    """What conditions of one decision see: the values of the variables; arguments are viewed when first asked for.

    Of `args` they see `keys` (None: all): the engine looks at an object as a whole, and one value in it that cannot be
    read would make those fail that nobody asks for.
    """

    __slots__ = ("_activation", "_cut", "_env", "_keys", "_values", "error")

    def __init__(self, env: Any, error: Any, values: dict[str, Any], keys: frozenset[str] | None = None) -> None:
        self._env = env
        self._keys = keys
        self._values = values
        self._activation: Any = None
        self._cut: dict[str, str] = {}
        self.error = error

    @property
    def activation(self) -> Any:
        """The values in the engine's form."""
        if self._activation is None:
            values = self._values
            for name in LARGE & values.keys():
                value = values[name]
                if name == "args" and self._keys is not None:
                    value = {key: value[key] for key in self._keys if key in value}
                view = View(value, LONGEST_RESULT if name == "result.text" else LONGEST_TEXT)
                self._cut |= {f"{name}.{path}" if path else name: why for path, why in view.cut.items()}
                values[name] = view.value
            if "now" not in values:
                values["now"] = dt.datetime.now(dt.UTC)
            self._activation = self._env.Activation(values)
        return self._activation

    @property
    def cut(self) -> Mapping[str, str]:
        """What cannot be read, and why."""
        return self._cut


class Conditions:
    """Compiles expressions. The engine is loaded with the first one: most configurations have none."""

    def __init__(self) -> None:
        self._envs: dict[Any, Any] = {}
        self._error: Any = None

    def _env(self, names: Names) -> Any:
        key = names if isinstance(names, Phase) else tuple(names.items())
        if key not in self._envs:
            # 30 ms and 30 MB that are not spent without a condition.
            from cel_expr_python import cel  # type: ignore[import-untyped]  # noqa: PLC0415

            kinds = cel.Type
            shapes = {"LIST": kinds.List(kinds.STRING), "MAP": kinds.Map(kinds.STRING, kinds.DYN)}
            declared = {name: shapes.get(kind) or getattr(kinds, kind) for name, kind in variables(names).items()}
            self._envs[key] = cel.NewEnv(variables=declared)
            self._error = kinds.ERROR
        return self._envs[key]

    def circumstances(self, phase: Names, values: dict[str, Any], keys: frozenset[str] | None = None) -> Circumstances:
        """What the conditions of one decision see; with `keys`, of `args` no more than these."""
        return Circumstances(self._env(phase), self._error, values, keys)

    def together(self, conditions: Sequence[Condition], phase: Names) -> Together | None:
        """Several conditions as one, which is judged in a third of the time; None where the engine does not take it."""
        text = ", ".join(f"(\n{condition.text}\n)" for condition in conditions)  # a comment ends with its line
        try:
            return Together(self._env(phase).compile(f"[{text}]"), len(conditions))
        except RuntimeError:
            return None

    def compile(  # noqa: PLR0911 - one line a reason to refuse it
        self, text: str, phase: Names, *, wants: str | None = "BOOL"
    ) -> Condition | Wrong:
        """Check and compile an expression; `wants` is the type of its result (None: any)."""
        if not text.strip():
            return Wrong("a condition must say something", fix="leave it out, or write true")
        if len(text) > condition_limits.LONGEST:
            return Wrong(f"a condition has at most {condition_limits.LONGEST} characters", fix="make two rules of it")
        try:
            text.encode()
            made = self._env(phase).compile(text)
            tree = read(made.serialize())
        except UnicodeEncodeError:
            return Wrong("half of a surrogate pair is no character", fix="remove it")
        except (RuntimeError, ValueError, RecursionError) as error:
            return _refused(str(error), phase)
        kind = made.return_type().name()
        if wants is not None and kind != wants:
            return _wrong_kind(kind, wants, tree)
        why = condition_limits.trouble(tree, LARGE) or self._bad_pattern(tree)
        if why:
            return Wrong(why, fix="write it so that it cannot take long, whatever the arguments are")
        return Condition(text, frozenset(tree.names() & variables(phase).keys()), made, kind, tree.keys("args"))

    @staticmethod
    def _bad_pattern(tree: Tree) -> str:
        for pattern in condition_limits.patterns(tree):
            try:
                expression(pattern)
            except ValueError as error:
                return f"matches: no regular expression (RE2): {error}"
        return ""


def _wrong_kind(kind: str, wants: str, tree: Tree) -> Wrong:
    meant = "true or false" if wants == "BOOL" else wants.lower()
    if kind == "DYN":
        return Wrong(f"a condition must be {meant}, and of this it is not known", fix="compare it: ... == true")
    if tree.form is Form.NAME:
        fix = f"compare it: {tree.name} == ... (has() asks for arguments only: has(args.path))"
    else:
        fix = "compare it with something"
    return Wrong(f"a condition must be {meant}, but this is {kind.lower()}", fix=fix)


def _refused(said: str, phase: Names) -> Wrong:
    """The engine's refusal for a person: its place, its words, and what to do."""
    found = _FAULT.search(said)
    if found is None or int(found[1]) < 1:
        deep = "recursion" in said
        text = "the expression is nested too deeply" if deep else "no CEL expression"
        return Wrong(text, fix="make two rules of it" if deep else "")
    line, column, text = int(found[1]), int(found[2]), found[3]
    undeclared, overload = _UNDECLARED.match(text), _NO_OVERLOAD.match(text)
    if undeclared is not None:
        return _undeclared(undeclared[1], line, column, phase)
    if overload is not None:
        name = _OPERATORS.sub(r"\1", overload[1])
        mixed = {"int", "double"} <= set(overload[2].split(", "))
        fix = "write whole numbers with a point here: 1.0" if mixed else "compare values of one type"
        return Wrong(f"'{name}' does not go with ({overload[2]})", line, column, fix)
    return Wrong(text.partition(" expecting {")[0], line, column)


def _undeclared(name: str, line: int, column: int, phase: Names) -> Wrong:
    import difflib  # noqa: PLC0415 - only for a refusal

    known = list(variables(phase))
    last = name.rpartition(".")[2]
    start = max(1, column - (len(name) - len(last) - 1)) if "." in name else column  # the engine points at the dot
    phases = Phase if isinstance(phase, Phase) else ()
    later = [one for one in phases if any(name == each or name.startswith(f"{each}.") for each in variables(one))]
    if later and isinstance(phase, Phase):
        text = f"{name} is not known in the phase {phase.value}"
        if name.partition(".")[0] == "args" and phase is Phase.LIST:
            text = f"{name}: there are no arguments in the phase list, where nothing is called yet"
        return Wrong(text, line, start, f"leave this phase out of the rule: phases: [{', '.join(later)}]")
    near = difflib.get_close_matches(name, known, n=1)
    family = [one for one in known if one.startswith(f"{name.partition('.')[0]}.")]
    fix = f"did you mean {near[0]}?" if near else f"there are: {', '.join(family or known)}"
    return Wrong(f"there is no {name}", line, start, fix)


def _told(said: str, circumstances: Circumstances) -> str:  # noqa: PLR0911 - a table
    """A failure in our own words: those of the engine may hold what was in the arguments."""
    if _is_absence(said):
        return "it reads something that is not there; ask has(...) before"
    if "out of range for '" in said or "construction from null" in said:
        cut = "; ".join(f"{path}: {why}" for path, why in circumstances.cut.items())
        return f"it reads something that conditions cannot look at ({cut or 'a number beyond 64 bits'})"
    if "Iteration budget" in said:
        return "its loops take too many steps"
    if "No matching overloads" in said or "non-message type" in said:
        return "it meets values of other types than it is made for; ask type(...) before"
    if "divide by zero" in said or "overflow" in said:
        return "it divides by zero, or a number becomes too large"
    if "No value with name" in said:
        return "it reads something that is not known here"
    return "it fails"


def _is_absence(said: str) -> bool:
    return "Key not found" in said or "No such field" in said
