"""The backend that the official conformance suite prescribes, in both eras, on the low-level server of mcp 2.3.

What the suite calls and expects was read from its scenarios (@modelcontextprotocol/conformance 0.2.0-alpha.12,
2026-11). Everything a client sees is written here as wire objects, so that a difference between a direct call and one
through the gateway can only come from the gateway. Run: `python reference_server.py PORT`.
"""

import asyncio
import base64
import json
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CallToolResult,
    CompleteResult,
    EmptyResult,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    ReadResourceResult,
    Request,
    Result,
    SetLevelRequestParams,
)
from pydantic import ConfigDict

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = base64.b64encode(
    b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x02\0\0\0\0\0"
).decode()
STEP = 0.05  # seconds between two notifications: enough for the suite to see an order
MISSING_CAPABILITY = -32021
INVALID_PARAMS = -32602

Handler = Callable[[ServerRequestContext[Any, Any], Any], Awaitable[Any]]
bus = InMemorySubscriptionBus()


class Raw(Result):
    """Any result object, kept as it is."""

    model_config = ConfigDict(extra="allow")


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def only(result: dict[str, Any]) -> Handler:
    """A tool that always answers the same."""

    async def answer(_ctx, _params):
        return result

    return answer


def question(message: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """A form elicitation."""
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sampling(prompt: str, limit: int) -> dict[str, Any]:
    message = {"role": "user", "content": {"type": "text", "text": prompt}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": limit}}


def name_question(message: str = "What is your name?") -> dict[str, Any]:
    return question(message, {"name": {"type": "string"}}, ["name"])


def confirmation() -> dict[str, Any]:
    return question("Please confirm", {"ok": {"type": "boolean"}}, ["ok"])


ROOTS = {"method": "roots/list"}


def need(requests: dict[str, Any], state: str | None = None) -> dict[str, Any]:
    """An `input_required` result (2026-07-28)."""
    result: dict[str, Any] = {"resultType": "input_required"}
    if requests:
        result["inputRequests"] = requests
    if state is not None:
        result["requestState"] = state
    return result


def responses(ctx) -> dict[str, Any]:
    """The client's `inputResponses` as they came."""
    return dict((ctx.params or {}).get("inputResponses") or {})


async def ask(ctx, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask a legacy client on the stream of the request it makes."""
    request = Request[dict[str, Any], str](method=asked["method"], params=asked["params"])
    answer = await ctx.session.send_request(
        request, Raw, metadata=ServerMessageMetadata(related_request_id=ctx.request_id)
    )
    return answer.model_dump(by_alias=True, exclude_none=True)


def asking(label: str, asked: Callable[[dict[str, Any]], dict[str, Any]]) -> Handler:
    """A tool that asks a legacy client in place and tells what it heard."""

    async def run(ctx, params):
        try:
            answer = await ask(ctx, asked(params.arguments or {}))
        except MCPError as error:
            return {**text(f"{label} failed: {error}"), "isError": True}
        if "action" not in answer:
            return text(f"LLM response: {answer.get('content', {}).get('text', '')}")
        return text(f"{label}: action={answer['action']}, content={json.dumps(answer.get('content', {}))}")

    return run


async def log_thrice(ctx, _params):
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
        await asyncio.sleep(STEP)
    return text("Three lines were logged.")


async def log_once(ctx, _params):
    await ctx.session.send_log_message("info", "one line", related_request_id=ctx.request_id)
    return text("One line was logged, if this request asked for it.")


async def progress_thrice(ctx, _params):
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(STEP)
    return text(str((ctx.meta or {}).get("progress_token", "")))


async def reconnect(ctx, _params):
    await ctx.session.send_log_message("info", "before", related_request_id=ctx.request_id)
    if ctx.close_sse_stream:
        await ctx.close_sse_stream()
    await asyncio.sleep(4 * STEP)
    await ctx.session.send_log_message("info", "after", related_request_id=ctx.request_id)
    return text("Reconnection test completed")


async def require_sampling(ctx, _params):
    able = ctx.session.client_capabilities
    if able is None or able.sampling is None:
        raise MCPError(
            code=MISSING_CAPABILITY,
            message="this tool needs a client with sampling",
            data={"requiredCapabilities": {"sampling": {}}},
        )
    return text("The client can sample.")


def changed(event) -> Handler:
    async def run(_ctx, _params):
        await bus.publish(event)
        return text("announced")

    return run


async def mirror_region(_ctx, params):
    return text(f"region={(params.arguments or {}).get('region', '')}")


async def stream_question(ctx, params):
    asked = question("A word, please", {"response": {"type": "string"}}, ["response"])
    if ctx.protocol_version < "2026":
        answer = await ask(ctx, asked)
    else:
        answer = responses(ctx).get("word")
        if answer is None:
            return need({"word": asked})
    return text(f"elicitation {answer.get('action')}")


async def ask_name(ctx, params):
    answer = responses(ctx).get("user_name")
    if not isinstance(answer, dict) or answer.get("action") != "accept" or "name" not in (answer.get("content") or {}):
        return need({"user_name": name_question()})
    return text(f"Hello, {answer['content']['name']}!")


async def ask_model(ctx, params):
    answer = responses(ctx).get("capital_question")
    if answer is None:
        return need({"capital_question": sampling("What is the capital of France?", 100)})
    return text(f"Model said: {answer.get('content', {}).get('text', '')}")


async def ask_roots(ctx, params):
    answer = responses(ctx).get("client_roots")
    if answer is None:
        return need({"client_roots": ROOTS})
    return text(f"{len(answer.get('roots', []))} root(s)")


async def keep_state(ctx, params):
    if "confirm" in responses(ctx) and params.request_state == "nonce":
        return text("state-ok: confirmation received")
    return need({"confirm": confirmation()}, "nonce")


async def ask_all(ctx, params):
    wanted = {"user_name": name_question(), "greeting": sampling("Generate a greeting", 50), "client_roots": ROOTS}
    if wanted.keys() <= responses(ctx).keys():
        return text("All three answers arrived.")
    return need(wanted, "all")


async def three_rounds(ctx, params):
    state = json.loads(params.request_state or '{"round": 0}')
    heard = responses(ctx)
    if state["round"] == 1 and "step1" in heard:
        name = (heard["step1"].get("content") or {}).get("name", "")
        color = question("Step 2: What is your favorite color?", {"color": {"type": "string"}}, ["color"])
        return need({"step2": color}, json.dumps({"round": 2, "name": name}))
    if state["round"] == 2 and "step2" in heard:
        return text(f"{state['name']} likes {(heard['step2'].get('content') or {}).get('color', '')}.")
    return need({"step1": name_question("Step 1: What is your name?")}, json.dumps({"round": 1}))


async def sealed_state(ctx, params):
    if params.request_state is None:
        return need({"confirm": confirmation()}, "round-1")
    return text(f"state-ok: {params.request_state}")


async def within_abilities(ctx, params):
    able = ctx.session.client_capabilities
    wanted = {}
    if able is not None and able.sampling is not None:
        wanted["sample"] = sampling("Say hello", 50)
    if able is not None and able.elicitation is not None:
        wanted["ask"] = name_question()
    return need(wanted, "by-ability")


EMBEDDED = {
    "type": "resource",
    "resource": {
        "uri": "test://embedded-resource",
        "mimeType": "text/plain",
        "text": "This is an embedded resource content.",
    },
}
MIXED = {
    "content": [
        {"type": "text", "text": "Multiple content types test:"},
        {"type": "image", "data": PNG, "mimeType": "image/png"},
        {
            "type": "resource",
            "resource": {
                "uri": "test://mixed-content-resource",
                "mimeType": "application/json",
                "text": '{"test":"data","value":123}',
            },
        },
    ]
}
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
ENUMS = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {
        "type": "string",
        "oneOf": [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)],
    },
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
    "titledMulti": {
        "type": "array",
        "items": {"anyOf": [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]},
    },
}
SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}}


def one(name: str, **more: Any) -> dict[str, Any]:
    """An input schema with one required string, or an optional one when more is said about it."""
    schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": "string", **more}}}
    return schema if more else {**schema, "required": [name]}


TOOLS: dict[str, tuple[dict[str, Any], Handler]] = {
    "test_simple_text": (NOTHING, only(text("This is a simple text response for testing."))),
    "test_image_content": (NOTHING, only({"content": [MIXED["content"][1]]})),
    "test_audio_content": (NOTHING, only({"content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]})),
    "test_embedded_resource": (NOTHING, only({"content": [EMBEDDED]})),
    "test_multiple_content_types": (NOTHING, only(MIXED)),
    "test_tool_with_logging": (NOTHING, log_thrice),
    "test_logging_tool": (NOTHING, log_once),
    "test_tool_with_progress": (NOTHING, progress_thrice),
    "test_error_handling": (
        NOTHING,
        only({**text("This tool intentionally returns an error for testing"), "isError": True}),
    ),
    "test_sampling": (one("prompt"), asking("Sampling", lambda given: sampling(given.get("prompt", ""), 100))),
    "test_elicitation": (
        one("message"),
        asking(
            "User response",
            lambda given: question(given.get("message", ""), {"response": {"type": "string"}}, ["response"]),
        ),
    ),
    "test_elicitation_sep1034_defaults": (
        NOTHING,
        asking("Elicitation completed", lambda _given: question("Please review the defaults", DEFAULTS, [])),
    ),
    "test_elicitation_sep1330_enums": (
        NOTHING,
        asking("Elicitation completed", lambda _given: question("Please choose", ENUMS, [])),
    ),
    "test_reconnection": (NOTHING, reconnect),
    "test_missing_capability": (NOTHING, require_sampling),
    "test_streaming_elicitation": (NOTHING, stream_question),
    "test_trigger_tool_change": (NOTHING, changed(ToolsListChanged())),
    "test_trigger_prompt_change": (NOTHING, changed(PromptsListChanged())),
    "test_x_mcp_header": (one("region", **{"x-mcp-header": "Region"}), mirror_region),
    "test_input_required_result_elicitation": (NOTHING, ask_name),
    "test_input_required_result_sampling": (NOTHING, ask_model),
    "test_input_required_result_list_roots": (NOTHING, ask_roots),
    "test_input_required_result_request_state": (NOTHING, keep_state),
    "test_input_required_result_multiple_inputs": (NOTHING, ask_all),
    "test_input_required_result_multi_round": (NOTHING, three_rounds),
    "test_input_required_result_tampered_state": (NOTHING, sealed_state),
    "test_input_required_result_capabilities": (NOTHING, within_abilities),
    "json_schema_2020_12_tool": (SCHEMA_2020_12, only(text("2020-12"))),
}


def said(content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": content}


RESOURCES = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}
PROMPTS: dict[str, list[str]] = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}


async def list_tools(_ctx, _params):
    tools = [
        {"name": name, "description": name.replace("_", " "), "inputSchema": schema}
        for name, (schema, _run) in TOOLS.items()
    ]
    return ListToolsResult.model_validate({"tools": tools})


async def call_tool(ctx, params):
    if params.name not in TOOLS:
        # As the SDK's own server says it (2.3.0): five checks of the unscored task scenarios are content with that.
        return shaped({**text(f"Unknown tool: {params.name}"), "isError": True}, CallToolResult)
    return shaped(await TOOLS[params.name][1](ctx, params), CallToolResult)


def shaped(result: dict[str, Any], complete: type[Result]) -> Result:
    kind = InputRequiredResult if result.get("resultType") == "input_required" else complete
    return kind.model_validate(result)


async def list_resources(_ctx, _params):
    rows = [
        {"uri": uri, "name": uri.removeprefix("test://"), "mimeType": body["mimeType"]}
        for uri, body in RESOURCES.items()
    ]
    return ListResourcesResult.model_validate({"resources": rows})


async def list_templates(_ctx, _params):
    row = {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"}
    return ListResourceTemplatesResult.model_validate({"resourceTemplates": [row]})


async def read_resource(ctx, params):
    uri = str(params.uri)
    if uri in RESOURCES:
        body = RESOURCES[uri]
    elif uri.startswith("test://template/") and uri.endswith("/data"):
        key = uri.removeprefix("test://template/").removesuffix("/data")
        data = {"id": key, "templateTest": True, "data": f"Data for ID: {key}"}
        body = {"mimeType": "application/json", "text": json.dumps(data)}
    else:
        code = -32002 if ctx.protocol_version < "2026" else INVALID_PARAMS
        raise MCPError(code=code, message=f"Resource not found: {uri}", data={"uri": uri})
    return ReadResourceResult.model_validate({"contents": [{"uri": uri, **body}]})


async def list_prompts(_ctx, _params):
    rows = [
        {
            "name": name,
            "description": name.replace("_", " "),
            "arguments": [{"name": argument, "required": True} for argument in arguments],
        }
        for name, arguments in PROMPTS.items()
    ]
    return ListPromptsResult.model_validate({"prompts": rows})


async def get_prompt(ctx, params):
    given = params.arguments or {}
    missing = [name for name in PROMPTS.get(params.name, [""]) if name not in given]
    if missing:
        raise MCPError(code=INVALID_PARAMS, message=f"Unknown prompt or missing arguments: {params.name} {missing}")
    if params.name == "test_input_required_result_prompt":
        answer = responses(ctx).get("user_context")
        if answer is None:
            asked = question("Which context?", {"context": {"type": "string"}}, ["context"])
            return shaped(need({"user_context": asked}), GetPromptResult)
        messages = [said({"type": "text", "text": f"Context: {(answer.get('content') or {}).get('context', '')}"})]
    else:
        messages = prompt_messages(params.name, given)
    return GetPromptResult.model_validate({"messages": messages})


def prompt_messages(name: str, given: dict[str, str]) -> list[dict[str, Any]]:
    if name == "test_prompt_with_arguments":
        return [
            said({"type": "text", "text": f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"})
        ]
    if name == "test_prompt_with_embedded_resource":
        inner = {"uri": given["resourceUri"], "mimeType": "text/plain", "text": "Embedded resource content."}
        return [
            said({"type": "resource", "resource": inner}),
            said({"type": "text", "text": "Please process the embedded resource above."}),
        ]
    if name == "test_prompt_with_image":
        return [
            said({"type": "image", "data": PNG, "mimeType": "image/png"}),
            said({"type": "text", "text": "Please analyze the image above."}),
        ]
    return [said({"type": "text", "text": "This is a simple prompt for testing."})]


async def complete(_ctx, params):
    values = [value for value in ("paris", "park", "party") if value.startswith(params.argument.value)]
    body = {"values": values, "total": len(values), "hasMore": False}
    return CompleteResult.model_validate({"completion": body})


async def nothing(_ctx, _params):
    return EmptyResult()


class Events(EventStore):
    """What was sent on each stream, for clients that come back (2025-11-25, SSE polling)."""

    def __init__(self):
        self.rows: list[tuple[str, Any]] = []

    async def store_event(self, stream_id, message):
        self.rows.append((stream_id, message))
        return str(len(self.rows))

    async def replay_events_after(self, last_event_id, send_callback):
        start = int(last_event_id)
        stream = self.rows[start - 1][0]
        for number, (owner, message) in enumerate(self.rows[start:], start + 1):
            if owner == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def build() -> Server:
    """The server with everything the suite asks for."""
    server: Server = Server(
        "reference",
        version="1.0.0",
        get_tool_input_schema=lambda name: TOOLS[name][0] if name in TOOLS else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=nothing,
        on_unsubscribe_resource=nothing,
        on_subscriptions_listen=ListenHandler(bus),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
    )
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, nothing)
    security = RequestStateSecurity(keys=[b"a key of a test server, known to all"], audience="reference")
    server.middleware.append(RequestStateBoundary(security, default_audience="reference"))
    return server


def main() -> None:
    port = int(sys.argv[1])
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # the suite still asks for logging and sampling
    app = build().streamable_http_app(event_store=Events(), retry_interval=100, host="127.0.0.1")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
