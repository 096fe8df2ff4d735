"""Definitions in lists: the public name put on, and what the other era cannot read taken off.

MCP 2025-11-25 server/tools: `outputSchema` must be of type object. MCP 2026-07-28 allows any schema there. MCP Apps
2026-01-26: a tool names the resource that shows its results by URI, which is made the public one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offer, OfferKind

_APP_KEYS: Final = ("ui/resourceUri", "openai/outputTemplate")
"""Older and foreign spellings of `_meta.ui.resourceUri`."""


def definition_for(
    offer: Offer, era: Era, address: Callable[[str, str], str | None] = lambda _backend, uri: uri
) -> Mapping[str, Any]:
    """The wire object for a client of `era`; the backend's own object when nothing needs to change.

    `address` gives the public form of a server's resource URI. Which of an app's tools a model may see
    (`_meta.ui.visibility`) is the host's to judge and passes untouched: it needs app-only tools in the list to let
    apps call them.
    """
    key = _name_key(offer.kind)
    definition = offer.definition
    changed = definition if offer.public == offer.name else {**definition, key: offer.public}
    if offer.kind is not OfferKind.TOOL:
        return changed
    if era is Era.LEGACY and offer.era is Era.MODERN:
        output = definition.get("outputSchema")
        if output is not None and not (isinstance(output, Mapping) and output.get("type") == "object"):
            changed = {name: value for name, value in changed.items() if name != "outputSchema"}
    public = {uri: address(offer.backend, uri) or uri for uri in app_uris(definition)}
    if any(uri != shown for uri, shown in public.items()):
        changed = {**changed, "_meta": _with_apps(definition["_meta"], public)}
    return changed


def app_uris(definition: Mapping[str, Any]) -> Iterator[str]:
    """The URIs of the resources that show a tool's results, by every spelling."""
    meta = definition.get("_meta")
    if not isinstance(meta, Mapping):
        return
    ui = meta.get("ui")
    found = [meta.get(key) for key in _APP_KEYS]
    found.append(ui.get("resourceUri") if isinstance(ui, Mapping) else None)
    yield from (uri for uri in found if isinstance(uri, str))


def _with_apps(meta: Mapping[str, Any], public: Mapping[str, str]) -> dict[str, Any]:
    changed = dict(meta)
    for key in _APP_KEYS:
        if isinstance(changed.get(key), str):
            changed[key] = public[changed[key]]
    ui = changed.get("ui")
    if isinstance(ui, Mapping) and isinstance(ui.get("resourceUri"), str):
        changed["ui"] = {**ui, "resourceUri": public[ui["resourceUri"]]}
    return changed


def _name_key(kind: OfferKind) -> str:
    match kind:
        case OfferKind.TOOL | OfferKind.PROMPT:
            return "name"
        case OfferKind.RESOURCE:
            return "uri"
        case OfferKind.TEMPLATE:
            return "uriTemplate"
