"""References in values."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.config.diagnose import Notes
from mcp_orchestrator.config.references import References
from mcp_orchestrator.config.yaml_text import parse
from mcp_orchestrator.model.snapshot import Secret


def fill(value, *, foreign=True, secrets_fit=True, **environ):
    """The filled text (None when something was missing) and the problems."""
    text = f'k: "{value}"'
    notes = Notes("f", text)
    notes.hide([])
    environ = {"HOME": "/home/ada", **environ}
    secrets = {"env": lambda name: Secret(environ[name])}
    references = References(environ, secrets, Path("/etc/gateway"), notes, foreign, secrets_fit)
    filled = references.fill(parse(text, lambda *_: None).get("k"))
    return None if filled is None else filled.text, notes.problems()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("${env:A}", "one"), ("x-${env:A}-${env:B}", "x-one-"), ("${env:NO:-two}", "two"), ("${env:B:-two}", "two"),
        ("${env:NO:-}", ""), ("${env:NO:-a:b/c}", "a:b/c"), ("${secret:env/A}", "one"), ("$${env:A}", "${env:A}"),
        ("$A $1 $$", "$A $1 $$"), ("no reference", "no reference"), ("${A}", "one"), ("${NO:-two}", "two"),
        ("${userHome}/x", "/home/ada/x"), ("${workspaceFolder}", "/etc/gateway"),
        ("${workspaceFolderBasename}", "gateway"), ("a${pathSeparator}b${/}c", "a/b/c"),
    ],
)  # fmt: skip
def test_a_reference_is_filled_in(value, text):
    assert fill(value, A="one", B="") == (text, ())


@pytest.mark.parametrize(
    ("value", "code", "column"),
    [
        ("${env:NO}", "C031", 5), ("abc ${NO}", "C031", 9), ("${env:A:-${env:A}}", "C033", 5), ("${env:A", "C033", 5),
        ("${secret:vault/x}", "C033", 5), ("${input:token}", "C033", 5), ("${secret:env/NO}", "C032", 5),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_in_is_an_error_at_its_place(value, code, column):
    text, problems = fill(value, A="one")
    assert text is None
    assert [(str(problem.code), problem.column) for problem in problems] == [(code, column)]


def test_every_missing_variable_is_told():
    _, problems = fill("${env:X} ${env:Y}")
    assert [problem.message.split()[2] for problem in problems] == ["X", "Y"]


def test_shell_words_in_a_server_block_are_passed_on_with_a_warning():
    text, problems = fill("for f in ${FILES%.*}")
    assert text == "for f in ${FILES%.*}"
    assert [(str(problem.code), str(problem.severity)) for problem in problems] == [("C033", "warning")]


def test_secrets_stay_out_of_values_that_are_shown():
    text, problems = fill("${secret:env/A}", secrets_fit=False, A="one")
    assert text is None
    assert [str(problem.code) for problem in problems] == ["C034"]


@given(st.text(st.characters(codec="utf-8", exclude_characters='"\\', categories=["L", "N", "P", "S"])))
def test_a_value_of_a_variable_is_never_read_as_a_reference(value):
    assert fill("<${env:A}>", A=value) == (f"<{value}>", ())
