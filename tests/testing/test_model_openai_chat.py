"""The scripted model speaks chat completions, streamed and in one piece."""

import json
import urllib.request

import pytest

from mcp_orchestrator.testing.scripted_model import ScriptedModel, ToolUse, Turn

TOOLS = [{"type": "function", "function": {"name": "gateway_notes__add"}}, {"type": "function"}]
USER = {"role": "user", "content": "go"}


@pytest.fixture
def model():
    with ScriptedModel([Turn("First.", [ToolUse("notes__add", {"text": "a"})]), Turn("Second.")]) as served:
        yield served


def post(model, **body):
    address = f"{model.url}/v1/chat/completions"
    request = urllib.request.Request(address, json.dumps({"model": "m", **body}).encode())  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return response.read().decode()


def test_a_completion_in_one_piece_calls_the_tool_by_the_name_that_was_offered(model):
    told = json.loads(post(model, messages=[USER], tools=TOOLS))
    (choice,) = told["choices"]
    assert (told["model"], choice["finish_reason"], choice["message"]["content"]) == ("m", "tool_calls", "First.")
    (made,) = choice["message"]["tool_calls"]
    assert made["id"] == "call_0_0"
    assert made["function"] == {"name": "gateway_notes__add", "arguments": '{"text": "a"}'}


def test_a_stream_tells_the_same_in_pieces_and_the_usage_at_its_end(model):
    lines = post(model, messages=[USER], tools=TOOLS, stream=True).strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert deltas[0]["content"] == "First."
    assert deltas[1]["tool_calls"][0]["function"]["name"] == "gateway_notes__add"
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-1]["usage"]["total_tokens"] == 15


def test_an_answered_call_moves_the_script_on_and_a_said_text_ends_it(model):
    answered = {"role": "tool", "tool_call_id": "call_0_0", "content": "kept"}
    told = json.loads(post(model, messages=[USER, answered], tools=TOOLS))["choices"][0]
    assert (told["message"]["content"], told["finish_reason"], "tool_calls" in told["message"]) == (
        "Second.",
        "stop",
        False,
    )
    assert model.seen[-1].results == {"call_0_0": "kept"}
    said = {"role": "assistant", "content": "Second."}
    told = json.loads(post(model, messages=[USER, answered, said], tools=TOOLS))["choices"][0]
    assert told["message"]["content"] == "The script is over."


def test_a_request_without_tools_is_no_part_of_the_conversation(model):
    told = json.loads(post(model, messages=[USER]))["choices"][0]
    assert told["message"]["content"] == "ok"
    assert model.seen == ()
