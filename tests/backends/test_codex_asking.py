"""Requests of the Codex app-server 0.169.0 as questions (2026-11-24)."""

import pytest

from mcp_orchestrator.backends.codex_asking import asked
from mcp_orchestrator.model.conversation import Answer

COMMAND = "item/commandExecution/requestApproval"


def choose(one, option):
    return one.result(Answer({"action": "accept", "content": {"decision": option}}))


def message(one):
    return one.question.params["message"]


def test_a_rule_that_would_last_says_so_and_travels_back_whole():
    rule = {"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["git", "push"]}}
    params = {"command": "git push", "reason": "to share", "availableDecisions": ["accept", rule, "cancel"]}
    one = asked("codex", COMMAND, params, {})
    assert "from now on, in every session, commands that begin with: git push" in message(one)
    assert "to share" in message(one)
    assert choose(one, "acceptRule") == {"decision": rule}
    assert choose(one, "decline") == {"decision": "decline"}


def test_an_approval_of_the_network_names_the_host():
    allow = {"applyNetworkPolicyAmendment": {"network_policy_amendment": {"host": "a.example", "action": "allow"}}}
    never = {"applyNetworkPolicyAmendment": {"network_policy_amendment": {"host": "a.example", "action": "deny"}}}
    about = {"networkApprovalContext": {"host": "a.example", "protocol": "https"}, "command": "curl x"}
    one = asked("codex", COMMAND, {**about, "availableDecisions": ["accept", allow, never]}, {})
    assert "https://a.example" in message(one)
    assert "curl x" in message(one)
    ids = one.question.params["requestedSchema"]["properties"]["decision"]["enum"]
    assert ids == ["accept", "network1", "network2", "decline"]
    assert choose(one, "network2") == {"decision": never}


def test_decisions_that_are_not_known_are_not_offered():
    one = asked("codex", COMMAND, {"command": "x", "availableDecisions": ["accept", "brandNew", {"odd": 1}, 5]}, {})
    assert one.question.params["requestedSchema"]["properties"]["decision"]["enum"] == ["accept", "decline"]


def test_without_a_list_of_decisions_the_plain_ones_are_offered():
    one = asked("codex", COMMAND, {"command": "x", "kind": "writeStdin"}, {})
    assert one.question.params["requestedSchema"]["properties"]["decision"]["enum"] == ["accept", "cancel", "decline"]
    assert "write to a program" in message(one)


@pytest.mark.parametrize(
    ("permissions", "writes"),
    [
        ({"network": {"enabled": True}}, False),
        ({"fileSystem": {"read": ["/etc"]}}, False),
        ({"fileSystem": {"write": ["/etc"]}}, True),
        ({"fileSystem": {"entries": [{"access": "write", "path": {"type": "path", "path": "/"}}]}}, True),
        ({"fileSystem": {"entries": [{"access": "read", "path": {"type": "path", "path": "/"}}]}}, False),
    ],
)
def test_more_rights_are_given_as_asked_for_a_turn_or_a_session_or_not_at_all(permissions, writes):
    one = asked("codex", "item/permissions/requestApproval", {"permissions": permissions, "cwd": "/w"}, {})
    assert one.writes is writes
    assert choose(one, "session") == {"permissions": permissions, "scope": "session"}
    assert choose(one, "decline") == {"permissions": {}}
    assert one.result(Answer(None, -32000, "gone")) == {"permissions": {}}


def test_a_grant_of_a_whole_directory_is_pointed_out():
    one = asked("codex", "item/fileChange/requestApproval", {"grantRoot": "/data"}, {})
    assert "everything in /data" in message(one)


APPROVAL = {"codex_approval_kind": "mcp_tool_call", "persist": ["session", "always"], "tool_name": "book"}


@pytest.mark.parametrize(
    ("option", "result"),
    [
        ("accept", {"action": "accept", "content": {}}),
        ("session", {"action": "accept", "content": {}, "_meta": {"persist": "session"}}),
        ("cancel", {"action": "cancel"}),
        ("decline", {"action": "decline"}),
        ("nonsense", {"action": "decline"}),
    ],
)
def test_an_approval_of_a_tool_that_comes_as_an_elicitation_is_a_permission(option, result):
    about = APPROVAL | {"tool_params": {"room": "7"}}
    params = {"serverName": "hotel", "mode": "form", "_meta": about, "requestedSchema": {}, "message": "Allow?"}
    one = asked("codex", "mcpServer/elicitation/request", params, {})
    assert "tool book of the MCP server hotel" in message(one)
    assert '"room": "7"' in message(one)
    assert one.writes
    assert choose(one, option) == result


def test_elicitations_pass_through_in_both_modes_and_other_modes_are_no_questions():
    schema = {"type": "object", "properties": {}}
    form = {"serverName": "s", "threadId": "t", "mode": "form", "message": "Name?", "requestedSchema": schema}
    one = asked("codex", "mcpServer/elicitation/request", form, {})
    assert one.question.params == {"mode": "form", "message": "Name?", "requestedSchema": schema}
    assert one.result(Answer({"action": "accept", "content": {"a": 1}})) == {"action": "accept", "content": {"a": 1}}
    assert one.result(Answer({"action": "cancel"})) == {"action": "cancel"}
    assert one.result(Answer(None, -32000, "gone")) == {"action": "decline"}
    url = {"mode": "url", "message": "Sign in", "url": "https://a", "elicitationId": "e"}
    assert asked("codex", "mcpServer/elicitation/request", url, {}).question.params == url
    assert asked("codex", "mcpServer/elicitation/request", {"mode": "openai/form"}, {}) is None


QUESTION = {"id": "q1", "header": "Colour", "question": "Which?", "options": [{"label": "Red", "description": "warm"}]}


def test_questions_of_its_own_are_a_form_whose_answers_go_back_by_id():
    one = asked("codex", "item/tool/requestUserInput", {"questions": [QUESTION]}, {})
    assert one.question.params["requestedSchema"]["properties"]["q1"]["enum"] == ["Red"]
    assert "Red: warm" in message(one)
    answer = Answer({"action": "accept", "content": {"q1": "Red", "other": 1}})
    assert one.result(answer) == {"answers": {"q1": {"answers": ["Red"]}}}
    assert one.result(Answer({"action": "decline"})) == {"answers": {}}


def test_a_question_with_another_answer_is_free_and_a_secret_does_not_go_through_a_form():
    free = asked("codex", "item/tool/requestUserInput", {"questions": [QUESTION | {"isOther": True}]}, {})
    assert "enum" not in free.question.params["requestedSchema"]["properties"]["q1"]
    assert asked("codex", "item/tool/requestUserInput", {"questions": [QUESTION | {"isSecret": True}]}, {}) is None
