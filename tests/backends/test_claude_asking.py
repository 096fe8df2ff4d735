"""Control requests of Claude Code 2.1.330 as questions (2026-11-24)."""

import pytest

from mcp_orchestrator.backends.claude_asking import asked
from mcp_orchestrator.model.conversation import Answer


def tool(name, given, **more):
    return {"subtype": "can_use_tool", "tool_name": name, "input": given, "tool_use_id": "t1", **more}


def message(request):
    return asked("claude", request).question.params["message"]


def answer(request, choice):
    return asked("claude", request).response(Answer({"action": "accept", "content": {"decision": choice}}))


def rule(text, tool="Bash"):
    rules = [{"toolName": tool} | ({"ruleContent": text} if text else {})]
    return {"type": "addRules", "rules": rules, "behavior": "allow", "destination": "localSettings"}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (tool("Bash", {"command": "rm -rf build"}), ["run a command", "rm -rf build"]),
        (
            tool("Write", {"file_path": "/etc/x", "content": "line"}, blocked_path="/etc/x"),
            ["/etc/x", "line", "outside"],
        ),
        (tool("Edit", {"file_path": "a", "old_string": "1\n2", "new_string": "3"}), ["edit the file a", "-1\n-2\n+3"]),
        (tool("WebFetch", {"url": "https://a.example"}), ["https://a.example"]),
        (tool("ExitPlanMode", {"plan": "First this"}), ["First this"]),
        (tool("mcp__gw__old__book", {"room": "7"}), ["tool old__book of the MCP server gw", '"room": "7"']),
        (tool("Brand", {"x": "ü"}, decision_reason="because"), ["its tool Brand", '"x": "ü"', "because"]),
    ],
)
def test_the_exact_command_or_edit_is_shown(request_, words):
    assert all(word in message(request_) for word in words), message(request_)


def test_what_else_the_option_would_allow_is_said_and_kept_to_the_session():
    request = tool("Bash", {"command": "make x"}, permission_suggestions=[rule("make *"), rule("", "Read")])
    assert "Bash(make *); every use of Read" in message(request)
    response, refused = answer(request, "session")
    assert (response["behavior"], refused) == ("allow", False)
    assert {one["destination"] for one in response["updatedPermissions"]} == {"session"}


def test_suggestions_that_would_end_all_asking_are_left_out():
    mode = {"type": "setMode", "mode": "bypassPermissions", "destination": "session"}
    request = tool("Bash", {"command": "x"}, permission_suggestions=[mode, {"type": "brand-new"}])
    assert "session:" not in message(request)
    assert answer(request, "session")[0]["behavior"] == "deny"  # it was no option


def test_directories_and_modes_are_named():
    suggestions = [
        {"type": "addDirectories", "directories": ["/data"], "destination": "session"},
        {"type": "setMode", "mode": "acceptEdits", "destination": "session"},
    ]
    text = message(tool("Write", {"file_path": "/data/x"}, permission_suggestions=suggestions))
    assert "files in /data; whatever its mode acceptEdits allows" in text


def test_stopping_interrupts():
    response, refused = answer(tool("Bash", {"command": "x"}), "stop")
    assert (response["behavior"], response["interrupt"], refused) == ("deny", True, True)


def test_several_questions_become_one_form_and_many_choices_one_text():
    questions = [
        {"question": "One?", "header": "1", "options": [{"label": "A"}, {"label": "B"}], "multiSelect": True},
        {"question": "Two?", "header": "2", "options": []},
    ]
    one = asked("claude", tool("AskUserQuestion", {"questions": questions}))
    fields = one.question.params["requestedSchema"]["properties"]
    assert fields["q0"]["items"] == {"type": "string", "enum": ["A", "B"]}
    assert fields["q1"]["type"] == "string"
    response, refused = one.response(Answer({"action": "accept", "content": {"q0": ["A", "B"], "q1": "free"}}))
    assert response["updatedInput"]["answers"] == {"One?": "A, B", "Two?": "free"}
    assert not refused
    assert one.response(Answer({"action": "decline"}))[0]["behavior"] == "deny"


def test_elicitations_by_address_pass_through():
    about = {"subtype": "elicitation", "message": "Sign in", "mode": "url", "url": "https://a", "elicitation_id": "e"}
    params = asked("claude", about).question.params
    assert params == {"mode": "url", "message": "Sign in", "url": "https://a", "elicitationId": "e"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Answer({"action": "accept", "content": {"a": 1}}), {"action": "accept", "content": {"a": 1}}),
        (Answer({"action": "accept"}), {"action": "accept"}),
        (Answer({"action": "cancel"}), {"action": "cancel"}),
        (Answer(None, -32000, "gone"), {"action": "decline"}),
        (Answer({"action": "nonsense"}), {"action": "decline"}),
    ],
)
def test_answers_to_elicitations_are_well_formed(given, told):
    one = asked("claude", {"subtype": "elicitation", "message": "m", "mode": "form"})
    assert one.response(given)[0] == told


def test_other_requests_are_no_questions():
    assert asked("claude", {"subtype": "hook_callback"}) is None
    assert asked("claude", {}) is None
