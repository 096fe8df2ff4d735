"""Secrets in environment variables."""

import pytest

from mcp_orchestrator.model.snapshot import Secret
from mcp_orchestrator.secrets.environment import EnvironmentSecrets

SOURCE = EnvironmentSecrets({"TOKEN": "hunter2", "EMPTY": " "})


def test_a_variable_is_a_secret():
    assert SOURCE.resolve("TOKEN") == Secret("hunter2")
    assert repr(SOURCE.resolve("TOKEN")) == "<secret>"


@pytest.mark.parametrize(
    ("name", "words"), [("NONE", "not set"), ("EMPTY", "empty"), ("A-B", "not the name"), ("", "not the name")]
)
def test_a_missing_one_is_a_lookup_error_that_says_what_to_do(name, words):
    with pytest.raises(LookupError, match=words):
        SOURCE.resolve(name)
