"""Conditions are checked when they are loaded, and never say yes for want of an answer."""

import time

import pytest

from mcp_orchestrator.core.conditions import Condition, Conditions, Fault, Wrong, variables
from mcp_orchestrator.model.rules import Phase


@pytest.fixture(scope="module")
def conditions():
    return Conditions()


def judged(conditions, text, phase=Phase.CALL, **args):
    made = conditions.compile(text, phase)
    assert isinstance(made, Condition), made
    return made.judge(conditions.circumstances(phase, {"args": args, "tool.name": "a.b"}, made.keys))


def wrong(conditions, text, phase=Phase.CALL):
    made = conditions.compile(text, phase)
    assert isinstance(made, Wrong), made
    return made


@pytest.mark.parametrize(
    ("text", "column", "message", "fix"),
    [
        ('tool.nmae == "x"', 1, "there is no tool.nmae", "did you mean tool.name?"),
        ('true && tool.nmae == "x"', 9, "there is no tool.nmae", "did you mean tool.name?"),
        ("run.depth > 1.5", 11, "'>' does not go with (int, double)", "1.0"),
        ("tool.name ==", 13, "Syntax error", ""),
        ("tool.read_only == 'x'", 16, "'==' does not go with (bool, string)", "one type"),
        ("tool", 1, "there is no tool", "did you mean tool.name?"),
        ("nothing_like_it(1)", 16, "there is no nothing_like_it", "there are: "),
        ("run.depth + 1", 1, "but this is int", "compare it"),
        ("args.flag", 1, "of this it is not known", "== true"),
    ],
)
def test_mistakes_are_found_at_load_with_their_column_and_a_fix(conditions, text, column, message, fix):
    found = wrong(conditions, text)
    assert (found.line, found.column) == (1, column)
    assert message in found.message
    assert fix in found.fix


def test_the_presence_of_a_variable_is_no_condition(conditions):
    assert "this is string" in wrong(conditions, "has(tool.name)").message


def test_the_second_line_of_an_expression_is_counted(conditions):
    found = wrong(conditions, "run.depth == 1 &&\n  tool.nmae == 'x'")
    assert (found.line, found.column) == (2, 3)


def test_arguments_in_the_phase_list_are_an_error_that_says_which_phases_have_them(conditions):
    found = wrong(conditions, 'args.branch == "main"', Phase.LIST)
    assert "there are no arguments in the phase list" in found.message
    assert "phases: [call, result]" in found.fix
    assert "phases: [result]" in wrong(conditions, 'result.text == ""').fix


@pytest.mark.parametrize(
    "text", ["", "  ", "x" * 5000, "(" * 50 + "1" + ")" * 50, "1" + "+1" * 60 + ">0", "\ud800", "true\x00"]
)
def test_what_is_no_expression_is_refused_without_harm(conditions, text):
    assert wrong(conditions, text).message


def test_an_error_is_no_answer_though_the_engine_gives_it_as_a_value(conditions):
    assert isinstance(judged(conditions, 'args.branch == "main"'), Fault)
    assert isinstance(judged(conditions, "1 / (run.depth - run.depth) == 1"), Fault)
    assert judged(conditions, 'args.branch == "main"', branch="main") is True
    assert judged(conditions, 'has(args.branch) && args.branch == "main"') is False
    assert judged(conditions, 'args.branch == "main" || tool.name == "a.b"') is True


@pytest.mark.parametrize(
    "value", [1 << 64, -(1 << 63) - 1, "\ud83d", "x" * 70_000, ["x"] * 1001, {str(n): n for n in range(1001)}, object()]
)
def test_what_cannot_be_read_fails_where_it_is_read_and_only_there(conditions, value):
    found = judged(conditions, 'args.a == "x"', a=value)
    assert isinstance(found, Fault)
    assert "args.a: " in found.text
    assert judged(conditions, 'args.b == "x"', a=value, b="x") is True
    assert isinstance(judged(conditions, 'args.exists(k, k == "b")', a=value, b="x"), Fault)


def test_a_failure_tells_no_value(conditions):
    found = judged(conditions, "args.a > 5", a="my secret")
    assert "secret" not in found.text
    found = judged(conditions, "args.a > 5", a=[1 << 70, "my secret"])
    assert "secret" not in found.text


def test_deep_nesting_does_not_end_the_process(conditions):
    deep = "x"
    for _ in range(100_000):
        deep = [deep]
    assert isinstance(judged(conditions, "args.a == args.b", a=deep, b=deep), Fault)


