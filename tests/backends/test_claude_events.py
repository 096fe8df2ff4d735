"""Frames of Claude Code 2.1.330 as events (2026-11-24)."""

from pathlib import Path

import pytest

from mcp_orchestrator.backends.claude_events import Reading, kind_of
from mcp_orchestrator.model.agent import FileChange, Planned, Started, Text, Thought, ToolStatus, ToolUse, Used, Warned


def assistant(*blocks, parent=None, id_="msg_1", usage=None):
    message = {"id": id_, "model": "claude-x", "content": list(blocks)} | ({"usage": usage} if usage else {})
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent}


def use(name, given, id_="t1"):
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def result(id_="t1", *, error=False, told=None, meta=(), parent=None):
    block = {"type": "tool_result", "tool_use_id": id_, "content": "out", "is_error": error}
    about = {"tool_use_result": told, "tool_result_meta": list(meta), "parent_tool_use_id": parent}
    return {"type": "user", "message": {"role": "user", "content": [block]}, **about}


@pytest.fixture
def reading():
    return Reading(Path("/place"))


def events(reading, *frames):
    return [event for frame in frames for event in reading.read(frame)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Bash", ("shell", None)),
        ("Edit", ("edit", None)),
        ("Agent", ("agent", None)),
        ("mcp__gateway__old__book", ("mcp", "gateway")),
        ("Brand", ("other", None)),
    ],
)
def test_tools_have_a_kind(name, kind):
    assert kind_of(name) == kind


def test_the_beginning_is_told_once_with_the_servers_that_are_missing(reading):
    init = {
        "type": "system",
        "subtype": "init",
        "session_id": "s",
        "model": "m",
        "claude_code_version": "2.1.330",
        "tools": ["Read"],
        "mcp_servers": [{"name": "gw", "status": "connected"}, {"name": "dead", "status": "failed"}],
    }
    started, warned = events(reading, init, init)
    assert started == Started("s", "m", "2.1.330", ("Read",), {"gw": "connected", "dead": "failed"})
    assert (warned.kind, "dead" in warned.text) == ("mcp", True)


def test_what_subagents_do_hangs_under_the_call_that_began_them(reading):
    frames = [
        assistant(use("Agent", {"prompt": "look"})),
        assistant({"type": "text", "text": "inner words"}, use("Bash", {"command": "ls"}, "t2"), parent="t1"),
        result("t2", parent="t1"),
    ]
    outer, inner, done = events(reading, *frames)
    assert (outer.parent, inner.parent, done.parent) == (None, "t1", "t1")
    assert reading.text == ""


def test_each_message_is_counted_once_however_many_blocks_it_has(reading):
    usage = {"input_tokens": 7, "output_tokens": 3}
    frames = [
        assistant({"type": "thinking", "thinking": "Hm."}, usage=usage),
        assistant({"type": "text", "text": "Words."}, usage=usage),
        assistant({"type": "text", "text": "More."}, id_="msg_2", usage=usage),
    ]
    told = events(reading, *frames)
    assert [type(event) for event in told] == [Thought, Used, Text, Text, Used]
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (14, 6)


@pytest.mark.parametrize(
    ("name", "told", "change"),
    [
        ("Write", {"type": "create", "filePath": "/place/a/b.py"}, FileChange("a/b.py", "add")),
        ("Write", {"type": "update", "filePath": "/place/b.py"}, FileChange("b.py", "update")),
        ("Edit", {"filePath": "/elsewhere/b.py", "oldString": "x"}, FileChange("/elsewhere/b.py", "update")),
    ],
)
def test_edits_that_went_through_are_file_changes(reading, name, told, change):
    events(reading, assistant(use(name, {"file_path": "x"})))
    done, changed = events(reading, result(told=told))
    assert (done.status, changed) == (ToolStatus.COMPLETED, change)


def test_reading_a_file_changes_none_and_neither_does_an_edit_that_failed(reading):
    events(reading, assistant(use("Read", {}), use("Edit", {}, "t2")))
    told = events(
        reading, result(told={"filePath": "/place/a"}), result("t2", error=True, told={"filePath": "/place/a"})
    )
    assert [event.status for event in told] == [ToolStatus.COMPLETED, ToolStatus.FAILED]


def test_a_denial_that_nobody_was_asked_about_is_told_once(reading):
    denied = {
        "type": "system",
        "subtype": "permission_denied",
        "tool_name": "Bash",
        "tool_use_id": "t1",
        "message": "mode",
    }
    end = {"type": "result", "permission_denials": [{"tool_name": "Bash", "tool_use_id": "t1"}]}
    told = events(reading, assistant(use("Bash", {})), denied, result(error=True), end)
    assert [warned.kind for warned in told if isinstance(warned, Warned)] == ["denied"]
    assert [event.status for event in told if isinstance(event, ToolUse)][-1] == ToolStatus.DENIED


def test_denials_in_the_result_alone_are_told_too_but_not_those_that_a_person_made(reading):
    reading.refused.add("t1")
    denials = [{"tool_name": "Bash", "tool_use_id": "t1"}, {"tool_name": "Write", "tool_use_id": "t2"}]
    told = events(reading, {"type": "result", "permission_denials": denials})
    assert [warned.text.split()[0] for warned in told if isinstance(warned, Warned)] == ["Write"]


def test_its_list_of_things_to_do_is_the_plan(reading):
    todos = [{"content": "Look", "status": "completed"}, {"content": "Write", "status": "pending"}]
    told = events(reading, assistant(use("TodoWrite", {"todos": todos})))
    assert told[-1] == Planned((("Look", "completed"), ("Write", "pending")))


def test_retries_and_shortenings_are_warnings(reading):
    retry = {"type": "system", "subtype": "api_retry", "error_status": 429, "error": "rate_limit"}
    short = {"type": "system", "subtype": "compact_boundary"}
    note = {"type": "system", "subtype": "informational", "content": "Note."}
    assert [event.kind for event in events(reading, retry, short, note)] == ["retry", "compaction", "notice"]
