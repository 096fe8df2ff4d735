"""Logical tools are compiled once for a configuration."""

import pytest

from mcp_orchestrator.core.logical import UNSHAPED, Shaping
from mcp_orchestrator.model.routing import LogicalTool, Override, Provider

SCHEMA = {"type": "object"}


def prepared(*providers, **changes):
    return Shaping(None, {"t": LogicalTool("t", "D", SCHEMA, providers, **changes)}).logical["t"]


def test_the_definition_has_what_was_said_and_nothing_else():
    assert prepared(Provider("a.b")).definition == {"name": "t", "description": "D", "inputSchema": SCHEMA}
    full = prepared(Provider("a.b"), title="T", output_schema=SCHEMA, annotations={"readOnlyHint": True})
    assert full.definition == {
        "name": "t", "title": "T", "description": "D", "inputSchema": SCHEMA, "outputSchema": SCHEMA,
        "annotations": {"readOnlyHint": True},
    }  # fmt: skip
    assert full.output is not None
    assert prepared(Provider("a.b")).output is None


def test_the_name_of_a_tool_may_have_points():
    (provider,) = prepared(Provider("a.b.c")).providers
    assert (provider.backend, provider.name) == ("a", "b.c")


def test_conditions_can_be_asked_together_unless_that_would_be_too_long():
    assert prepared(Provider("a.b", when="true"), Provider("c.d")).together is not None
    long = " || ".join(["args.x == 1"] * 200)
    assert prepared(*(Provider(f"a.b{n}", when=long) for n in range(4))).together is None


def test_an_expression_that_a_configuration_should_have_refused_is_refused():
    with pytest.raises(ValueError, match="nope"):
        prepared(Provider("a.b", when="nope"))


def test_what_a_run_sees_to_follows_the_override_in_force():
    made = prepared(Provider("a.b", max_concurrent=2))
    (provider,) = made.providers
    plain = provider.care_for(None, made.spec)
    assert (plain.repeatable, plain.limit, plain.cap) == (False, 2, None)
    assert provider.care_for(None, made.spec) is plain
    overridden = provider.care_for(Override("a.b", idempotent=True, max_result_bytes=7), made.spec)
    assert (overridden.repeatable, overridden.cap) == (True, 7)


def test_nothing_is_made_of_tools_without_a_word_about_them():
    assert (UNSHAPED.logical, UNSHAPED.overrides) == ({}, {})
