"""MCP servers reached by streamable HTTP: finds out which era a server speaks, then hands over to its session.

The order is that of MCP 2026-07-28 and 2025-11-25 basic/transports (backwards compatibility): `server/discover`, then
`initialize`, then the HTTP+SSE stream of 2024-11-05. A server that cannot be reached gives no verdict about its era.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from mcp_orchestrator.backends.http_answers import METHOD_NOT_ALLOWED, NOT_FOUND
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.backends.mcp_handshake import possible_eras, wanted_era
from mcp_orchestrator.backends.mcp_http_legacy import LegacyHttpSession
from mcp_orchestrator.backends.mcp_http_modern import ModernHttpSession, ModernWire
from mcp_orchestrator.backends.mcp_sse import SseSession
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.errors import UNSUPPORTED_VERSION, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import Opening

HttpSession = ModernHttpSession | LegacyHttpSession | SseSession

_PATIENCE: Final = 10.0
"""Seconds without an answer to `server/discover` after which `initialize` is tried."""

_MAY_BE_SSE: Final = frozenset({400, NOT_FOUND, METHOD_NOT_ALLOWED, 406, 415})


class HttpBackend:
    """One configured HTTP server. Its sessions share a pool of connections."""

    def __init__(self, spec: BackendSpec) -> None:
        self._spec = spec
        self._pool: HttpPool | None = None

    @property
    def name(self) -> str:
        """The name of the configuration."""
        return self._spec.name

    @property
    def eras(self) -> Sequence[Era]:
        """Both, unless the configuration says which."""
        return possible_eras(self._spec)

    async def open(self, opening: Opening) -> HttpSession:
        """Open a session within the start timeout.

        Raises:
            BackendError: `unavailable` when the server cannot be reached or used; `backend_error` with code -32022
                when it does not speak the wanted era.
        """
        endpoint = Endpoint.of(self._spec)
        if self._pool is None:
            self._pool = HttpPool.of(self._spec, endpoint)
        wanted = wanted_era(self._spec, opening)
        try:
            async with asyncio.timeout(self._spec.start_timeout):
                if wanted is not Era.LEGACY:
                    session = await self._modern(endpoint, self._pool, opening, only=wanted is Era.MODERN)
                    if session is not None:
                        return session
                return await self._legacy(endpoint, self._pool, opening)
        except TimeoutError as error:
            text = f"backend {self.name} ({endpoint.shown}) did not answer within {self._spec.start_timeout:g} s"
            raise BackendError(FailureKind.UNAVAILABLE, text) from error
        except BackendError as error:
            raise _at_opening(error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _modern(
        self, endpoint: Endpoint, pool: HttpPool, opening: Opening, *, only: bool
    ) -> ModernHttpSession | None:
        """A modern session, or None when the server gives no sign of the modern era (silence is none).

        Raises:
            BackendError: it cannot be reached; or it gives no such sign, and `only` this era was wanted.
        """
        wire = ModernWire(self._spec, endpoint, pool, opening)
        patience = None if only else min(_PATIENCE, self._spec.start_timeout / 2)
        try:
            async with asyncio.timeout(patience):
                agreement = await wire.discover()
        except TimeoutError:
            return None
        if agreement is not None:
            return ModernHttpSession(wire, agreement)
        if only:
            text = f"backend {self.name} ({endpoint.shown}) does not speak the modern era"
            raise BackendError(FailureKind.BACKEND_ERROR, text, code=UNSUPPORTED_VERSION)
        return None

    async def _legacy(self, endpoint: Endpoint, pool: HttpPool, opening: Opening) -> LegacyHttpSession | SseSession:
        """A legacy session; by the older transport where the newer one is refused by status."""
        try:
            return await LegacyHttpSession.open(self._spec, endpoint, pool, opening)
        except BackendError as error:
            status = error.data.get("httpStatus") if isinstance(error.data, dict) else None
            if status not in _MAY_BE_SSE:
                raise
            try:
                session = await SseSession.open(self._spec, endpoint, pool, opening)
            except BackendError:
                raise error from None
        opening.on_stderr("speaks HTTP+SSE of 2024-11-05: `type: sse` in the configuration saves the other attempts")
        return session


def _at_opening(error: BackendError) -> BackendError:
    """A connection lost while shaking hands is no call that died: nothing has been done yet."""
    if error.kind is not FailureKind.DIED:
        return error
    return BackendError(FailureKind.UNAVAILABLE, error.message, code=error.code, data=error.data)
