"""Small catalogs for the tests of core."""

from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.model.call import Call, CallKind, ClientFace, Era
from mcp_orchestrator.model.catalog import Offers

MODERN = ClientFace(Era.MODERN, "2026-07-28")
LEGACY = ClientFace(Era.LEGACY, "2025-11-25", session="s1")


def tool(name, **schema):
    return {"name": name, "inputSchema": {"type": "object", "properties": schema}}


def offers(backend, *tools, era=Era.MODERN, **lists):
    capabilities = lists.pop("capabilities", {"tools": {}})
    return Offers(backend, era, "", capabilities=capabilities, tools=tools, **lists)


def catalog(*sources, era=Era.MODERN, profile=None):
    return Catalog(era, profile, sources)


def call(name="", kind=CallKind.TOOL, method="tools/call", client=MODERN, **params):
    if kind is CallKind.TOOL:
        params = {"name": name, "arguments": params}
    return Call(kind, method, name, params, {}, client)
