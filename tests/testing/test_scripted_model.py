"""The scripted model reads off the request what comes next, and leaves side requests alone."""

import json
import urllib.request

import pytest

from mcp_orchestrator.testing.scripted_model import ScriptedModel, ToolUse, Turn

SCRIPT = [
    Turn("First.", [ToolUse("notes__add", {"text": "a"}), ToolUse("ls")]),
    Turn("Second."),
    Turn("", [ToolUse("gone")]),
]
MESSAGES = "/v1/messages?beta=true"
ANTHROPIC_TOOLS = [{"name": "mcp__gateway__notes__add"}, {"name": "ls"}]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - our own server
        return response.headers["Content-Type"], response.read().decode()


def streamed(url, **body):
    """The data of each event, whose type must be its event's name."""
    kind, text = post(url, {"stream": True, **body})
    assert kind == "text/event-stream"
    events = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert events[-1]["type"] == name.removeprefix("event: ")
    return events


def results(*calls):
    """The message of a user that answers calls (Anthropic)."""
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call, "content": call} for call in calls],
    }


@pytest.fixture
def model():
    with ScriptedModel(SCRIPT) as served:
        yield served


def test_the_script_goes_on_when_calls_were_answered_and_texts_were_said(model):
    said = {"role": "assistant", "content": [{"type": "text", "text": "Second."}]}

    def next_words(*messages):
        return streamed(model.url + MESSAGES, messages=messages, tools=ANTHROPIC_TOOLS)

    assert next_words(results("call_0_0"))[2]["delta"]["text"] == "First."  # one of two calls: a retry
    second = next_words(results("call_0_0", "call_0_1"))
    assert second[2]["delta"]["text"] == "Second."
    assert second[-2]["delta"]["stop_reason"] == "end_turn"
    third = next_words(results("call_0_0", "call_0_1"), said)
    assert third[1]["content_block"]["name"] == "gone"  # nobody offers it: the agent has to say so
    last = next_words(results("call_0_0", "call_0_1"), said, results("call_2_0"))
    assert last[2]["delta"]["text"] == "The script is over."
    assert model.seen[-1].results == {call: call for call in ("call_0_0", "call_0_1", "call_2_0")}


def test_a_request_without_tools_is_no_part_of_the_conversation(model):
    _kind, text = post(model.url + MESSAGES, {"messages": [{"role": "user", "content": "A title, please"}]})
    assert json.loads(text)["content"] == [{"type": "text", "text": "ok"}]
    assert json.loads(post(model.url + "/v1/messages/count_tokens", {"messages": []})[1])["input_tokens"]
    assert model.seen == ()


def test_lists_of_models_are_empty_and_the_endpoint_is_on_loopback(model):
    with urllib.request.urlopen(model.url + "/v1/models", timeout=10) as response:  # noqa: S310 - our own server
        assert json.load(response) == {"data": [], "models": []}
    head = urllib.request.Request(model.url, method="HEAD")  # noqa: S310 - our own server
    with urllib.request.urlopen(head, timeout=10) as response:  # noqa: S310
        assert response.status == 200
    assert model.url.startswith("http://127.0.0.1:")
