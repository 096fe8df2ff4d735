"""Expressions are RE2."""

import pytest

from mcp_orchestrator.core.expressions import expression


def test_an_expression_finds_what_it_says():
    assert expression("a+b").search("xaab") is not None


@pytest.mark.parametrize("text", ["(a", "(?=a)", r"(a)\1"])
def test_what_is_no_re2_is_refused_in_words(text, capfd):
    with pytest.raises(ValueError, match=r"\w"):
        expression(text)
    assert capfd.readouterr().err == ""
