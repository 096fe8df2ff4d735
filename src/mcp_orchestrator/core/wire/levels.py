"""Log levels of MCP by severity, and what passes which (MCP 2025-11-25 and 2026-07-28 server/utilities/logging)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LOG_LEVELS: Final = {
    level: rank
    for rank, level in enumerate(
        ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")  # RFC 5424 section 6.2.1
    )
}
"""Severity of each log level, least severe first."""


def most_verbose(levels: Iterable[str]) -> str | None:
    """The level of these that lets the most through; None of none. Levels that do not exist count as the quietest."""
    return min(levels, key=lambda level: LOG_LEVELS.get(level, len(LOG_LEVELS)), default=None)


def is_louder(level: str, than: str | None) -> bool:
    """Whether a session at `level` says more than one at `than` (None: it was never told, so it says what it likes)."""
    return than is None or LOG_LEVELS.get(level, len(LOG_LEVELS)) < LOG_LEVELS.get(than, len(LOG_LEVELS))
