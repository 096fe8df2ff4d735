"""Who hears what changes: watchers of views, among them those of client sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.plugin_api import ClientEvent, ListChanged, View


@dataclass(slots=True, eq=False)
class Watcher:
    """One open ear: a view, optionally a legacy client session, and where to call."""

    view: View
    session: str | None
    hear: Callable[[ClientEvent], None]


class Announcements:
    """Fans events out to watchers; a listener bounds its own backlog."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def watch(self, view: View, session: str | None, hear: Callable[[ClientEvent], None]) -> Callable[[], None]:
        """Begin to hear; returns the idempotent way to stop."""
        watcher = Watcher(view, session, hear)
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def lists_changed(self, kinds: frozenset[OfferKind]) -> None:
        """Tell every watcher once per kind."""
        # Resources and templates share one notification.
        told = kinds - {OfferKind.TEMPLATE} if OfferKind.RESOURCE in kinds else kinds
        ordered = [kind for kind in OfferKind if kind in told]
        for watcher in list(self._watchers):
            for kind in ordered:
                watcher.hear(ListChanged(kind))

    def to_session(self, session: str, event: ClientEvent) -> None:
        """Tell one client session."""
        for watcher in list(self._watchers):
            if watcher.session == session:
                watcher.hear(event)

    def to_sessions(self, concerned: Callable[[View, str], bool], event: ClientEvent) -> None:
        """Tell every client session that it concerns."""
        for watcher in list(self._watchers):
            if watcher.session is not None and concerned(watcher.view, watcher.session):
                watcher.hear(event)
