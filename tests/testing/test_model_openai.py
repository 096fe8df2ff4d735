"""The scripted model speaks the stream of OpenAI Responses."""

import json
import urllib.request

import pytest

from mcp_orchestrator.testing.scripted_model import ScriptedModel, ToolUse, Turn

SCRIPT = [
    Turn("First.", [ToolUse("notes__add", {"text": "a"}), ToolUse("ls")]),
    Turn("Second."),
    Turn("", [ToolUse("gone")]),
]
RESPONSES = "/v1/responses"
OPENAI_TOOLS = [
    {"type": "namespace", "name": "mcp__gateway", "tools": [{"type": "function", "name": "notes__add"}]},
    {"type": "function", "name": "ls"},
    {"type": "web_search"},
]


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


def test_an_openai_response_names_the_namespace_of_a_tool_apart(model):
    events = streamed(model.url + RESPONSES, input=[], tools=OPENAI_TOOLS)
    assert [event["type"] for event in events] == [
        "response.created",
        *["response.output_item.added", "response.output_item.done"] * 3,
        "response.completed",
    ]
    items = events[-1]["response"]["output"]
    assert items[0]["content"][0]["text"] == "First."
    assert [(item["name"], item.get("namespace"), item["call_id"]) for item in items[1:]] == [
        ("notes__add", "mcp__gateway", "call_0_0"),
        ("ls", None, "call_0_1"),
    ]
    assert json.loads(items[1]["arguments"]) == {"text": "a"}


def test_openai_outputs_of_calls_move_the_script_on(model):
    outputs = [{"type": "function_call_output", "call_id": f"call_0_{n}", "output": "done"} for n in (0, 1)]
    events = streamed(model.url + RESPONSES, input=outputs, tools=OPENAI_TOOLS)
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Second."
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Second."}]}
    events = streamed(model.url + RESPONSES, input=[*outputs, said], tools=OPENAI_TOOLS)
    assert events[-1]["response"]["output"][0]["name"] == "gone"
