"""An MCP server that tells the time and waits: `python -m mcp_orchestrator.testing.clock`."""

from __future__ import annotations

import datetime as dt
import time
import zoneinfo
from collections.abc import Mapping
from typing import Any, Final

from mcp_orchestrator import __version__
from mcp_orchestrator.testing.stdio_server import Request, StdioServer, Tool, ToolError

LONGEST: Final = 3600
"""Most seconds that `wait` waits."""

_STEP: Final = 0.1


def now(arguments: Mapping[str, Any], _request: Request) -> dict[str, Any]:
    """The time in `zone` (an IANA name, UTC by default) as ISO 8601."""
    name = str(arguments.get("zone", "UTC"))
    try:
        zone = dt.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ToolError(f"no such time zone: {name}") from error
    return {"zone": name, "time": dt.datetime.now(zone).isoformat(timespec="seconds")}


def wait(arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Wait `seconds`, telling progress, or until the call is cancelled; returns how long it took."""
    seconds = arguments.get("seconds", 0)
    if not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST:
        raise ToolError(f"seconds must be a number from 0 to {LONGEST}")
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        request.progress(round(passed, 3), float(seconds))
        if request.cancelled.wait(min(_STEP, seconds - passed)):
            break
    return {"waited": round(time.monotonic() - began, 3)}


def make() -> StdioServer:
    """The server."""
    zone = {"type": "string", "description": "IANA name of a time zone, such as Europe/Zurich.", "default": "UTC"}
    seconds = {"type": "number", "minimum": 0, "maximum": LONGEST, "description": "How long to wait."}
    tools = [
        Tool("now", "Tell the time.", {"zone": zone}, [], now),
        Tool("wait", "Wait, then say how long it was.", {"seconds": seconds}, ["seconds"], wait),
    ]
    return StdioServer("clock", __version__, tools, "Tells the time.")


if __name__ == "__main__":
    make().serve()
