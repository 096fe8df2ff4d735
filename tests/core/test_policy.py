"""All rules that match count, the strictest decides, and an error denies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.policy_rules import Subject
from mcp_orchestrator.core.rulings import Asker, Ruling, combined, together
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.plan import Reason
from mcp_orchestrator.model.rules import Effect, Match, Phase, PolicyRule, Rate, Redaction

ORDER = (Effect.DENY, Effect.ASK, Effect.LIMIT, Effect.ALLOW)
PUSH = Subject(("tool",), ("github.push_files",), "github", ("write",), {"destructiveHint": True})
ADA = Asker(Principal("local:ada", groups=("staff",), team="web"), "cursor", profile="dev")
effects = st.lists(st.sampled_from(list(Effect)), max_size=6)


def rule(effect, ident="r", when="", **more):
    extra = {Effect.LIMIT: {"rate": Rate(1, 60.0, 1)}, Effect.REDACT: {"redact": Redaction(("email",))}}
    return PolicyRule(ident, effect, when=when, where=f"f.yaml:{ident}", **{**extra.get(effect, {}), **more})


def decide(*rules, subject=PUSH, asker=ADA, now=0.0, **args):
    return Policy(rules).decide(subject, asker, args, now)


@given(effects, st.booleans())
def test_the_strictest_effect_decides_whatever_the_order(found, faults):
    expected = Effect.DENY if faults else next((one for one in ORDER if one in found), Effect.ALLOW)
    assert combined(found, faults=faults) is expected
    assert combined(reversed(found), faults=faults) is expected


@given(effects, effects)
def test_more_rules_never_make_it_less_strict(found, more):
    rank = {effect: number for number, effect in enumerate(ORDER)}
    assert rank[combined(found + more)] <= rank[combined(found)]


@given(st.permutations([Effect.DENY, Effect.ASK, Effect.LIMIT, Effect.REDACT, Effect.ALLOW]), st.integers(1, 5))
def test_a_policy_says_the_same_in_every_order_of_its_rules(order, count):
    rules = [rule(effect, f"r{number}") for number, effect in enumerate(order[:count])]
    ruling, backwards = decide(*rules, a="x"), decide(*reversed(rules), a="x")
    assert ruling.effect is backwards.effect
    assert set(ruling.approvals) == set(backwards.approvals)
    assert set(ruling.limits) == set(backwards.limits)
    assert {reason.rule for reason in ruling.reasons} == {one.id for one in rules}


@given(st.lists(st.sampled_from([None, Effect.DENY, Effect.ASK, Effect.LIMIT, Effect.ALLOW]), max_size=4))
def test_rulings_about_one_call_are_as_strict_as_the_strictest(found):
    rulings = [
        None if effect is None else Ruling(effect, (Reason("policy", str(n)),), refusal="no")
        for n, effect in enumerate(found)
    ]
    both = together(rulings)
    present = [effect for effect in found if effect is not None]
    assert (both.effect if both else None) is (combined(present) if present else None)


def test_nothing_is_said_where_no_rule_fits():
    assert decide(rule(Effect.DENY, match=Match(tool=("files.*",)))) is None
    assert decide(rule(Effect.DENY, when='args.branch == "main"'), branch="dev") is None


@pytest.mark.parametrize(
    "match",
    [
        Match(tool=("github.push*",)), Match(server=("git*",)), Match(labels=("write",)), Match(kind=("tool",)),
        Match(annotations={"destructiveHint": True}), Match(annotations={"readOnlyHint": False}),
        Match(principal=("local:*",)), Match(group=("staff", "x")), Match(client=("cur*",)), Match(profile=("dev",)),
        Match(tool=("x", "github.*"), group=("staff",)),
    ],
)  # fmt: skip
def test_every_field_that_is_given_fits(match):
    assert decide(rule(Effect.DENY, match=match)).effect is Effect.DENY


@pytest.mark.parametrize(
    "match",
    [
        Match(tool=("push_files",)), Match(server=("hub",)), Match(labels=("write", "other")), Match(kind=("resource",)),
        Match(annotations={"destructiveHint": False}), Match(annotations={"acme": 1}), Match(principal=("ada",)),
        Match(group=("interns",)), Match(client=("Cursor",)), Match(profile=("prod",)), Match(agent=("claude",)),
        Match(tool=("github.*",), group=("interns",)),
    ],
)  # fmt: skip
def test_one_field_that_does_not_fit_is_enough(match):
    assert decide(rule(Effect.DENY, match=match)) is None


def test_a_refusal_names_rule_place_reason_and_what_would_have_to_change():
    ruling = decide(rule(Effect.DENY, "no-main", 'args.branch in ["main"]', reason="main is protected"), branch="main")
    assert ruling.refusal == (
        "refused by policy: rule 'no-main' denies github.push_files: main is protected (f.yaml:no-main). "
        'It applies because of its condition: args.branch in ["main"]'
    )
    assert (ruling.rule, ruling.where) == ("no-main", "f.yaml:no-main")


def test_every_rule_that_spoke_is_told_and_the_one_that_decides_comes_last():
    ruling = decide(rule(Effect.DENY, "d"), rule(Effect.ASK, "a"), rule(Effect.DENY, "e"), rule(Effect.ALLOW, "y"))
    assert [reason.rule for reason in ruling.reasons] == ["a", "y", "e", "d"]


@pytest.mark.parametrize("effect", list(Effect))
def test_a_rule_that_cannot_be_decided_denies_whatever_it_wants(effect):
    ruling = decide(rule(effect, when='args.nope == "x"'))
    assert (ruling.effect, ruling.fault) == (Effect.DENY, True)
    assert "cannot be decided" in ruling.refusal


def test_rewrites_and_redactions_of_arguments_add_up_in_the_order_of_the_file():
    ruling = decide(
        rule(Effect.REWRITE, "a", rewrite={"path": '"/x" + args.path', "n": {"const": 1}}),
        rule(Effect.REDACT, "b", redact=Redaction(("email",))),
        rule(Effect.REWRITE, "c", rewrite={"n": {"const": 2}}),
        path="/a",
        to="a@b.example",
    )
    assert ruling.arguments == {"path": "/x/a", "n": 2, "to": "[email]"}


def test_a_rewrite_that_fails_denies():
    assert decide(rule(Effect.REWRITE, rewrite={"path": '"/x" + args.path'})).effect is Effect.DENY


def test_rates_are_counted_for_each_combination_of_what_is_counted_apart():
    per = ("group", "tool")
    ruling = decide(rule(Effect.LIMIT, rate=Rate(5, 60.0, 5, per)), asker=Asker(Principal("p", groups=("a", "b"))))
    assert [limit.key for limit in ruling.limits] == [
        "group=a|tool=github.push_files", "group=b|tool=github.push_files",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ((rule(Effect.DENY),), False),
        ((rule(Effect.DENY, when='args.branch == "main"'),), True),
        ((rule(Effect.DENY, when='"staff" in principal.groups'),), False),
        ((rule(Effect.DENY, when='!("staff" in principal.groups)'),), True),
        ((rule(Effect.DENY, when="now.getFullYear() > 1900"),), True),
        ((rule(Effect.DENY, when="tool.destructive", phases=(Phase.LIST,)),), False),
        ((rule(Effect.DENY, phases=(Phase.RESULT,)),), True),
        ((rule(Effect.ASK),), True),
    ],
)
def test_hidden_is_what_can_never_be_called(rules, shown):
    assert Policy(rules).shows(PUSH, ADA, 0.0) is shown


def test_the_time_is_the_one_that_was_given():
    night = rule(Effect.DENY, when="now.getHours() < 6")
    assert decide(night, now=3600.0).effect is Effect.DENY
    assert decide(night, now=12 * 3600.0) is None


def test_budget_variables_without_a_budget_cannot_be_decided_and_with_one_they_can():
    poor = Policy([rule(Effect.DENY, when="budget.left_usd < 1.0")])
    assert poor.reads_budget
    assert poor.decide(PUSH, ADA, {}, 0.0).fault
    assert poor.decide(PUSH, ADA, {}, 0.0, {"budget.left_usd": 2.0}) is None
    assert poor.decide(PUSH, ADA, {}, 0.0, {"budget.left_usd": 0.5}).effect is Effect.DENY


def test_an_agent_is_known_by_name_and_depth():
    agent = Asker(Principal("agent:claude:r1", "agent", run="r1", depth=2, owner="local:ada"), mode="read")
    assert decide(rule(Effect.DENY, when='run.agent == "claude" && run.depth == 2 && run.mode == "read"'), asker=agent)
    assert decide(rule(Effect.DENY, when='principal.owner == "local:ada"'), asker=agent)


def test_a_policy_refuses_what_the_configuration_should_have_refused():
    with pytest.raises(ValueError, match="there is no tool"):
        Policy([rule(Effect.DENY, when='tool.nmae == "x"')])
