"""What rules ask of a call before it is made."""

from mcp_orchestrator.core.policy_rules import Subject
from mcp_orchestrator.core.policy_terms import approval_of, limits_of, shown_terms
from mcp_orchestrator.core.rulings import Asker
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.rules import Effect, PolicyRule, Rate, Terms

ASKER = Asker(Principal("local:ada"), "cursor", context="c")
SUBJECT = Subject(("tool",), ("a.b",), "a")


def test_the_command_line_approves_where_nobody_is_named():
    assert approval_of(PolicyRule("r", Effect.ASK)).approvers == ("operator",)
    assert approval_of(PolicyRule("r", Effect.ASK, approvers=("local:x",))).approvers == ("local:x",)


def test_a_rate_without_anything_to_count_apart_counts_all_together():
    (limit,) = limits_of(PolicyRule("r", Effect.LIMIT, rate=Rate(1, 1.0, 1, ())), SUBJECT, ASKER)
    assert limit.key == ""
    (limit,) = limits_of(
        PolicyRule("r", Effect.LIMIT, rate=Rate(1, 1.0, 1, ("group", "client", "server"))), SUBJECT, ASKER
    )
    assert limit.key == "group=|client=cursor|server=a"
    assert list(limits_of(PolicyRule("r", Effect.LIMIT), SUBJECT, ASKER)) == []


def test_terms_are_shown_as_far_as_there_are_any():
    assert shown_terms(None) == {}
    rule = PolicyRule("r", Effect.LIMIT, rate=Rate(1, 2.0, 1), where="f:1")
    terms = Terms((approval_of(rule),), tuple(limits_of(rule, SUBJECT, ASKER)), arguments={"a": 1})
    shown = shown_terms(terms)
    assert shown["approvals"][0]["rule"] == "r"
    assert shown["limits"][0]["for"] == "principal=local:ada"
    assert shown["arguments"] == {"a": 1}
