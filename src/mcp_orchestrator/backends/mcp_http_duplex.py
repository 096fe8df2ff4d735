"""The duplex of HTTP transports that carry each message by its own POST: knows what still waits, and drops its POST."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from mcp_orchestrator.backends.mcp_http_modern import HARMLESS
from mcp_orchestrator.backends.mcp_link import Duplex, Send
from mcp_orchestrator.plugin_api import SessionEvent, Talk


class HttpDuplex(Duplex):
    """A `Duplex` whose requests are POSTs. Whoever sends one puts its task into `posts` under the request's id.

    `harmless` says, while a request is being handed to `send`, whether it may be sent twice.
    """

    def __init__(
        self,
        backend: str,
        send: Send,
        *,
        hear: Callable[[SessionEvent], None],
        stray: Callable[[str], None],
    ) -> None:
        super().__init__(backend, send, hear=hear, stray=stray)
        self.posts: dict[int, asyncio.Task[None]] = {}
        self.harmless = False

    def waits(self, ident: int) -> bool:
        """Whether a request of ours still waits for its answer."""
        pending = self._pending.get(ident)
        return pending is not None and not pending.future.done()

    def let_go(self, ident: int, after: float) -> None:
        """The server closed the connection of a request, to be asked again in `after` seconds."""
        pending = self._pending.get(ident)
        if pending is not None and pending.talk is not None:
            pending.talk.let_go(after)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        meta: Mapping[str, Any] | None = None,
        talk: Talk | None = None,
        wants_progress: bool = False,
        logs: bool = True,
    ) -> bytes:
        """Like `Duplex.request`; a caller that leaves takes its POST along."""
        ident = self._next
        self.harmless = method in HARMLESS
        try:
            return await super().request(method, params, meta=meta, talk=talk, wants_progress=wants_progress, logs=logs)
        except asyncio.CancelledError:
            post = self.posts.get(ident)
            if post is not None:
                post.cancel()
            raise
        finally:
            self.posts.pop(ident, None)
