"""W3C trace context (Level 1) as pure functions."""

from __future__ import annotations

import re
from typing import Any, Final

# Version 00 has exactly these four fields (55 characters), later versions may append more, and ff is no version.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)


def trace_id(traceparent: Any) -> str | None:
    """The trace id of a valid `traceparent`, else None (W3C Trace Context section 3.2)."""
    match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return match.group(1) if match is not None else None
