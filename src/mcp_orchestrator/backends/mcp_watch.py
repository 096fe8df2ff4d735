"""Keeps one `subscriptions/listen` request open towards a modern server, and widens it for resource subscriptions.

MCP 2026-07-28 basic/utilities/subscriptions. Modern servers tell of changes only inside such a request; legacy
servers do so unasked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import Completed
from mcp_orchestrator.plugin_api import ListChanged, SessionEvent

_FLAGS: Final = {
    OfferKind.TOOL: "toolsListChanged",
    OfferKind.RESOURCE: "resourcesListChanged",
    OfferKind.PROMPT: "promptsListChanged",
}
_SUBSCRIPTIONS: Final = frozenset({"resources/subscribe", "resources/unsubscribe"})
_DONE: Final = b'{"resultType":"complete"}'
_MAX_ENDS: Final = 6
_STABLE_SECONDS: Final = 60.0
_PAUSE_AT_MOST: Final = 30.0


class Watch:
    """`listen` sends `subscriptions/listen` with the given params and returns only when the server ends it."""

    def __init__(
        self,
        listen: Callable[[dict[str, Any]], Awaitable[object]],
        capabilities: Mapping[str, Any],
        hear: Callable[[SessionEvent], None],
    ) -> None:
        self._listen = listen
        self._hear = hear
        self._kinds = tuple(kind for kind in _FLAGS if _advertises(capabilities, kind))
        self._uris: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen (or begin anew with what is wanted now), without waiting for anything."""
        before = self._task
        wanted: dict[str, Any] = {_FLAGS[kind]: True for kind in self._kinds}
        if self._uris:
            wanted["resourceSubscriptions"] = list(self._uris)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._keep({"notifications": wanted})) if wanted else None
        if before is not None:
            # A turn later: the new request is then on its way before the old one is withdrawn, and nothing is missed.
            loop.call_soon(lambda: loop.call_soon(before.cancel))

    def subscription(self, invocation: Invocation) -> Completed | None:
        """Carry out `resources/subscribe` and its contrary, which modern servers do not have; None for other methods.

        The open request is widened or narrowed instead.
        """
        if invocation.method not in _SUBSCRIPTIONS:
            return None
        uri = invocation.params.get("uri")
        if isinstance(uri, str):
            if invocation.method == "resources/subscribe":
                self.subscribe(uri)
            else:
                self.unsubscribe(uri)
        return Completed(_DONE, Era.MODERN)

    def subscribe(self, uri: str) -> None:
        """Hear of changes of one resource too."""
        if uri not in self._uris:
            self._uris[uri] = None
            self.start()

    def unsubscribe(self, uri: str) -> None:
        """Hear no more of it."""
        if uri in self._uris:
            del self._uris[uri]
            self.start()

    def stop(self) -> None:
        """Withdraw the request."""
        if self._task is not None:
            self._task.cancel()

    async def _keep(self, params: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        ends = 0
        while ends < _MAX_ENDS:
            began = loop.time()
            try:
                await self._listen(params)
            except (RpcError, BackendError):
                return  # it does not offer this after all, or it is gone
            ends = 1 if loop.time() - began > _STABLE_SECONDS else ends + 1
            await asyncio.sleep(min(2.0**ends / 2, _PAUSE_AT_MOST))
            # Nothing is replayed: what changed in between would be missed.
            for kind in self._kinds:
                self._hear(ListChanged(kind))


def _advertises(capabilities: Mapping[str, Any], kind: OfferKind) -> bool:
    ability = capabilities.get(kind.value)
    return isinstance(ability, dict) and ability.get("listChanged") is True
