"""The harness profiles that come with the gateway, each fed with what its program wrote when it was run.

Gemini CLI 0.61.0, OpenCode 1.18.33 (2026-11-24), shortened.
"""

import json
from pathlib import Path

import pytest

from mcp_orchestrator.backends.cli_ends import ended
from mcp_orchestrator.backends.cli_profiles import filled, find_profile, shipped
from mcp_orchestrator.backends.cli_reading import Reader
from mcp_orchestrator.model.agent import CostSource, EndStatus, Text, ToolStatus, ToolUse, TroubleKind, Used, Warned


@pytest.fixture
def read():
    """Feeds lines to the profile of a name: `(events, end, session)`."""

    def read(name, *frames, why="ended (exit code 0)"):
        known = find_profile(name, Path())
        events = []
        reader = Reader(known, lambda event, raw: events.append(event))
        for frame in frames:
            reader.line(frame.encode() if isinstance(frame, str) else json.dumps(frame).encode())
        reader.finish()
        return events, ended(known.profile, reader.found, why, []), reader.found.session

    return read


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("name", shipped())
def test_each_can_be_read_and_says_how_its_program_is_had(name):
    profile = find_profile(name, Path()).profile
    assert profile.title
    assert profile.install
    assert profile.sign_in
    assert profile.verified or any("has not been run" in note for note in profile.notes)


@pytest.mark.parametrize("name", shipped())
def test_a_task_that_begins_like_an_option_is_not_taken_for_one(name):
    profile = find_profile(name, Path()).profile
    words = filled(profile.args, {"prompt": "--yolo", "scratch": "/s"})
    assert "--yolo" not in words or words[words.index("--yolo") - 1] == "--"
    assert sum("--yolo" in word for word in words) == 1


INIT = {"type": "init", "session_id": "s-1", "model": "auto"}
TASK = {"type": "message", "role": "user", "content": "do it"}
STATS = {"total_tokens": 45, "input_tokens": 30, "output_tokens": 15, "cached": 4, "tool_calls": 1}
USE = {"type": "tool_use", "tool_name": "run_shell_command", "tool_id": "c1", "parameters": {"command": "make"}}


def piece(text):
    return {"type": "message", "role": "assistant", "content": text, "delta": True}


def test_gemini_tells_everything_but_the_cost(read):
    told = {"type": "tool_result", "tool_id": "c1", "status": "success", "output": "ok"}
    end = {"type": "result", "status": "success", "stats": STATS}
    events, end, session = read("gemini", INIT, TASK, piece("I be"), piece("gin."), USE, told, piece("Done."), end)
    assert session == "s-1"
    assert [(text.text, text.message) for text in of(events, Text)] == [("I be", "m1"), ("gin.", "m1"), ("Done.", "m2")]
    first, last = of(events, ToolUse)
    assert (first.name, first.kind, first.status, first.input) == (
        "run_shell_command",
        "shell",
        ToolStatus.RUNNING,
        {"command": "make"},
    )
    assert (last.id, last.status, last.output) == ("c1", ToolStatus.COMPLETED, "ok")
    assert (end.status, end.text) == (EndStatus.COMPLETED, "Done.")
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cached_tokens) == (30, 15, 4)
    assert end.usage.cost_source is CostSource.UNMEASURED


def test_a_gemini_whose_model_refuses_the_key_has_failed_and_says_how_to_sign_in(read):
    error = {"type": "unknown", "message": '[API Error: {"error":{"code":401,"message":"API key not valid"}}]'}
    _events, end, _session = read("gemini", INIT, TASK, {"type": "result", "status": "error", "error": error})
    assert (end.status, end.trouble) == (EndStatus.FAILED, TroubleKind.AUTH)
    assert "GEMINI_API_KEY" in end.message


def test_a_gemini_that_ends_without_a_result_is_not_known_to_have_completed(read):
    _events, end, _session = read("gemini", INIT, TASK, piece("I begin."), USE)
    assert end.status is EndStatus.UNKNOWN
    assert "no event for the end" in end.evidence


def test_a_gemini_that_says_nothing_has_not_completed(read):
    _events, end, _session = read("gemini", INIT, TASK, {"type": "result", "status": "success", "stats": STATS})
    assert (end.status, end.trouble) == (EndStatus.UNKNOWN, TroubleKind.SILENT)


def part(kind, **more):
    return {"type": kind, "sessionID": "ses_1", "part": more}


def finish(reason):
    tokens = {"input": 10, "output": 5, "reasoning": 1, "cache": {"write": 2, "read": 3}}
    return part("step_finish", reason=reason, tokens=tokens, cost=0.00002)


def call(**state):
    return part("tool_use", tool="bash", callID="c1", state={"input": {"command": "make"}, **state})


def test_opencode_tells_each_step_and_what_it_cost(read):
    events, end, session = read(
        "opencode",
        part("step_start"),
        part("text", text="I begin."),
        call(status="completed", title="make", output="ok"),
        finish("tool-calls"),
        part("step_start"),
        part("text", text="Done."),
        finish("stop"),
    )
    assert session == "ses_1"
    assert (end.status, end.text) == (EndStatus.COMPLETED, "Done.")
    assert [used.usage.cost for used in of(events, Used)] == [20, 40]
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.reasoning_tokens) == (20, 10, 2)
    assert (end.usage.cached_tokens, end.usage.cache_write_tokens) == (6, 4)
    assert end.usage.cost_source is CostSource.REPORTED
    (use,) = of(events, ToolUse)
    assert (use.name, use.kind, use.title, use.status, use.output) == (
        "bash",
        "shell",
        "make",
        ToolStatus.COMPLETED,
        "ok",
    )


