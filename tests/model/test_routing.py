"""Nouns of logical tools: when a caller's own arguments pass."""

import pytest

from mcp_orchestrator.model.routing import ArgumentSource, Provider


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True),
        ({"arguments": {"q": ArgumentSource()}}, False),
        ({"arguments": {"q": ArgumentSource()}, "rename": {"a": "b"}}, True),
        ({"arguments": {}, "drop": ("a",)}, True),
    ],
)
def test_arguments_pass_unless_the_provider_names_its_own(changes, passes):
    assert Provider("one.find", **changes).passes is passes
