"""Updates of an agent become events: messages whole, tool calls by id, files by path, and what is unknown just once."""

from pathlib import Path

import pytest
from acp_kit import call

from mcp_orchestrator.backends.acp_events import Reading
from mcp_orchestrator.backends.acp_usage import Meter
from mcp_orchestrator.model.agent import FileChange, Planned, Text, Thought, ToolStatus, ToolUse, Used, Warned

HERE = Path("/w")


def reading(server=""):
    return Reading(Meter(None, known=True), HERE, server)


def read(made, *updates):
    return [event for update in updates for event in made.read(update)]


def chunk(text, kind="agent_message_chunk", **more):
    return {"sessionUpdate": kind, "content": {"type": "text", "text": text}, **more}


def test_pieces_make_a_message_and_another_id_or_a_tool_ends_it():
    made = reading()
    events = read(made, chunk("a"), chunk("b"), chunk("c", messageId="m2"), call(title="x"), chunk(""), chunk("d"))
    events += made.closing()
    assert [(one.text, one.message, one.final) for one in events if isinstance(one, Text)] == [
        ("a", "message-1", False),
        ("b", "message-1", False),
        ("ab", "message-1", True),
        ("c", "message-2", False),
        ("c", "message-2", True),
        ("d", "message-3", False),
        ("d", "message-3", True),
    ]
    assert made.text == "d"
    assert list(made.closing()) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"type": "text", "text": "t"}, "t"),
        ({"text": "t"}, "t"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ({"type": "resource_link", "uri": "file:///a"}, "file:///a"),
        ({"type": "resource", "resource": {"text": "inside"}}, "inside"),
    ],
)
def test_a_chunk_may_hold_any_content(content, text):
    events = read(reading(), {"sessionUpdate": "agent_thought_chunk", "content": content})
    assert events == [Thought(text)]


def test_a_call_is_one_by_its_id_and_keeps_what_was_told_before():
    made = reading()
    first, second = read(
        made,
        call(title="bash", kind="execute", rawInput={"command": "ls"}),
        call(status="completed", title="List files", content=[{"type": "content", "content": {"text": "a"}}]),
    )
    assert first == ToolUse("c1", "bash", "shell", "bash", ToolStatus.PENDING, input={"command": "ls"})
    assert second == ToolUse("c1", "bash", "shell", "List files", ToolStatus.COMPLETED, None, {"command": "ls"}, "a")
    assert made.did


def test_a_call_that_is_told_only_when_it_is_done_is_one_all_the_same():
    """So do gemini-cli after a permission, and grok and codex when a session is loaded (2026-11-22)."""
    (use,) = read(reading(), call(status="completed", title="x", rawOutput={"n": 1}))
    assert (use.status, use.output) == (ToolStatus.COMPLETED, {"n": 1})


def test_the_name_and_the_parent_are_read_where_an_agent_keeps_them():
    meta = {"claudeCode": {"toolName": "Bash", "parentToolUseId": "p"}}
    (use,) = read(reading(), call(title="Terminal", _meta=meta))
    assert (use.name, use.title, use.parent) == ("Bash", "Terminal", "p")


@pytest.mark.parametrize(
    "call_",
    [
        call("mcp_gateway_echo__call_1", title="echo (gateway MCP Server)"),  # gemini-cli
        call(title="gateway_echo"),  # opencode
        call(title="gateway-echo"),  # copilot
        call(title="x", _meta={"claudeCode": {"toolName": "mcp__gateway__echo"}}),
        call(title="mcp.gateway.echo", kind="execute"),  # codex
        call(title="gateway__echo"),  # grok, fast-agent
    ],
)
def test_a_call_of_this_gateway_is_known_by_the_names_agents_give_it(call_):
    (use,) = read(reading("gateway"), call_)
    assert (use.kind, use.server) == ("mcp", "gateway")
    (use,) = read(reading(), call_)
    assert use.kind in ("other", "shell")
    assert use.server is None


@pytest.mark.parametrize("command", ["gateway_echo; rm -r /", "mcp.gateway.echo; rm -r /"])
def test_a_command_whose_text_begins_like_a_tool_of_this_gateway_is_a_command(command):
    (use,) = read(reading("gateway"), call(title=command, kind="execute"))
    assert (use.kind, use.server) == ("shell", None)


def test_what_was_refused_is_denied_however_the_agent_says_it():
    made = reading()
    assert made.refuse("c1") == ToolUse("c1", status=ToolStatus.DENIED)
    (use,) = read(made, call(status="failed", title="x"))
    assert use.status is ToolStatus.DENIED
    assert not made.said_since_refusal
    read(made, chunk("  \n"))
    assert not made.said_since_refusal
    read(made, chunk("Then not."))
    assert made.said_since_refusal


@pytest.mark.parametrize(
    ("update", "changes"),
    [
        ({"content": [{"type": "diff", "path": "/w/a", "newText": "x"}]}, [FileChange("a", "add")]),
        ({"content": [{"type": "diff", "path": "a", "oldText": "x", "newText": "y"}]}, [FileChange("a", "update")]),
        ({"content": [{"type": "diff", "path": "/else/a", "newText": "x"}]}, [FileChange("/else/a", "add")]),
        ({"kind": "delete", "locations": [{"path": "/w/b/../a"}]}, [FileChange("a", "delete")]),
        ({"kind": "read", "locations": [{"path": "/w/a"}]}, []),
        ({"kind": "edit", "locations": [{}]}, []),
    ],
)
def test_files_are_told_when_the_call_is_done(update, changes):
    made = reading()
    assert [event for event in read(made, call(**update)) if isinstance(event, FileChange)] == []
    done = read(made, call(status="completed"), call(status="completed"))
    assert [event for event in done if isinstance(event, FileChange)] == changes


def test_plans_notices_and_money_are_events():
    entries = [{"content": "look", "status": "pending", "priority": "high"}, "nonsense"]
    cost = {"sessionUpdate": "usage_update", "cost": {"amount": 0.5, "currency": "USD"}}
    plan, notice, shorter, used = read(
        reading(),
        {"sessionUpdate": "plan", "entries": entries},
        {"sessionUpdate": "notice", "message": "mind the gap"},
        {"sessionUpdate": "compaction_update", "status": "started"},
        cost,
    )
    assert plan == Planned((("look", "pending"),))
    assert notice == Warned("mind the gap", "notice")
    assert shorter.kind == "compaction"
    assert isinstance(used, Used)
    assert used.usage.cost == 500_000


def test_what_concerns_nobody_is_quiet_and_what_is_unknown_is_told_once():
    made = reading()
    quiet = ["user_message_chunk", "available_commands_update", "current_mode_update", "_x.ai/thing"]
    assert read(made, *({"sessionUpdate": kind} for kind in quiet)) == []
    unknown = [{"sessionUpdate": "hologram"}, {"sessionUpdate": "hologram"}, {}, {"sessionUpdate": 7}]
    assert [type(event) for event in read(made, *unknown)] == [Warned, Warned]


def test_a_request_makes_a_call_known_and_does_not_forget_what_it_does_not_repeat():
    made = reading()
    read(made, call(title="bash", kind="execute", rawInput={"command": "ls"}))
    known = made.merged({"toolCallId": "c1", "title": None, "rawInput": {}})
    assert (known["title"], known["rawInput"]) == ("bash", {"command": "ls"})
    (use,) = made.asking("c1", known)
    assert use.status is ToolStatus.PENDING
