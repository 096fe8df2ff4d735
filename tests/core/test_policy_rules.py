"""One rule: what it is about, and what is known of it before anything is called."""

import pytest

from mcp_orchestrator.core.conditions import Conditions
from mcp_orchestrator.core.policy_rules import Subject, compiled, together
from mcp_orchestrator.model.rules import Effect, Match, Phase, PolicyRule


def made(when="", **more):
    return compiled(PolicyRule("r", more.pop("effect", Effect.DENY), when=when, **more), Conditions())


@pytest.mark.parametrize(
    ("annotations", "name", "value"),
    [
        ({}, "destructiveHint", True), ({}, "readOnlyHint", False), ({}, "openWorldHint", True), ({}, "idempotentHint", False),
        ({"readOnlyHint": True}, "destructiveHint", False), ({"readOnlyHint": True, "destructiveHint": True}, "destructiveHint", False),
        ({"destructiveHint": False}, "destructiveHint", False), ({"destructiveHint": "no"}, "destructiveHint", True),
    ],
)  # fmt: skip
def test_a_tool_that_says_nothing_is_taken_for_the_worst(annotations, name, value):
    assert Subject(("tool",), ("a.b",), annotations=annotations).hint(name) is value


@pytest.mark.parametrize(
    ("when", "never"),
    [
        ("", True),
        ("tool.destructive", True),
        ('args.x == "y"', False),
        ("now.getHours() > 5", False),
        ("run.depth > 1", False),
    ],
)
def test_what_needs_no_call_to_be_decided_is_known(when, never):
    assert made(when).never is never


def test_the_keys_of_several_are_all_of_them():
    assert together([frozenset("a"), frozenset("b")]) == {"a", "b"}
    assert together([frozenset("a"), None]) is None


def test_what_would_have_to_change_is_the_condition_the_caller_or_the_rule():
    subject = Subject(("tool",), ("a.b",))
    assert "condition: tool.destructive" in made("tool.destructive").what_would_change(subject)
    assert "group x only" in made(match=Match(group=("x",))).what_would_change(subject)
    assert "to use a.b, the rule would have to be changed" in made().what_would_change(subject)


def test_a_rule_for_several_phases_has_a_condition_in_each():
    assert set(made("tool.destructive", phases=(Phase.LIST, Phase.CALL)).conditions) == {Phase.LIST, Phase.CALL}
