"""An approval shows exactly what it is about, and is bound to all of it."""

from dataclasses import replace

import pytest

from mcp_orchestrator.core.approving import ALLOW, DENY, Case, agreed, by_operator, may_approve, question_of
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.conversation import Answer
from mcp_orchestrator.model.rules import Approval, Scope

ADA = Principal("local:ada", groups=("oncall",))
CASE = Case("r1", ADA, "call", "shell.run", "shell", {"b": 1, "a": "x\u200by\n"}, "policy-1", "r1", "c1")
APPROVAL = Approval("writes", "f.yaml:3", ("operator",), Scope.ONCE, None, "it writes")


def test_the_person_sees_rule_place_caller_tool_server_and_the_exact_arguments():
    question = question_of(CASE, APPROVAL)
    message = question.params["message"]
    for part in (
        "'writes' (f.yaml:3): it writes",
        "local:ada wants to call shell.run",
        "on server: shell",
        CASE.digest,
    ):
        assert part in message
    assert '{"a": "x\\u200by\\n", "b": 1}' in message
    assert question.params["requestedSchema"]["properties"]["decision"]["enum"] == [ALLOW, DENY]


def test_nothing_that_is_shown_can_mislead():
    message = question_of(replace(CASE, name="rm\u202e\x1b[2J", arguments={"\x07": "\u2066"}), APPROVAL).params[
        "message"
    ]
    assert all(one.isprintable() or one == "\n" for one in message)


@pytest.mark.parametrize(
    "change",
    [
        {"principal": Principal("local:eve")}, {"name": "shell.ru"}, {"server": "shel"}, {"doing": "read"},
        {"arguments": {"b": 1, "a": "x\u200by\r"}}, {"arguments": {"b": True, "a": "x\u200by\n"}}, {"arguments": {"a": "x\u200by\n"}},
        {"arguments": {"b": 1.0, "a": "x\u200by\n"}}, {"policy": "policy-2"}, {"agent": "claude"},
    ],
)  # fmt: skip
def test_one_byte_of_difference_is_another_case(change):
    assert replace(CASE, **change).digest != CASE.digest


def test_the_order_of_keys_is_none_and_surrogates_do_no_harm():
    assert replace(CASE, arguments={"a": "x\u200by\n", "b": 1}).digest == CASE.digest
    assert len(replace(CASE, arguments={"a": "\ud800"}).digest) == 64


def test_only_the_one_option_is_an_agreement():
    assert agreed(Answer({"action": "accept", "content": {"decision": ALLOW}}))
    assert not agreed(None)
    for result in (
        {"action": "accept"},
        {"action": "accept", "content": {"decision": DENY}},
        {"action": "decline"},
        None,
    ):
        assert not agreed(Answer(result))


def test_an_approver_is_named_or_of_a_group_and_never_an_agent():
    assert may_approve(ADA, ("local:ada",))
    assert may_approve(ADA, ("group:oncall",))
    assert not may_approve(ADA, ("operator", "group:bosses", "ada"))
    assert not may_approve(replace(ADA, kind="agent"), ("local:ada",))
    assert not may_approve(replace(ADA, run="r1"), ("local:ada",))


def test_the_command_line_answers_as_operator_or_as_its_user():
    assert by_operator(Principal("local:x"), ("operator",))
    assert by_operator(ADA, ("group:oncall",))
    assert not by_operator(Principal("local:x"), ("local:ada",))
