"""A server of the modern era only, on mcp 2.3, whose call needs an answer: `input_required`, then again.

Run: `python hotel_new.py RECORD PORT` over HTTP, `python hotel_new.py RECORD` over stdio. What reached it goes to the record.
"""

import asyncio
import json
import sys

import uvicorn
from hotel_form import FORM, booked, question
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, ListToolsResult

BOOK = {
    "name": "book",
    "description": "Book a room; the guest is asked for the details.",
    "inputSchema": {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]},
    "annotations": {"readOnlyHint": True},
}


async def list_tools(_ctx, _params):
    return ListToolsResult.model_validate({"tools": [BOOK]})


async def call_tool(ctx, params):
    room = params.arguments["room"]
    answer = (ctx.params.get("inputResponses") or {}).get("guest")
    if answer is None:
        asked = {"method": "elicitation/create", "params": {"message": question(room), "requestedSchema": FORM}}
        need = {"resultType": "input_required", "inputRequests": {"guest": asked}, "requestState": f"kept for {room}"}
        return InputRequiredResult.model_validate(need)
    told = booked(sys.argv[1], room, ctx.protocol_version, answer, state=ctx.params.get("requestState"))
    content = [{"type": "text", "text": json.dumps(told)}]
    return CallToolResult.model_validate({"content": content, "structuredContent": told})


async def modern_only(ctx, call_next):
    """The SDK serves both eras; this hotel does not know the older one."""
    if ctx.method == "initialize":
        raise MCPError(code=-32601, message="Method not found: initialize")
    return await call_next(ctx)


async def over_stdio(server: Server) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def main() -> None:
    server = Server("new-hotel", version="1", on_list_tools=list_tools, on_call_tool=call_tool)
    server.middleware.append(modern_only)
    if len(sys.argv) == 2:
        asyncio.run(over_stdio(server))
        return
    app = server.streamable_http_app(host="127.0.0.1")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")


if __name__ == "__main__":
    main()
