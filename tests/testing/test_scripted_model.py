"""The scripted model speaks both streams, and reads off the request what comes next."""

import json
import urllib.request

import pytest

from mcp_orchestrator.testing.scripted_model import ScriptedModel, ToolUse, Turn

SCRIPT = [
    Turn("First.", [ToolUse("notes__add", {"text": "a"}), ToolUse("ls")]),
    Turn("Second."),
    Turn("", [ToolUse("gone")]),
]
MESSAGES, RESPONSES = "/v1/messages?beta=true", "/v1/responses"
ANTHROPIC_TOOLS = [{"name": "mcp__gateway__notes__add"}, {"name": "ls"}]
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


def test_a_message_that_is_not_streamed_is_the_same_in_one_piece(model):
    body = json.loads(post(model.url + MESSAGES, {"messages": [], "tools": ANTHROPIC_TOOLS})[1])
    assert body["content"][1] == {
        "type": "tool_use",
        "id": "call_0_0",
        "name": "mcp__gateway__notes__add",
        "input": {"text": "a"},
    }
    assert body["stop_reason"] == "tool_use"


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


def test_lists_of_models_are_empty_and_the_endpoint_is_on_loopback(model):
    with urllib.request.urlopen(model.url + "/v1/models", timeout=10) as response:  # noqa: S310 - our own server
        assert json.load(response) == {"data": [], "models": []}
    head = urllib.request.Request(model.url, method="HEAD")  # noqa: S310 - our own server
    with urllib.request.urlopen(head, timeout=10) as response:  # noqa: S310
        assert response.status == 200
    assert model.url.startswith("http://127.0.0.1:")
