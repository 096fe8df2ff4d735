"""A client on the official Python SDK 2.3 that answers what it is asked, and prints what it saw as JSON.

`python client_sdk2_asked.py MODE http URL` or `... MODE stdio COMMAND ARGUMENT...`; MODE is legacy, auto or a version.
On stdin: `[{"name": ..., "arguments": {...}}]`; `asked` is what it was asked during each call.
"""

import asyncio
import json
import sys

import mcp_types as types
from mcp import Client, StdioServerParameters


def filled(schema):
    """An answer to every field of a form, the default where there is one."""
    content = {}
    for name, field in schema.get("properties", {}).items():
        if "default" in field:
            content[name] = field["default"]
        elif field.get("type") == "array":
            options = field["items"].get("enum") or [one["const"] for one in field["items"]["anyOf"]]
            content[name] = options[:1]
        elif "enum" in field or "oneOf" in field:
            content[name] = field["enum"][0] if "enum" in field else field["oneOf"][0]["const"]
        else:
            content[name] = {"boolean": True, "integer": 7, "number": 7.5}.get(field["type"], "Ada")
    return content


async def main():
    mode, transport, *rest = sys.argv[1:]
    server = rest[0] if transport == "http" else StdioServerParameters(command=rest[0], args=rest[1:])
    asked = []

    async def elicit(_context, params):
        asked.append(params.model_dump(mode="json", by_alias=True, exclude_none=True))
        if getattr(params, "mode", "form") == "url":
            return types.ElicitResult(action="accept")
        return types.ElicitResult(action="accept", content=filled(asked[-1]["requestedSchema"]))

    async def sample(_context, params):
        asked.append(params.model_dump(mode="json", by_alias=True, exclude_none=True))
        if asked[-1].get("tools"):
            uses = [{"type": "tool_use", "id": "1", "name": asked[-1]["tools"][0]["name"], "input": {"city": "Paris"}}]
            said = {"role": "assistant", "content": uses, "model": "m", "stopReason": "toolUse"}
            return types.CreateMessageResultWithTools.model_validate(said)
        text = types.TextContent(type="text", text="Paris")
        return types.CreateMessageResult(role="assistant", content=text, model="m", stop_reason="endTurn")

    async def roots(_context):
        asked.append({})
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada", name="Home")])

    able = types.SamplingCapability(tools=types.SamplingToolsCapability())
    callbacks = {"elicitation_callback": elicit, "sampling_callback": sample, "list_roots_callback": roots}
    callbacks["sampling_capabilities"] = able
    async with Client(server, mode=mode, **callbacks) as client:
        results, of_each = [], []
        for call in json.load(sys.stdin):
            asked.clear()
            result = await client.call_tool(call["name"], call["arguments"])
            results.append(result.model_dump(mode="json", by_alias=True, exclude_none=True))
            of_each.append(list(asked))
        print(json.dumps({"version": client.protocol_version, "results": results, "asked": of_each}))


asyncio.run(main())