def test_an_opencode_whose_tool_was_refused_ends_with_code_0_and_has_not_completed(read):
    refused = call(status="error", error="The user rejected permission to use this specific tool call.")
    events, end, _session = read("opencode", part("text", text="I begin."), refused, finish("tool-calls"))
    assert of(events, ToolUse)[0].status is ToolStatus.FAILED
    assert "rejected permission" in of(events, Warned)[0].text
    assert end.status is EndStatus.UNKNOWN


@pytest.mark.parametrize("data", [{"message": "API key not valid", "statusCode": 401}, {}])
def test_an_opencode_that_tells_an_error_has_failed(read, data):
    error = {"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": data}}
    _events, end, _session = read("opencode", error, why="ended (exit code 1)")
    assert end.status is EndStatus.FAILED
    assert end.trouble is (TroubleKind.AUTH if data else TroubleKind.INTERNAL)


@pytest.mark.parametrize("content", ["Done.", [{"type": "think", "think": "hm"}, {"type": "text", "text": "Done."}]])
def test_what_kimi_says_is_a_text_or_parts(read, content):
    calls = [{"id": "c1", "type": "function", "function": {"name": "Shell", "arguments": "{}"}}]
    events, end, _session = read(
        "kimi",
        {"role": "assistant", "content": [], "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        {"role": "assistant", "content": content},
    )
    assert [use.status for use in of(events, ToolUse)] == [ToolStatus.RUNNING, ToolStatus.COMPLETED]
    assert (end.status, end.text) == (EndStatus.COMPLETED, "Done.")
    assert "tells no end of its own" in end.evidence


def test_aider_is_read_line_by_line(read):
    events, end, _session = read(
        "aider",
        "Aider v0.86.2",
        "Model: openai/m with whole edit format",
        "I have changed it.",
        "Tokens: 1.2k sent, 56 received. Cost: $0.0048 message, $0.0048 session.",
        "Applied edit to a.txt",
    )
    assert end.status is EndStatus.COMPLETED
    assert "I have changed it." in end.text
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cost) == (1200, 56, 4800)
    assert "tells no end of its own" in end.evidence
    assert "Aider v0.86.2" not in [text.text for text in of(events, Text)]


def answered(*content, **usage):
    return {"type": "assistant", "session_id": "q", "message": {"content": list(content), "usage": usage}}


def test_qwen_is_counted_by_the_answers_of_its_model(read):
    """After `--resume`, the usage at its end is that of the whole session, side calls included."""
    use = {"type": "tool_use", "id": "c1", "name": "run_shell_command", "input": {"command": "make"}}
    refused = {"type": "tool_result", "tool_use_id": "c1", "is_error": True, "content": "declined"}
    end = {"type": "result", "is_error": False, "result": "All done.", "usage": {"input_tokens": 60}}
    events, end, session = read(
        "qwen",
        {"type": "system", "subtype": "init", "session_id": "q", "model": "m"},
        {"type": "stream_event", "event": {"type": "goal_state"}},
        answered({"type": "text", "text": "I begin."}, input_tokens=0, output_tokens=0),
        answered(use, input_tokens=10, output_tokens=5, cache_read_input_tokens=1),
        {"type": "user", "message": {"content": [refused]}},
        answered({"type": "text", "text": "All done."}, input_tokens=10, output_tokens=5, cache_read_input_tokens=0),
        end,
    )
    assert session == "q"
    assert [(one.kind, one.status) for one in of(events, ToolUse)] == [
        ("shell", ToolStatus.RUNNING),
        (None, ToolStatus.FAILED),
    ]
    assert (end.status, end.text) == (EndStatus.COMPLETED, "All done.")
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cached_tokens) == (20, 10, 1)


def test_a_qwen_that_ends_with_an_error_has_failed(read):
    said = answered({"type": "text", "text": "[API Error: 401 no key]"}, input_tokens=0, output_tokens=0)
    end = {"type": "result", "subtype": "error_during_execution", "is_error": True}
    _events, end, _session = read("qwen", said, {**end, "error": {"message": "[API Error: 401 no key]"}})
    assert (end.status, end.trouble) == (EndStatus.FAILED, TroubleKind.AUTH)


def test_an_error_that_hermes_gives_as_its_answer_is_one(read):
    _events, end, _session = read("hermes", "API call failed after 3 retries: HTTP 429 too many requests")
    assert (end.status, end.trouble) == (EndStatus.FAILED, TroubleKind.RATE)
    _events, end, _session = read("hermes", "Done.")
    assert (end.status, end.text) == (EndStatus.COMPLETED, "Done.")


def test_the_guide_says_of_each_with_which_version_it_was_tried(request):
    guide = (request.config.rootpath / "docs" / "guides" / "agents.md").read_text()
    for name in shipped():
        verified = find_profile(name, Path()).profile.verified
        assert f"| `{name}` | {verified or 'not run'}" in guide
