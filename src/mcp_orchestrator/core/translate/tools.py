"""Definitions in lists: the public name put on, and what the other era cannot read taken off.

MCP 2025-11-25 server/tools: `outputSchema` must be of type object. MCP 2026-07-28 allows any schema there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offer, OfferKind


def definition_for(offer: Offer, era: Era) -> Mapping[str, Any]:
    """The wire object for a client of `era`; the backend's own object when nothing needs to change."""
    key = _name_key(offer.kind)
    definition = offer.definition
    changed = definition if offer.public == offer.name else {**definition, key: offer.public}
    if offer.kind is OfferKind.TOOL and era is Era.LEGACY and offer.era is Era.MODERN:
        output = definition.get("outputSchema")
        if output is not None and not (isinstance(output, Mapping) and output.get("type") == "object"):
            changed = {name: value for name, value in changed.items() if name != "outputSchema"}
    return changed


def _name_key(kind: OfferKind) -> str:
    match kind:
        case OfferKind.TOOL | OfferKind.PROMPT:
            return "name"
        case OfferKind.RESOURCE:
            return "uri"
        case OfferKind.TEMPLATE:
            return "uriTemplate"
