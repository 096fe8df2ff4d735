"""Every call is put into the words of the rules, by all the names it has."""

import pytest
from catalogs import MODERN, call, catalog, offers, tool

from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.plan import Rules, plan, task_plan
from mcp_orchestrator.core.policing import World, arguments_of, asker_of, question_subject, subject_of
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.model.agent import AgentKind, AgentSpec
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era, Principal
from mcp_orchestrator.model.outcome import Failed, FailureKind, ToolRefusal
from mcp_orchestrator.model.plan import Target
from mcp_orchestrator.model.rules import Effect, Match, PolicyRule

FILES = (
    offers("files", tool("read", path={"type": "string"}), tool("write", n={"type": "integer"})),
    offers("git", tool("push")),
)


def rules(*found):
    return Rules(
        policy=Policy(
            [
                PolicyRule(f"r{n}", effect, when=when, where=f"f:{n}", **more)
                for n, (effect, when, more) in enumerate(found)
            ]
        )
    )


def decide(asked, found, **more):
    return plan(asked, catalog(*FILES), found, **more)


def test_the_policy_step_stands_between_schema_and_budget():
    decided = decide(call("files__read", path="x"), rules((Effect.ALLOW, "", {})))
    assert [reason.step for reason in decided.reasons] == ["identity", "catalog", "schema", "policy", "budget"]
    assert (decided.reasons[3].rule, decided.reasons[3].where) == ("r0", "f:0")
    nothing = decide(call("files__read", path="x"), rules((Effect.DENY, "", {"match": Match(tool=("git.*",))})))
    assert nothing.reasons[3].text == "no rule applies: the call is allowed"


def test_a_refusal_of_a_tool_is_a_result_that_its_model_can_read_and_of_all_else_an_error():
    deny = rules((Effect.DENY, "", {}))
    refused = decide(call("files__read", path="x"), deny).refusal
    assert isinstance(refused, ToolRefusal)
    assert refused.kind is FailureKind.REFUSED
    planned = task_plan(call("t1", CallKind.TASK, "tasks/get"), "files", "t1", deny)
    assert isinstance(planned.refusal, Failed)
    assert planned.refusal.data == {"rule": "r0", "where": "f:0"}


def test_arguments_that_a_rule_made_wrong_are_refused_before_they_are_sent():
    decided = decide(call("files__write", n=1), rules((Effect.REWRITE, "", {"rewrite": {"n": {"const": "x"}}})))
    assert isinstance(decided.refusal, Failed)
    assert "a rule changes the arguments" in decided.refusal.message


def test_budgets_are_asked_only_where_a_condition_reads_them():
    asked = []
    world = World(0.0, lambda _call, _target: asked.append(1) or {"budget.left_usd": 1.0})
    decide(call("files__read"), rules((Effect.DENY, "run.depth > 3", {})), world=world)
    assert asked == []
    assert (
        decide(call("files__read"), rules((Effect.DENY, "budget.left_usd < 2.0", {})), world=world).refusal is not None
    )


def test_a_delegation_is_judged_with_the_agent_that_would_take_it():
    agents = (AgentSpec("good", AgentKind.CODEX, labels=("fast",)), AgentSpec("bad", AgentKind.CODEX))
    policy = Policy([PolicyRule("r", Effect.DENY, Match(agent=("bad",), kind=("delegation",)))])
    own = offers(OWN, tool("delegate"))
    for arguments, refused in (
        ({"agent": "bad"}, True),
        ({"agent": "good"}, False),
        ({}, False),
        ({"labels": ["fast"]}, False),
    ):
        decided = plan(call("delegate", **arguments), catalog(own), Rules(policy=policy), world=World(agents=agents))
        assert (decided.refusal is not None) is refused


@pytest.mark.parametrize(
    ("uri", "plain"),
    [
        ("file:///a/../etc/passwd", "file:///etc/passwd"),
        ("file:///etc/p%61sswd", "file:///etc/passwd"),
        ("FILE:///etc//passwd", "file:///etc/passwd"),
        ("memo://HOST/a/./b/", "memo://host/a/b/"),
        ("urn:a%3Ab", "urn:a:b"),
        ("plain", "plain"),
    ],
)
def test_a_resource_is_known_by_its_uri_in_every_way_a_server_may_read_it(uri, plain):
    asked = call(uri, CallKind.RESOURCE, "resources/read", uri=uri)
    names = subject_of(asked, Target("files", uri, None, 1.0)).names
    assert names[0] == uri
    assert plain in names
    assert f"files.{uri}" in names


def test_what_a_condition_sees_as_arguments_is_what_is_sent():
    assert arguments_of(call("x", a=1), Target("s", "x", None, 1.0)) == {"a": 1}
    assert arguments_of(call("x", a=1), Target("s", "x", None, 1.0, arguments={"b": 2})) == {"b": 2}
    resource = call("u:1", CallKind.RESOURCE, "resources/read", uri="mcp://s/u:1")
    assert arguments_of(resource, Target("s", "u:1", None, 1.0)) == {"uri": "u:1"}
    params = {"argument": {"name": "b", "value": "x"}, "context": {"arguments": {"a": "y"}}}
    completion = Call(CallKind.COMPLETION, "completion/complete", "p", params, {}, MODERN)
    assert arguments_of(completion, Target("s", "p", None, 1.0)) == {"a": "y", "b": "x"}


def test_who_asks_is_known_as_far_as_they_say():
    face = ClientFace(Era.MODERN, "2026-07-28", {}, {"name": "cursor", "version": 3})
    asker = asker_of(Principal("local:ada"), face, "dev", "c1")
    assert (asker.client, asker.version, asker.era, asker.profile, asker.context) == (
        "cursor",
        "",
        "modern",
        "dev",
        "c1",
    )


def test_questions_that_no_rule_is_about_have_no_subject():
    assert question_subject("roots/list", "s", "t") is None
    assert question_subject("sampling/createMessage", "s", "t").kinds == ("sampling",)
