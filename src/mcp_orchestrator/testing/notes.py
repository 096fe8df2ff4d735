"""An MCP server that keeps notes in memory: `python -m mcp_orchestrator.testing.notes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_orchestrator import __version__
from mcp_orchestrator.testing.stdio_server import Request, StdioServer, Tool, ToolError


class Notebook:
    """Notes of one process, gone when it ends."""

    def __init__(self) -> None:
        self._notes: list[str] = []

    def add(self, arguments: Mapping[str, Any], _request: Request) -> dict[str, Any]:
        """Keep `text`; returns the number of the note and how many there are."""
        text = arguments.get("text")
        if not isinstance(text, str) or not text:
            raise ToolError("a note needs a text")
        self._notes.append(text)
        return {"number": len(self._notes), "count": len(self._notes)}

    def list(self, arguments: Mapping[str, Any], _request: Request) -> dict[str, Any]:
        """All notes, or those that contain `containing`, with their numbers."""
        wanted = str(arguments.get("containing", "")).casefold()
        found = [{"number": n, "text": t} for n, t in enumerate(self._notes, 1) if wanted in t.casefold()]
        return {"notes": found}


def make() -> StdioServer:
    """The server, with an empty notebook."""
    notebook = Notebook()
    text = {"type": "string", "minLength": 1, "description": "What to write down."}
    containing = {"type": "string", "description": "Only notes that contain this, without regard to case."}
    tools = [
        Tool("add", "Write a note down.", {"text": text}, ["text"], notebook.add, read_only=False),
        Tool("list", "Read the notes.", {"containing": containing}, [], notebook.list),
    ]
    return StdioServer("notes", __version__, tools, "Keeps notes until it is stopped.")


if __name__ == "__main__":
    make().serve()
