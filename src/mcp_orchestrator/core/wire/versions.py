"""The protocol revisions we speak and how a version is agreed on.

MCP 2025-11-25 basic/lifecycle (version negotiation); MCP 2026-07-28 basic/index (per-request version).
"""

from __future__ import annotations

from typing import Final

from mcp_orchestrator.model.call import Era

MODERN_VERSIONS: Final = ("2026-07-28",)
LEGACY_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST_MODERN: Final = MODERN_VERSIONS[-1]
LATEST_LEGACY: Final = LEGACY_VERSIONS[-1]


def era_of(version: str) -> Era | None:
    """The era of a version we know, else None (an unknown version is never compared as a date)."""
    if version in MODERN_VERSIONS:
        return Era.MODERN
    return Era.LEGACY if version in LEGACY_VERSIONS else None


def agree_legacy(requested: str) -> str:
    """The version an `initialize` is answered with: the requested one if we speak it, else our newest legacy one."""
    return requested if requested in LEGACY_VERSIONS else LATEST_LEGACY