def test_whole_numbers_of_64_bits_and_null_can_be_compared(conditions):
    assert judged(conditions, "args.a > 5", a=(1 << 63) - 1) is True
    assert judged(conditions, "has(args.a) && args.a == null", a=None) is True


def test_nan_equals_nothing(conditions):
    assert judged(conditions, "args.a == args.a", a=float("nan")) is False


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("args.l.all(a, args.l.all(b, args.l.all(c, true)))", "nested 2 deep"),
        ("args.l.map(a, 1).map(b, 1).map(c, 1).size() > 0", "2 times"),
        ("args.l.all(a, args.l.map(b, 1).size() > 0)", "inside another loop"),
        ("[args.a].map(x, x + x).size() > 0", "only numbers may be added"),
        ("args.l.all(x, args.a == args.b)", "one side of =="),
        ("args.l.all(x, x in args.m)", "a list that is written out"),
        ('args.l.all(x, args.s.matches("a"))', "own variable only"),
        ("args.l.all(x, args.m.all(y, y.contains('a')))", "inside of a loop may compare"),
        ("args.a.matches(args.b)", "must be a text"),
        ('args.a.matches("(")', "no regular expression"),
        (" || ".join(['args.a.matches("x")'] * 17), "16 times"),
    ],
)
def test_conditions_that_could_take_long_are_refused(conditions, text, why):
    assert why in wrong(conditions, text).message


LONG = [f"item {number}" * 5 for number in range(1000)]


@pytest.mark.parametrize(
    "text",
    [
        "args.l.map(x, x).filter(y, y != 'z').size() > 1",
        "args.l.all(x, args.l.all(y, string(x) != 'z' || string(y) != 'w'))",
        "args.l.all(x, !x.matches('(a+)+(b|c)*d{3,9}'))",
        " || ".join(["args.s.matches('(x+x+)+y')"] * 16),
        "args.all(k, args.all(j, k != 'q' || j != 'q'))",
        "args.l == args.l",
    ],
)
def test_the_worst_of_what_is_allowed_is_soon_over(conditions, text):
    made = conditions.compile(text, Phase.CALL)
    assert isinstance(made, Condition), made
    args = {"l": LONG, "s": "x" * 65_536, **{f"k{number}": number for number in range(900)}}
    started = time.process_time()
    made.judge(conditions.circumstances(Phase.CALL, {"args": args}, made.keys))
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('args.a == "x" && has(args.b.c) && args["d"] == 1 && "e" in args', {"a", "b", "d", "e"}),
        ("args.l.exists(x, string(x) == args.m)", {"l", "m"}),
        ("args.exists(k, k == 'a')", None),
        ("size(args) > 1", None),
        ("args[tool.name] == 1", None),
        ("tool.name == 'x'", set()),
    ],
)
def test_it_is_known_which_arguments_a_condition_reads(conditions, text, keys):
    assert conditions.compile(text, Phase.CALL).keys == keys


def test_it_is_known_which_variables_a_condition_reads(conditions):
    made = conditions.compile('tool.name == "x" || principal.groups.exists(g, g == "y")', Phase.LIST)
    assert made.reads == {"tool.name", "principal.groups"}


@pytest.mark.parametrize("phase", list(Phase))
def test_every_variable_of_a_phase_can_be_used_in_it(conditions, phase):
    shapes = {"STRING": "{} == ''", "LIST": "size({}) == 0", "BOOL": "{}", "INT": "{} == 0", "DOUBLE": "{} == 0.0", "MAP": "size({}) == 0",
              "TIMESTAMP": "{}.getFullYear() > 2000"}  # fmt: skip
    for name, kind in variables(phase).items():
        made = conditions.compile(shapes[kind].format(name), phase)
        assert isinstance(made, Condition), (name, made)
        assert made.reads == {name}


def test_time_zones_are_known(conditions):
    assert judged(conditions, 'now.getHours("Europe/Berlin") >= 0') is True
    assert isinstance(judged(conditions, 'now.getHours("Nowhere/Nix") >= 0'), Fault)


def test_the_engine_is_not_loaded_before_the_first_condition():
    made = Conditions()
    assert made._envs == {}


def test_values_of_any_type_can_be_asked_for(conditions):
    made = conditions.compile('"/safe/" + args.path', Phase.CALL, wants=None)
    assert made.value(conditions.circumstances(Phase.CALL, {"args": {"path": "a"}})) == "/safe/a"
    assert isinstance(made.value(conditions.circumstances(Phase.CALL, {"args": {}})), Fault)
