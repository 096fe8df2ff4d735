"""The rules of delegation: who takes it, what an answer is worth, and how usage adds up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.delegating import (
    added,
    again_for_schema,
    checked,
    choose,
    going_on,
    shown_changes,
    shown_cost,
    status_word,
    unfit,
    with_schema,
)
from mcp_orchestrator.model.agent import (
    AgentKind,
    AgentMode,
    AgentSpec,
    AgentUsage,
    CostSource,
    Ended,
    EndStatus,
    TroubleKind,
)
from mcp_orchestrator.model.delegation import Changes, Delegated, DelegationState

READ, WRITE = AgentMode.READ, AgentMode.WRITE
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def spec(name, **more):
    return AgentSpec(name, AgentKind.SCRIPTED, most_mode=more.pop("most_mode", WRITE), **more)


AGENTS = (
    spec("off", disabled=True),
    spec("reader", most_mode=READ, labels=("review",)),
    spec("writer", labels=("review", "code")),
)


@pytest.mark.parametrize(
    ("named", "labels", "mode", "agent", "said"),
    [
        (None, (), READ, "reader", "the first agent of the configuration"),
        (None, (), WRITE, "writer", "the first agent of the configuration"),
        (None, ("code",), READ, "writer", "the first agent with code"),
        ("writer", ("none",), READ, "writer", "was asked for"),
        ("off", (), READ, None, "there is no agent 'off'; there are: reader, writer"),
        ("reader", (), WRITE, None, "may only read"),
        (None, ("paint",), READ, None, "no agent has all of the labels paint"),
    ],
)  # fmt: skip
def test_who_takes_a_delegation_and_why(named, labels, mode, agent, said):
    choice = choose(AGENTS, named, labels, mode)
    assert (choice.agent.name if choice.agent else None) == agent
    assert said in (choice.refusal or choice.reasons[0].text)


def test_a_refusal_repeats_no_long_list_of_labels():
    assert len(choose(AGENTS, None, ["l" * 1000] * 1000, READ).refusal) < 700


def told(text="", structured=None, status=EndStatus.COMPLETED):
    return Ended(status, text, structured)


@pytest.mark.parametrize(
    "ended", [told('{"n": 1}'), told('so:\n```json\n{"n": 1}\n```'), told('```\n{"n": 1}\n```'), told("x", {"n": 1})]
)
def test_a_fitting_answer_is_found_wherever_it_is(ended):
    assert checked(ended, SCHEMA) == (replace(ended, structured={"n": 1}), [])


@pytest.mark.parametrize(
    "ended", [told("well"), told('{"n": "1"}'), told('{"n": 1}', {"n": "1"}), told("```"), told("")]
)
def test_an_answer_that_does_not_fit_is_told_with_its_faults(ended):
    _, faults = checked(ended, SCHEMA)
    assert faults
    bad = unfit(ended, faults)
    assert (bad.status, bad.trouble, bad.structured) == (EndStatus.FAILED, TroubleKind.INVALID, None)
    assert faults[0] in bad.message


def test_without_a_schema_and_of_other_ends_nothing_is_checked():
    failed = told("well", status=EndStatus.FAILED)
    assert checked(failed, SCHEMA) == (failed, [])
    assert checked(told("well"), None) == (told("well"), [])


def test_what_agents_are_told():
    assert with_schema("paint", None) == "paint"
    assert '"required":["n"]' in with_schema("paint", SCHEMA)
    assert "no n" in again_for_schema(["no n"], SCHEMA)
    assert going_on("paint").endswith("\n\npaint")


USAGES = st.builds(
    lambda tokens, cost, model: AgentUsage(
        input_tokens=tokens,
        cost=cost,
        cost_source=CostSource.UNMEASURED if cost is None else CostSource.REPORTED,
        model=model,
    ),
    st.none() | st.integers(0, 10**6),
    st.none() | st.integers(0, 10**9),
    st.none() | st.just("m"),
)


@given(USAGES, USAGES, USAGES)
def test_usage_adds_up_in_any_grouping_and_nothing_that_was_told_is_lost(one, two, three):
    assert added(added(one, two), three) == added(one, added(two, three))
    assert added(one, AgentUsage()) == one == added(AgentUsage(), one)
    assert (added(one, two).cost or 0) == (one.cost or 0) + (two.cost or 0)
    assert (added(one, two).cost is None) == (one.cost is None and two.cost is None)


def test_money_of_two_sources_is_computed():
    reported = AgentUsage(cost=1, cost_source=CostSource.REPORTED)
    assert added(reported, AgentUsage(cost=1, cost_source=CostSource.COMPUTED)).cost_source is CostSource.COMPUTED


def test_the_one_word_for_where_it_stands():
    kept = Delegated("r", "a", "codex", "x", READ, "ada")
    assert status_word(kept, asks=False) == "queued"
    assert status_word(replace(kept, state=DelegationState.STARTING), asks=False) == "working"
    assert status_word(kept, asks=True) == "input_required"
    assert status_word(replace(kept, ended=Ended(EndStatus.LIMIT)), asks=True) == "limit"


def test_money_is_shown_in_dollars_and_never_as_a_false_zero():
    assert shown_cost(AgentUsage()) == {"usd": None, "source": "unmeasured"}
    assert shown_cost(AgentUsage(cost=0)) == {"usd": None, "source": "unmeasured"}
    assert shown_cost(AgentUsage(cost=1_500_000, cost_source=CostSource.COMPUTED)) == {"usd": 1.5, "source": "computed"}


def test_a_diff_is_shown_where_it_is_asked_for():
    changes = Changes((), "+x", truncated=True)
    assert shown_changes(changes, diff=True) == {"files": [], "diff": "+x", "truncated": True}
    assert shown_changes(changes, diff=False) == {"files": []}
