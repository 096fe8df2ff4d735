"""A server of the legacy era, on mcp 1.x, that asks its caller in the middle of a call.

Run: `python hotel_old.py RECORD [GATE]` over stdio, `python hotel_old.py RECORD http:PORT` over HTTP. What reached it
goes to the record. It starts only when no file GATE exists.
"""

import sys
import time
from pathlib import Path
from typing import Any

from hotel_form import FORM, booked, question
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import ToolAnnotations

hotel = FastMCP("old-hotel", instructions="Books rooms.")


@hotel.tool(annotations=ToolAnnotations(readOnlyHint=True))
async def book(room: str, ctx: Context) -> dict[str, Any]:
    """Book a room; the guest is asked for the details."""
    answer = await ctx.session.elicit_form(question(room), FORM, ctx.request_context.request_id)
    version = str(ctx.session.client_params.protocolVersion)
    return booked(sys.argv[1], room, version, answer.model_dump())


def main() -> None:
    way = sys.argv[2] if len(sys.argv) > 2 else ""
    if way.startswith("http:"):
        hotel.settings.port = int(way.removeprefix("http:"))
        hotel.run("streamable-http")
        return
    while way and Path(way).exists():
        time.sleep(0.05)
    hotel.run()


if __name__ == "__main__":
    main()
