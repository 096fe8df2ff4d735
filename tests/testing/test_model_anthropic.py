"""The scripted model speaks Anthropic Messages, streamed and in one piece."""

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


@pytest.fixture
def model():
    with ScriptedModel(SCRIPT) as served:
        yield served


def test_an_anthropic_message_streams_text_and_calls_by_the_names_that_were_offered(model):
    user = {"role": "user", "content": "go"}
    events = streamed(model.url + MESSAGES, model="m", messages=[user], tools=ANTHROPIC_TOOLS)
    assert events[0]["message"]["model"] == "m"
    opened = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    assert [(block["type"], block.get("id"), block.get("name")) for block in opened] == [
        ("text", None, None),
        ("tool_use", "call_0_0", "mcp__gateway__notes__add"),
        ("tool_use", "call_0_1", "ls"),
    ]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert deltas[0] == {"type": "text_delta", "text": "First."}
    assert [json.loads(delta["partial_json"]) for delta in deltas[1:]] == [{"text": "a"}, {}]
    assert [event["delta"]["stop_reason"] for event in events if event["type"] == "message_delta"] == ["tool_use"]
    assert events[-1] == {"type": "message_stop"}
    assert set(model.seen[0].offered) == {"mcp__gateway__notes__add", "ls"}


def test_a_message_that_is_not_streamed_is_the_same_in_one_piece(model):
    body = json.loads(post(model.url + MESSAGES, {"messages": [], "tools": ANTHROPIC_TOOLS})[1])
    assert body["content"][1] == {
        "type": "tool_use",
        "id": "call_0_0",
        "name": "mcp__gateway__notes__add",
        "input": {"text": "a"},
    }
    assert body["stop_reason"] == "tool_use"
