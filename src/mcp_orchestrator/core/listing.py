"""One page of a list as encoded bytes, made once per catalog and kept there.

A cursor names the last entry of the page before, so that it survives changes of the catalog and restarts; it is stamped,
so that clients can neither read nor make one: MCP 2025-11-25 and 2026-07-28 server/utilities/pagination.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from mcp_orchestrator.core.apps import for_apps_alone
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.scopes import lists
from mcp_orchestrator.core.translate.tasks import may_be_task
from mcp_orchestrator.core.translate.tools import definition_for
from mcp_orchestrator.core.wire.jsonrpc import encode
from mcp_orchestrator.model.call import ANONYMOUS, Era, Principal
from mcp_orchestrator.model.catalog import Offer, OfferKind
from mcp_orchestrator.model.errors import INVALID_PARAMS
from mcp_orchestrator.model.outcome import Failed, FailureKind

MAX_KEPT_PAGES: Final = 256
"""Pages kept encoded in one catalog."""

LONGEST_CURSOR: Final = 64 * 1024
"""Characters of a cursor that are looked at: ours are shorter."""


class Stamps(Protocol):
    """Makes tokens that only we can make and read, the same for the same inside."""

    def stamp(self, inside: bytes, bond: bytes) -> str:
        """A token that opens only with the same bond."""
        ...

    def unstamp(self, token: str, bond: bytes) -> bytes:
        """What is inside. Raises ValueError for what was not stamped by us with this bond."""
        ...


def page(
    catalog: Catalog,
    kind: OfferKind,
    cursor: str | None,
    size: int,
    stamps: Stamps | None,
    *,
    apps: bool = True,
    who: Principal = ANONYMOUS,
    hidden: frozenset[str] = frozenset(),
) -> bytes | Failed:
    """The encoded result object of one list request, or why the cursor is refused.

    Without `stamps` nobody can make cursors, and a list is one page. Without `apps` the tools that are for MCP Apps
    alone are left out, and so is what the token of `who` is not good for, and what rules hide (`hidden`: public names).
    """
    # A list of one page is the same for all who may see the same; one of several holds cursors of its owner's.
    kept = catalog.pages.get((kind, cursor, apps, who.scopes, hidden, "")) if cursor is None else None
    kept = kept or catalog.pages.get((kind, cursor, apps, who.scopes, hidden, who.id))
    if kept is not None:
        return kept
    offers = catalog.offers(kind)
    scopes = who.scopes
    if scopes is not None:
        offers = tuple(offer for offer in offers if lists(scopes, kind, offer.backend, offer.name))
    if hidden:
        offers = tuple(offer for offer in offers if offer.public not in hidden)
    if kind is OfferKind.TOOL and not apps:
        offers = tuple(offer for offer in offers if not for_apps_alone(offer.definition))
    start = 0
    if cursor is not None:
        last = _opened(_bond(catalog, kind, who), cursor, stamps) if stamps is not None else None
        names = [offer.public for offer in offers]
        if last is None or last not in names:
            text = "the cursor is not one of ours or what it pointed at is gone: list again from the start"
            return Failed(FailureKind.INVALID, INVALID_PARAMS, f"Invalid cursor: {text}", retryable=True)
        start = names.index(last) + 1
    chosen = offers[start : start + size] if stamps is not None else offers
    result: dict[str, object] = {kind.value: [_definition(offer, catalog) for offer in chosen]}
    if stamps is not None and start + size < len(offers):
        result["nextCursor"] = stamps.stamp(chosen[-1].public.encode(), _bond(catalog, kind, who))
    if catalog.era is Era.MODERN:
        result["resultType"] = "complete"
        result["ttlMs"] = 0
        result["cacheScope"] = "private"
    encoded = encode(result)
    if len(catalog.pages) < MAX_KEPT_PAGES:
        several = cursor is not None or "nextCursor" in result
        catalog.pages[kind, cursor, apps, scopes, hidden, who.id if several else ""] = encoded
    return encoded


def _definition(offer: Offer, catalog: Catalog) -> Mapping[str, Any]:
    definition = definition_for(offer, catalog.era, catalog.address)
    tasked = offer.kind is OfferKind.TOOL and catalog.era is Era.LEGACY and catalog.may_be_task(offer)
    return may_be_task(definition) if tasked else definition


def _opened(bond: bytes, cursor: str, stamps: Stamps) -> str | None:
    if len(cursor) > LONGEST_CURSOR:
        return None
    try:
        return stamps.unstamp(cursor, bond).decode()
    except ValueError:
        return None


def _bond(catalog: Catalog, kind: OfferKind, who: Principal) -> bytes:
    """A cursor goes on in the list of the view that it came from, for whom it was made, and in no other."""
    profile = catalog.profile.name if catalog.profile is not None else ""
    return f"cursor\n{kind.value}\n{profile}\n{who.id}".encode("utf-8", "surrogatepass")
