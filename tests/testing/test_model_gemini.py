"""The scripted model speaks the Gemini interface, streamed and in one piece."""

import json
import urllib.request

import pytest

from mcp_orchestrator.testing.scripted_model import ScriptedModel, ToolUse, Turn

TOOLS = [{"functionDeclarations": [{"name": "mcp_gateway_notes__add"}, {"name": "ls"}]}, {"googleSearch": {}}]
USER = {"role": "user", "parts": [{"text": "go"}]}


@pytest.fixture
def model():
    with ScriptedModel(
        [Turn("First.", [ToolUse("notes__add", {"text": "a"}), ToolUse("ls")]), Turn("Second.")]
    ) as served:
        yield served


def post(model, method, **body):
    address = f"{model.url}/v1beta/models/gemini-x:{method}?alt=sse"
    request = urllib.request.Request(address, json.dumps(body).encode())  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return response.read().decode()


def parts(model, *contents, **body):
    told = json.loads(post(model, "generateContent", contents=contents, tools=TOOLS, **body))
    return told["candidates"][0]["content"]["parts"]


def answer(name, **more):
    return {"functionResponse": {"name": name, "response": {"output": name}, **more}}


def test_a_stream_and_one_piece_tell_the_same(model):
    whole = json.loads(post(model, "generateContent", contents=[USER], tools=TOOLS))
    streamed = post(model, "streamGenerateContent", contents=[USER], tools=TOOLS)
    assert json.loads(streamed.removeprefix("data: ")) == whole
    assert whole["modelVersion"] == "gemini-x"
    assert whole["candidates"][0]["content"]["parts"] == [
        {"text": "First."},
        {"functionCall": {"id": "call_0_0", "name": "mcp_gateway_notes__add", "args": {"text": "a"}}},
        {"functionCall": {"id": "call_0_1", "name": "ls", "args": {}}},
    ]


def test_calls_are_answered_by_id_or_in_their_order(model):
    named = {"role": "user", "parts": [answer("ls", id="call_0_1"), answer("add", id="call_0_0")]}
    assert parts(model, USER, named) == [{"text": "Second."}]
    assert model.seen[-1].results == {"call_0_1": {"output": "ls"}, "call_0_0": {"output": "add"}}
    in_order = {"role": "user", "parts": [answer("add"), answer("ls"), answer("more")]}
    assert parts(model, USER, in_order) == [{"text": "Second."}]
    assert set(model.seen[-1].results) == {"call_0_0", "call_0_1"}
    said = {"role": "model", "parts": [{"text": "Second."}]}
    assert parts(model, USER, in_order, said) == [{"text": "The script is over."}]


def test_a_side_request_for_json_gets_the_plainest_value_that_fits(model):
    schema = {
        "type": "OBJECT",
        "required": ["choice", "score", "list", "yes", "why", "inner"],
        "properties": {
            "choice": {"type": "string", "enum": ["flash", "pro"]},
            "score": {"type": "integer", "minimum": 1},
            "list": {"type": "array"},
            "yes": {"type": "boolean"},
            "inner": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
    }
    told = json.loads(post(model, "generateContent", contents=[USER], generationConfig={"responseJsonSchema": schema}))
    value = json.loads(told["candidates"][0]["content"]["parts"][0]["text"])
    assert value == {"choice": "flash", "score": 1, "list": [], "yes": False, "why": "ok", "inner": {"a": "ok"}}
    told = json.loads(post(model, "generateContent", contents=[USER]))
    assert told["candidates"][0]["content"]["parts"] == [{"text": "ok"}]
    assert model.seen == ()


def test_counting_tokens_is_answered(model):
    assert json.loads(post(model, "countTokens", contents=[USER]))["totalTokens"]
