"""Who hears what changes: watchers of views, and resource subscriptions of client sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.plugin_api import ClientEvent, ListChanged, ResourceUpdated, View


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
        self._subscribed: dict[str, set[str]] = {}

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

    def subscribe(self, session: str, uri: str) -> None:
        """A client session wants to hear of a resource (public URI)."""
        self._subscribed.setdefault(session, set()).add(uri)

    def unsubscribe(self, session: str, uri: str) -> None:
        """It no longer does."""
        self._subscribed.get(session, set()).discard(uri)

    def others_want(self, session: str, uri: str) -> bool:
        """Whether any other client session wants to hear of a resource."""
        return any(uri in uris for other, uris in self._subscribed.items() if other != session)

    def session_gone(self, session: str) -> list[str]:
        """A client session ended; returns the resources that nobody wants to hear of any more."""
        uris = self._subscribed.pop(session, set())
        return sorted(uri for uri in uris if not self.others_want(session, uri))

    def resource_updated(self, event: ResourceUpdated, only: str | None) -> None:
        """Tell the sessions that subscribed, or the one session whose own backend session said it.

        Watchers without a session (modern listen streams) filter by what they asked for themselves.
        """
        uri = event.params.get("uri")
        for watcher in list(self._watchers):
            if watcher.session is None:
                if only is None:
                    watcher.hear(event)
            elif only in (None, watcher.session) and uri in self._subscribed.get(watcher.session, ()):
                watcher.hear(event)

    def to_session(self, session: str, event: ClientEvent) -> None:
        """Tell one client session."""
        for watcher in list(self._watchers):
            if watcher.session == session:
                watcher.hear(event)
