"""One page of a list as encoded bytes, made once per catalog and kept there.

A cursor names the last entry of the page before, so that it survives changes of the catalog: MCP 2025-11-25 and
2026-07-28 server/utilities/pagination (cursors are opaque to clients).
"""

from __future__ import annotations

import base64
import binascii

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.translate.tools import definition_for
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import INVALID_PARAMS
from mcp_orchestrator.model.outcome import Failed, FailureKind

MAX_KEPT_PAGES = 256
"""Pages kept encoded in one catalog."""


def page(catalog: Catalog, kind: OfferKind, cursor: str | None, size: int) -> bytes | Failed:
    """The encoded result object of one list request, or why the cursor is refused."""
    kept = catalog.pages.get((kind, cursor))
    if kept is not None:
        return kept
    offers = catalog.offers(kind)
    start = 0
    if cursor is not None:
        last = _opened(kind, cursor)
        names = [offer.public for offer in offers]
        if last is None or last not in names:
            text = "the cursor is not one of ours or what it pointed at is gone: list again from the start"
            return Failed(FailureKind.INVALID, INVALID_PARAMS, f"Invalid cursor: {text}", retryable=True)
        start = names.index(last) + 1
    chosen = offers[start : start + size]
    result: dict[str, object] = {kind.value: [definition_for(offer, catalog.era) for offer in chosen]}
    if start + size < len(offers):
        result["nextCursor"] = _sealed(kind, chosen[-1].public)
    if catalog.era is Era.MODERN:
        result["resultType"] = "complete"
        result["ttlMs"] = 0
        result["cacheScope"] = "private"
    encoded = encode(result)
    if len(catalog.pages) < MAX_KEPT_PAGES:
        catalog.pages[kind, cursor] = encoded
    return encoded


def _sealed(kind: OfferKind, name: str) -> str:
    return base64.urlsafe_b64encode(f"{kind.value}\n{name}".encode()).decode("ascii")


def _opened(kind: OfferKind, cursor: str) -> str | None:
    try:
        text = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        return None
    prefix, newline, name = text.partition("\n")
    return name if newline and prefix == kind.value else None
