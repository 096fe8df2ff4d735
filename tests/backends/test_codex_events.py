"""Notifications of Codex 0.169.0 as events (2026-11-24)."""

from pathlib import Path

import pytest

from mcp_orchestrator.backends.codex_events import Reading
from mcp_orchestrator.model.agent import FileChange, Planned, Text, Thought, ToolStatus, ToolUse, Used, Warned

ABOUT = {"threadId": "t1", "turnId": "u1"}


@pytest.fixture
def reading():
    made = Reading("t1", Path("/place"))
    made.turn = "u1"
    return made


def events(reading, method, **params):
    return list(reading.read(method, {**ABOUT, **params}))


def tool(reading, done=True, **item):
    (event,) = events(reading, "item/completed" if done else "item/started", item={"id": "i1", **item})
    return event


def test_a_command_tells_its_output_when_it_is_done(reading):
    begun = tool(reading, False, type="commandExecution", command="ls", cwd="/place", status="inProgress")
    done = tool(reading, type="commandExecution", command="ls", status="completed", aggregatedOutput="a", exitCode=0)
    assert (begun.kind, begun.status, begun.output) == ("shell", ToolStatus.RUNNING, None)
    assert (done.status, done.output) == (ToolStatus.COMPLETED, {"output": "a", "exitCode": 0})


def test_a_declined_command_is_denied(reading):
    assert tool(reading, type="commandExecution", command="ls", status="declined").status is ToolStatus.DENIED


def test_an_mcp_call_names_its_server_and_gives_the_result_or_the_error(reading):
    good = tool(
        reading,
        type="mcpToolCall",
        server="gw",
        tool="book",
        arguments={"r": 1},
        result={"content": []},
        status="completed",
    )
    bad = tool(reading, type="mcpToolCall", server="gw", tool="book", error={"message": "no"}, status="failed")
    assert (good.server, good.name, good.kind, good.input) == ("gw", "book", "mcp", {"r": 1})
    assert (good.output, bad.output, bad.status) == ({"content": []}, {"message": "no"}, ToolStatus.FAILED)


@pytest.mark.parametrize(
    ("item", "kind", "name"),
    [
        ({"type": "webSearch", "query": "q"}, "fetch", "web_search"),
        ({"type": "collabAgentToolCall", "tool": "spawnAgent", "prompt": "look"}, "agent", "spawnAgent"),
        ({"type": "dynamicToolCall", "tool": "x", "arguments": {}}, "other", "x"),
        ({"type": "brandNew"}, "other", "brandNew"),
    ],
)
def test_other_items_are_tools_of_their_kind(reading, item, kind, name):
    event = tool(reading, **item)
    assert (event.kind, event.name) == (kind, name)


def test_changed_files_are_told_when_the_edit_went_through(reading):
    changes = [
        {"path": "/place/a", "kind": {"type": "add"}, "diff": ""},
        {"path": "/place/b", "kind": {"type": "update", "move_path": "/place/c"}, "diff": ""},
        {"path": "/else/d", "kind": {"type": "delete"}, "diff": ""},
    ]
    item = {"id": "i1", "type": "fileChange", "changes": changes}
    told = events(reading, "item/completed", item=item | {"status": "completed"})
    assert told[1:] == [FileChange("a", "add"), FileChange("c", "move"), FileChange("/else/d", "delete")]
    assert len(events(reading, "item/completed", item=item | {"status": "declined"})) == 1


def test_messages_come_in_pieces_and_then_whole(reading):
    piece = events(reading, "item/agentMessage/delta", itemId="m1", delta="Do")
    whole = events(reading, "item/completed", item={"type": "agentMessage", "id": "m1", "text": "Done."})
    assert (piece, whole) == ([Text("Do", "m1", final=False)], [Text("Done.", "m1")])
    assert reading.text == "Done."


def test_what_subagents_say_is_not_what_the_agent_says_but_what_they_do_hangs_under_them(reading):
    message = {"type": "agentMessage", "id": "m1", "text": "inner"}
    assert events(reading, "item/completed", threadId="sub", item=message) == []
    (use,) = events(
        reading, "item/started", threadId="sub", item={"type": "commandExecution", "id": "i", "command": "ls"}
    )
    assert (use.parent, reading.text) == ("sub", "")


def test_thoughts_and_plans(reading):
    assert events(reading, "item/completed", item={"type": "reasoning", "id": "r", "summary": ["Hm."]}) == [
        Thought("Hm.")
    ]
    assert events(reading, "item/completed", item={"type": "reasoning", "id": "r", "summary": []}) == []
    plan = [{"step": "Look", "status": "inProgress"}]
    assert events(reading, "turn/plan/updated", plan=plan) == [Planned((("Look", "inProgress"),))]


def usage(total, last):
    def counts(number):
        return {"inputTokens": number, "outputTokens": number // 2, "cachedInputTokens": 0}

    return {"total": counts(total), "last": counts(last)}


def test_usage_is_that_of_the_turn_and_not_the_running_sum(reading):
    before = {"threadId": "t1", "turnId": "older", "tokenUsage": usage(100, 100)}
    assert list(reading.read("thread/tokenUsage/updated", before)) == []
    events(reading, "thread/tokenUsage/updated", tokenUsage=usage(110, 10))
    (used,) = events(reading, "thread/tokenUsage/updated", tokenUsage=usage(130, 20))
    assert (used.usage.input_tokens, used.usage.output_tokens) == (30, 15)
    assert (used.usage.cost, used.usage.reasoning_tokens) == (None, None)
    assert isinstance(used, Used)


def test_what_a_resumed_thread_tells_before_the_turn_begins_is_not_of_the_turn(reading):
    reading.turn = None
    before = {"threadId": "t1", "turnId": "older", "tokenUsage": usage(100, 100)}
    assert list(reading.read("thread/tokenUsage/updated", before)) == []
    events(reading, "turn/started", threadId="sub", turn={"id": "other"})
    events(reading, "turn/started", turn={"id": "u1"})
    (used,) = events(reading, "thread/tokenUsage/updated", tokenUsage=usage(110, 10))
    assert (reading.turn, used.usage.input_tokens) == ("u1", 10)


def test_a_server_that_does_not_come_up_is_a_warning(reading):
    (warned,) = events(reading, "mcpServer/startupStatus/updated", name="gw", status="failed", error="refused")
    assert (warned.kind, "gw" in warned.text, "refused" in warned.text) == ("mcp", True, True)
    assert events(reading, "mcpServer/startupStatus/updated", name="gw", status="ready") == []


def test_a_change_of_the_model_is_a_warning(reading):
    assert events(reading, "model/rerouted", toModel="small") == [Warned("the model was changed to small", "model")]


def test_the_last_error_that_is_not_tried_again_explains_a_failure_without_one(reading):
    events(reading, "error", willRetry=False, error={"message": "Spent.", "codexErrorInfo": "usageLimitExceeded"})
    end = reading.ended({"status": "failed", "error": None}, interrupted=False)
    assert (end.trouble, end.message) == ("quota", "Spent.")


def test_states_of_the_thread_are_no_events(reading):
    assert events(reading, "thread/status/changed", status={"type": "idle"}) == []
    assert events(reading, "item/completed", item={"type": "userMessage", "id": "x"}) == []
    assert isinstance(tool(reading, type="imageGeneration"), ToolUse)
