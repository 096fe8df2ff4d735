"""The client that the official conformance suite drives, on the official Python SDK 2.3: does what a scenario wants.

`python conformance_client.py URL`, with MCP_CONFORMANCE_SCENARIO, _PROTOCOL_VERSION and _CONTEXT in the environment as
the suite sets them (@modelcontextprotocol/conformance 0.2.0-alpha.12, 2026-11).
"""

import asyncio
import contextlib
import json
import os
import sys

import mcp_types as types
from mcp import Client
from pydantic import ValidationError

SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
MODE = "legacy" if os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "") < "2026" else "auto"


async def elicit(_context, params):
    """Accept with the default of each field, and yes where there is none."""
    fields = params.model_dump(mode="json", by_alias=True)["requestedSchema"].get("properties", {})
    content = {name: field.get("default", True) for name, field in fields.items()}
    return types.ElicitResult(action="accept", content=content)


async def act(client, tools):
    """The calls that this scenario looks at."""
    match SCENARIO:
        case "tools_call":
            await client.call_tool("add_numbers", {"a": 5, "b": 3})
        case "elicitation-sep1034-client-defaults":
            await client.call_tool("test_client_elicitation_defaults", {})
        case "sse-retry":
            await client.call_tool("test_reconnection", {})
        case "sep-2322-client-request-state":
            asking = asyncio.ensure_future(client.call_tool("test_mrtr_echo_state", {}))
            await client.call_tool("test_mrtr_unrelated", {})
            await asking
            await client.call_tool("test_mrtr_no_state", {})
            with contextlib.suppress(ValidationError):  # mcp 2.3.0 itself does not take a result without a type
                await client.call_tool("test_mrtr_no_result_type", {})
        case "http-standard-headers":
            await client.call_tool(tools[0].name, {})
            resources, prompts = await client.list_resources(), await client.list_prompts()
            await client.read_resource(resources.resources[0].uri)
            await client.get_prompt(prompts.prompts[0].name)
        case "http-custom-headers":
            for call in CONTEXT["toolCalls"]:
                await client.call_tool(call["name"], call["arguments"])
        case "http-invalid-tool-headers":
            for tool in tools:
                await client.call_tool(tool.name, {"region": "eu"})
        case "json-schema-2020-12-preservation":
            schema = next(tool.input_schema for tool in tools if tool.name == "json_schema_2020_12_tool")
            await client.call_tool("json_schema_echo", {"schema": schema})


async def main():
    async with Client(sys.argv[1], mode=MODE, elicitation_callback=elicit) as client:
        tools = (await client.list_tools()).tools
        await act(client, tools)


asyncio.run(main())
