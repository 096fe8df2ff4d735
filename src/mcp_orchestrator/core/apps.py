"""MCP Apps: who can show them, and which tools are for apps alone (extension of 2026-01-26, visibility).

Servers are told that apps can be shown, since one session serves many clients. A host that shows apps needs the tools
that are for apps alone and keeps them from its model; a client that shows none would offer them to its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EXTENSION: Final = "io.modelcontextprotocol/ui"
HTML: Final = "text/html;profile=mcp-app"


def shows_apps(capabilities: Mapping[str, Any]) -> bool:
    """Whether a client with these abilities declared the extension."""
    extensions = capabilities.get("extensions")
    declared = extensions.get(EXTENSION) if isinstance(extensions, Mapping) else None
    if not isinstance(declared, Mapping):
        return False
    kinds = declared.get("mimeTypes")
    return not isinstance(kinds, list) or HTML in kinds


def for_apps_alone(definition: Mapping[str, Any]) -> bool:
    """Whether a tool says that no model may see it: `_meta.ui.visibility` without `model`."""
    meta = definition.get("_meta")
    shown = meta.get("ui") if isinstance(meta, Mapping) else None
    visibility = shown.get("visibility") if isinstance(shown, Mapping) else None
    return isinstance(visibility, list) and "model" not in visibility
