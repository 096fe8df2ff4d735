"""Kept results as resources of the gateway itself: their template, reads of them, and the tool that reads them too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.core.own_tools import SEES, Own
from mcp_orchestrator.core.selecting import READER, TEMPLATE
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.core.wire.versions import LATEST_MODERN
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.errors import METHOD_NOT_FOUND
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome, ToolRefusal
from mcp_orchestrator.plugin_api import Backend, Opening, Session, Talk
from mcp_orchestrator.runtime.results import Results

TEMPLATES: Final[tuple[Mapping[str, Any], ...]] = (
    {
        "uriTemplate": TEMPLATE,
        "name": "result",
        "title": "A result that was too large to be shown whole",
        "description": (
            "The whole of a result, or a part of it: content/0, structured/KEY/..., with A..B behind an array for its "
            "items and behind a text for its characters, or lines/A..B for its lines."
        ),
    },
)
CAPABILITY: Final[Mapping[str, Any]] = {"resources": {"listChanged": True}}
TOOLS: Final[tuple[dict[str, Any], ...]] = (
    Own(
        READER,
        "Read more of a result",
        "Read what was left out of a large result: an address that begins with result://, as a note in that result names it.",
        {"uri": {"type": "string", "description": "result://RUN/PATH, with A..B or lines/A..B at the end for a part."}},
        ["uri"],
        SEES,
    ).definition(),
)


async def read(results: Results | None, invocation: Invocation) -> Outcome:
    """Carry out `resources/read` of a kept result, or a call of the tool that does the same."""
    if results is not None and invocation.method == "tools/call" and invocation.params.get("name") == READER:
        arguments = invocation.params.get("arguments")
        wanted = str(arguments.get("uri")) if isinstance(arguments, Mapping) else ""
        return _as_tool(await results.read(invocation.principal, invocation.profile, wanted, {}))
    uri = str(invocation.params.get("uri"))
    if invocation.method != "resources/read" or results is None:
        text = f"the gateway itself has no {invocation.method}"
        return Failed(FailureKind.UNKNOWN_NAME, METHOD_NOT_FOUND, text, retryable=True)
    return await results.read(invocation.principal, invocation.profile, uri, invocation.meta)


def _as_tool(outcome: Outcome) -> Outcome:
    """The answer to a read as the result of a tool."""
    if isinstance(outcome, Failed):
        return ToolRefusal(outcome.message, outcome.kind)
    if not isinstance(outcome, Completed):
        return outcome
    content = [_block(item) for item in decode(outcome.result)["contents"]]
    return Completed(encode({"content": content, "resultType": "complete"}), Era.MODERN)


def _block(item: Mapping[str, Any]) -> dict[str, Any]:
    if "text" in item:
        return {"type": "text", "text": item["text"]}
    mime = item["mimeType"]
    kind = mime.partition("/")[0]
    if kind in ("image", "audio"):
        return {"type": kind, "data": item["blob"], "mimeType": mime}
    return {"type": "resource", "resource": dict(item)}


class KeptResults(Backend):
    """The gateway itself as a backend where it offers nothing but results: without agents."""

    def __init__(self, results: Results, now: float) -> None:
        self.results = results
        self._now = now

    @property
    def name(self) -> str:
        """The name that no server can have."""
        return OWN

    @property
    def eras(self) -> Sequence[Era]:
        """Ours."""
        return (Era.MODERN,)

    async def open(self, _opening: Opening) -> Session:
        """Nothing needs to be opened."""
        return KeptResultsSession(self, self._now)

    async def aclose(self) -> None:
        """Nothing to release."""


class KeptResultsSession(Session):
    """Answers reads."""

    def __init__(self, backend: KeptResults, now: float) -> None:
        self._backend = backend
        self._now = now
        self._closed = asyncio.Event()

    @property
    def era(self) -> Era:
        """Modern: clients of the other era are translated for like with any backend."""
        return Era.MODERN

    @property
    def pid(self) -> int | None:
        """No process."""
        return None

    async def offers(self) -> Offers:
        """One template, and the tool."""
        capabilities = {"tools": {"listChanged": True}, **CAPABILITY}
        offers = Offers(OWN, Era.MODERN, LATEST_MODERN, capabilities=capabilities, taken_at=self._now)
        return replace(offers, tools=TOOLS, templates=TEMPLATES)

    async def invoke(self, invocation: Invocation, _talk: Talk) -> Outcome:
        """Carry out one read."""
        return await read(self._backend.results, invocation)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Nothing of a client's notifications concerns us."""

    async def wait_closed(self) -> str:
        """Until closed."""
        await self._closed.wait()
        return "closed"

    async def close(self) -> None:
        """End."""
        self._closed.set()
