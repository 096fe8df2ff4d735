"""Problems as people and programs see them."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Notes, Problem, Severity, closest, did_you_mean, render
from mcp_orchestrator.config.document import Place
from mcp_orchestrator.config.masking import Span


def notes(text, spans=()):
    made = Notes("f.yaml", text)
    made.hide(list(spans))
    return made


def test_a_problem_shows_code_place_excerpt_caret_and_fix():
    made = notes("a: 1\nbad: 2")
    made.error(Code.UNKNOWN_KEY, 'unknown key "bad"', Place(2, 1), 'did you mean "b"?')
    assert render(made.problems()) == (
        'error C010 f.yaml:2:1: unknown key "bad"\n    2 | bad: 2\n      | ^\n  fix: did you mean "b"?'
    )


def test_a_problem_without_a_place_shows_no_excerpt():
    made = Notes("f.yaml")
    made.warn(Code.NOT_FOUND, "nothing", None)
    assert render(made.problems()) == "warning C001 f.yaml: nothing"


def test_a_problem_is_plain_data_for_programs():
    problem = Problem(Code.SYNTAX, "m", "f", 1, 2, "x", 1, "do", Severity.WARNING)
    assert problem.as_json() == {
        "code": "C003", "severity": "warning", "message": "m", "file": "f", "line": 1, "column": 2, "excerpt": "x",
        "fix": "do",
    }  # fmt: skip


def test_problems_come_in_the_order_of_the_file_and_once():
    made = notes("a\nb")
    for line in (2, 1, 2):
        made.error(Code.SYNTAX, f"line {line}", Place(line, 1), "f")
    assert [problem.line for problem in made.problems()] == [1, 2]


def test_the_caret_stands_under_its_place_even_behind_something_masked():
    text = "{a: hunter2, bad: 1}"
    made = notes(text, [Span(Place(1, 5), Place(1, 12))])
    made.error(Code.UNKNOWN_KEY, "m", Place(1, 14), "f")
    (problem,) = made.problems()
    assert problem.excerpt == "{a: <secret>, bad: 1}"
    assert problem.excerpt[problem.caret :].startswith("bad")


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 400))
def test_the_excerpt_of_a_long_line_is_cut_around_the_place(before, first, length):
    line = "x" * before + "MARK" + "y" * (first + length)
    made = notes(line, [Span(Place(1, before + 6 + first), Place(1, before + 6 + first + length))])
    made.error(Code.UNKNOWN_KEY, "m", Place(1, before + 1), "f")
    (problem,) = made.problems()
    assert len(problem.excerpt) <= 110
    assert problem.excerpt[problem.caret : problem.caret + 1] == "M"


def test_control_characters_do_not_reach_the_terminal():
    made = notes("a\t: \x1b[31mred")
    made.error(Code.SYNTAX, "m", Place(1, 1), "f")
    assert "\x1b" not in render(made.problems())
    assert "\t" not in render(made.problems())


def test_the_nearest_word_is_suggested_whatever_its_case():
    assert closest("mcpservers", ["mcpServers", "agents"]) == "mcpServers"
    assert did_you_mean("eagr", ["eager", "lazy"]) == 'did you mean "eager"?'
    assert did_you_mean("zzz", ["eager", "lazy"]) == "possible here: eager, lazy"
