"""Walks the lists of a backend (tools, resources, templates, prompts): all pages, bounded, lies dropped with a note.

MCP 2025-11-25 and 2026-07-28 server/utilities/pagination. Pages of one kind are asked one after the other, the four
kinds at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_orchestrator.backends.mcp_handshake import Agreement, Request, RpcError
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.model.errors import METHOD_NOT_FOUND, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec

MAX_PAGES: Final = 100
MAX_ITEMS: Final = 10_000
MAX_BYTES: Final = 64 * 1024 * 1024

_CAPABILITY: Final = {
    OfferKind.TOOL: "tools",
    OfferKind.RESOURCE: "resources",
    OfferKind.TEMPLATE: "resources",
    OfferKind.PROMPT: "prompts",
}
_KEY: Final = {
    OfferKind.TOOL: "name",
    OfferKind.RESOURCE: "uri",
    OfferKind.TEMPLATE: "uriTemplate",
    OfferKind.PROMPT: "name",
}

Note = Callable[[str], None]


@dataclass(slots=True)
class _Allowance:
    """What is left, in bytes of JSON, for the four lists together."""

    left: int = MAX_BYTES


@dataclass(slots=True)
class _Walk:
    """One list being walked."""

    kind: OfferKind
    backend: str
    note: Note
    allowance: _Allowance
    items: list[Mapping[str, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def take(self, page: Any) -> bool:
        """Keep the sound entries of a page; False when a limit ends the walk."""
        entries = page.get(self.kind.value) if isinstance(page, dict) else None
        if not isinstance(entries, list):
            self.note(f"{self.kind.list_method} of {self.backend}: no list {self.kind.value!r} in the answer")
            return False
        self.allowance.left -= len(jsonrpc.encode(entries))
        if self.allowance.left < 0:
            self.note(f"{self.kind.list_method} of {self.backend}: more than {MAX_BYTES} bytes; the rest is left out")
            return False
        for entry in entries:
            if len(self.items) >= MAX_ITEMS:
                self.note(f"{self.kind.list_method} of {self.backend}: more than {MAX_ITEMS}; the rest is left out")
                return False
            self._keep(entry)
        return True

    def _keep(self, entry: Any) -> None:
        flaw = flaw_of(self.kind, entry)
        name = entry.get(_KEY[self.kind]) if isinstance(entry, dict) else None
        if not flaw and name in self.names:
            flaw = "listed twice"
        if flaw:
            shown = name[:80] if isinstance(name, str) else "an entry"
            self.note(f"{self.kind.list_method} of {self.backend}: {shown!r} left out: {flaw}")
            return
        self.names.add(entry[_KEY[self.kind]])
        self.items.append(entry)


def flaw_of(kind: OfferKind, entry: Any) -> str:
    """Why an entry cannot be offered ("" when it can)."""
    if not isinstance(entry, dict):
        return "not an object"
    name = entry.get(_KEY[kind])
    if not isinstance(name, str) or not name:
        return f"no string {_KEY[kind]!r}"
    if kind is OfferKind.TOOL and not isinstance(entry.get("inputSchema"), dict):
        return "no object 'inputSchema'"
    return ""


async def walk_in_time(spec: BackendSpec, agreement: Agreement, request: Request, note: Note) -> Offers:
    """Like `walk`, for what a handshake settled, within the server's start timeout.

    Raises:
        BackendError: the tools cannot be listed, the connection was lost, or it took too long.
    """
    try:
        async with asyncio.timeout(spec.start_timeout):
            return await walk(
                request,
                backend=spec.name,
                era=agreement.era,
                version=agreement.version,
                server_info=agreement.server_info,
                capabilities=agreement.capabilities,
                instructions=agreement.instructions,
                taken_at=time.time(),
                note=note,
            )
    except TimeoutError as error:
        text = f"backend {spec.name} did not list what it offers within {spec.start_timeout:g} s"
        raise BackendError(FailureKind.TIMEOUT, text) from error


async def walk(
    request: Request,
    *,
    backend: str,
    era: Era,
    version: str,
    server_info: Mapping[str, Any],
    capabilities: Mapping[str, Any],
    instructions: str | None,
    taken_at: float,
    note: Note = lambda _text: None,
) -> Offers:
    """List everything that `capabilities` promise. A kind without its capability is not asked for.

    `request` sends one list request and returns the decoded result (RpcError and BackendError as its ways to fail).
    Method not found means an empty list; another error on the first page of the tools is fatal, elsewhere it is noted
    and ends that list.

    Raises:
        BackendError: the tools cannot be listed, or the connection was lost.
    """
    allowance = _Allowance()
    walks = [_Walk(kind, backend, note, allowance) for kind in OfferKind if _CAPABILITY[kind] in capabilities]
    tasks = [asyncio.ensure_future(_all_pages(request, walk)) for walk in walks]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    found = {walk.kind: tuple(walk.items) for walk in walks}
    return Offers(
        backend=backend,
        era=era,
        version=version,
        server_info=server_info,
        capabilities=capabilities,
        instructions=instructions,
        tools=found.get(OfferKind.TOOL, ()),
        resources=found.get(OfferKind.RESOURCE, ()),
        templates=found.get(OfferKind.TEMPLATE, ()),
        prompts=found.get(OfferKind.PROMPT, ()),
        taken_at=taken_at,
    )


async def _all_pages(request: Request, walk: _Walk) -> None:
    seen: set[str] = set()
    cursor: str | None = None
    before: Any = None
    for _page in range(MAX_PAGES):
        try:
            page = await request(walk.kind.list_method, {} if cursor is None else {"cursor": cursor})
        except RpcError as error:
            _judge(walk, error, first=cursor is None)
            return
        # "" is a cursor like any other (MCP 2026-07-28 server/utilities/pagination), but some servers write it for "no
        # more", and asked on with it they list the same page again.
        if (cursor == "" and page == before) or not walk.take(page):
            return
        before, cursor = page, page.get("nextCursor")
        if not isinstance(cursor, str):
            return
        if cursor in seen:
            walk.note(f"{walk.kind.list_method} of {walk.backend}: the pages go round in a circle; stopped")
            return
        seen.add(cursor)
    walk.note(f"{walk.kind.list_method} of {walk.backend}: more than {MAX_PAGES} pages; the rest is left out")


def _judge(walk: _Walk, error: RpcError, *, first: bool) -> None:
    if first and error.code == METHOD_NOT_FOUND:
        return
    if first and walk.kind is OfferKind.TOOL:
        raise BackendError(
            FailureKind.BACKEND_ERROR,
            f"backend {walk.backend} cannot list its tools: {error.message[:500]} ({error.code})",
            code=error.code,
            data=error.data,
        ) from error
    walk.note(f"{walk.kind.list_method} of {walk.backend} failed: {error.message[:200]} ({error.code})")
