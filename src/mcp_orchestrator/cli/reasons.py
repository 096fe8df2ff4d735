"""The reasons of a plan as lines for a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp_orchestrator.cli.printing import safe_line


def reason_lines(reasons: Iterable[Any]) -> list[str]:
    """One line a reason: the step, what was decided, by which rule and where that stands."""
    return [_line(reason) for reason in reasons]


def _line(reason: Any) -> str:
    if not isinstance(reason, dict):
        return safe_line(str(reason))
    by = ", ".join(str(reason[key]) for key in ("rule", "where") if reason.get(key))
    return safe_line(f"{reason.get('step', ''):<9} {reason.get('text', '')}{f' ({by})' if by else ''}")
