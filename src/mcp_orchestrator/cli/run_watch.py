"""`runs watch`: the events of one run as they come, until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp_orchestrator.cli.printing import Printer, Style, safe_json, safe_line, shorten
from mcp_orchestrator.model.event import EventKind

if TYPE_CHECKING:
    from mcp_orchestrator.storage.reading import JournalReader, StoredEvent

LOOK_EVERY: Final = 0.3
"""Seconds between two looks at the journal, which other processes write."""

_CALL_IS_OVER: Final = frozenset({EventKind.RUN_ENDED, EventKind.CALL_REFUSED})
_HIDDEN: Final = frozenset({"seq", "type", "raw", "raw_cut", "reasons", "parent"})
_WIDTH: Final = 160


def follow(
    journal: JournalReader, run: str, tell: Callable[[StoredEvent], None], pause: Callable[[float], None] = time.sleep
) -> None:
    """Tell every event of a run, those that are there and those that come, until nothing more will come."""
    seen, called, delegated = 0, False, False
    while True:
        events = journal.run(run, after=seen)
        for event in events:
            seen = event.seq
            called = called or event.kind in _CALL_IS_OVER
            delegated = delegated or event.kind == EventKind.DELEGATION_ACCEPTED
            tell(event)
        kept = journal.delegation(run) if delegated else None
        if not events and called and (kept is None or kept.ended is not None):
            return
        if not events:
            pause(LOOK_EVERY)


def line(event: StoredEvent, at: str, out: Printer) -> str:
    """One event as one line."""
    kind = event.data.get("type") if event.kind == EventKind.AGENT_EVENT else event.kind
    return f"{at}  {out.paint(safe_line(f'{kind:<18}'), Style.STRONG)} {safe_line(shorten(_said(event.data), _WIDTH))}"


def _said(data: Mapping[str, Any]) -> str:
    text = data.get("text") or data.get("message")
    if isinstance(text, str) and text:
        return " ".join(text.split())
    rest = {name: value for name, value in data.items() if name not in _HIDDEN and value not in (None, "", [], {})}
    return " ".join(f"{name}={value if isinstance(value, str) else safe_json(value)}" for name, value in rest.items())
