"""The HTTP+SSE transport of 2024-11-05: one event stream for all answers, and an address to POST messages to.

MCP 2024-11-05 basic/transports (HTTP with SSE). Deprecated since 2025-03-26, but still spoken by many servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urljoin

from mcp_orchestrator.backends.http_answers import EVENT_STREAM, OK, content_type, refusal, rpc_error_in
from mcp_orchestrator.backends.http_connection import Response
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.backends.mcp_http_modern import JSON_OR_EVENTS, checked
from mcp_orchestrator.backends.mcp_http_reading import bad
from mcp_orchestrator.backends.mcp_http_session import PostingSession
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.core.wire.headers import PROTOCOL_VERSION_HEADER
from mcp_orchestrator.core.wire.sse import EventTooLargeError, Parser
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.errors import UNSUPPORTED_VERSION, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import Opening

_SUCCESS: Final = range(200, 300)


class SseSession(PostingSession):
    """A session: lives as long as its event stream."""

    def __init__(self, spec: BackendSpec, endpoint: Endpoint, pool: HttpPool, opening: Opening) -> None:
        super().__init__(spec, endpoint, pool, opening)
        self._parser = Parser(spec.max_result_bytes)
        self._post_head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._version: tuple[tuple[str, str], ...] = ()
        self._target = endpoint

    @classmethod
    async def open(cls, spec: BackendSpec, endpoint: Endpoint, pool: HttpPool, opening: Opening) -> SseSession:
        """Open the stream, wait for the address, shake hands. Raises BackendError."""
        session = cls(spec, endpoint, pool, opening)
        session._spawn(session._read())
        try:
            await asyncio.shield(session._post_head)
            await session._shake_hands(session._ask)
        except BaseException:
            await session.close()
            raise
        return session

    async def close(self) -> None:
        """Drop the event stream, which ends the session."""
        self._end("was closed by this program")
        await self._drop()

    def _end(self, reason: str, error: BackendError | None = None) -> None:
        self.duplex.end(reason)
        self._over.set()
        if not self._post_head.done():
            text = f"backend {self._spec.name} {reason}"
            self._post_head.set_exception(error or BackendError(FailureKind.UNAVAILABLE, text))
            self._post_head.exception()  # whoever opens the session hears of it; nobody else needs to

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        result = await super()._ask(method, params)
        if method == "initialize" and isinstance(result, dict) and isinstance(result.get("protocolVersion"), str):
            self._version = ((PROTOCOL_VERSION_HEADER, result["protocolVersion"]),)
            self._post_head = asyncio.get_running_loop().create_future()
            self._post_head.set_result(self._head_for(self._target))
        return result

    async def _say(self, method: str, params: dict[str, Any]) -> None:
        """A notification that must have arrived before anything else is sent (`notifications/initialized`)."""
        response = await self._pool.request(await self._post_head, jsonrpc.notification_bytes(method, params or None))
        if response.status not in _SUCCESS:
            raise refusal(self._spec, self._endpoint.shown, response)

    def _send(self, message: bytes, ident: int | None) -> None:
        post = self._spawn(self._post(message, ident, replayable=ident is not None and self.duplex.harmless))
        if ident is not None:
            self.duplex.posts[ident] = post

    async def _post(self, message: bytes, ident: int | None, *, replayable: bool) -> None:
        """Deliver one message; what fails here fails only the request it carries."""
        try:
            response = await self._pool.request(await self._post_head, message, replayable=replayable, urgent=True)
        except BackendError as error:
            # A lost connection says nothing about the call: its answer comes by the stream. Never sent does.
            if ident is None:
                self._opening.on_stderr(f"a message could not be delivered: {error.message}")
            elif not error.sent:
                self.duplex.fail(ident, error)
            return
        if response.status in _SUCCESS:
            return
        refused = rpc_error_in(response) or refusal(self._spec, self._endpoint.shown, response)
        if ident is None:
            self._opening.on_stderr(f"a message was not accepted: {refused}")
        else:
            self.duplex.fail(ident, refused)

    async def _read(self) -> None:
        """The event stream, from its first byte to its last."""
        headers = (("accept", EVENT_STREAM), ("cache-control", "no-store"), *self._headers)
        try:
            head = self._endpoint.head("GET", checked(self._spec, headers))
            response = await self._pool.stream(head, None, self._feed)
        except BackendError as error:
            opened = self._agreement is not None
            self._end(f"closed its event stream ({error.message})" if opened else "did not open", error)
            return
        self._end("offers no event stream", self._no_stream(response))

    def _no_stream(self, response: Response) -> BackendError:
        if response.status != OK:
            return refusal(self._spec, self._endpoint.shown, response)
        kind = content_type(response)[:80] or "no content type"
        text = f"backend {self._spec.name} answered with {kind} instead of an event stream: is its `type` http?"
        return BackendError(FailureKind.UNAVAILABLE, text)

    def _feed(self, chunk: bytes) -> bool:
        try:
            events = self._parser.feed(chunk)
        except EventTooLargeError as error:
            raise bad(self._spec, f"sent too much: {error} (`maxResultBytes` raises the limit)") from error
        for event in events:
            if event.event == "endpoint":
                self._take_address(event.data)
            elif event.event == "message" and event.data:
                self.duplex.feed(event.data)
        return False

    def _take_address(self, data: bytes) -> None:
        """The address for our messages; it must be of the same origin, or our headers would go elsewhere.

        Raises:
            BackendError: BAD_ANSWER; another origin, or no address.
        """
        if self._post_head.done():
            return
        base = self._spec.url.reveal() if self._spec.url is not None else ""
        try:
            target = Endpoint.parse(urljoin(base, data.decode().strip()))
        except (ValueError, BackendError) as error:
            raise bad(self._spec, "named an endpoint that is no address") from error
        if target.origin != self._endpoint.origin:
            raise bad(self._spec, f"named an endpoint of another origin ({target.shown}): refused")
        self._target = target
        self._post_head.set_result(self._head_for(target))

    def _head_for(self, target: Endpoint) -> bytes:
        return target.head("POST", checked(self._spec, (*JSON_OR_EVENTS, *self._version, *self._headers)))


class SseBackend:
    """One configured server that speaks only HTTP+SSE."""

    def __init__(self, spec: BackendSpec) -> None:
        self._spec = spec
        self._pool: HttpPool | None = None

    @property
    def name(self) -> str:
        """The name of the configuration."""
        return self._spec.name

    @property
    def eras(self) -> Sequence[Era]:
        """Only legacy: the transport is older than the modern era."""
        return (Era.LEGACY,)

    async def open(self, opening: Opening) -> SseSession:
        """Open a session within the start timeout. Raises BackendError."""
        if opening.era is Era.MODERN:
            text = f"backend {self.name} is reached by HTTP+SSE, which knows only the legacy era"
            raise BackendError(FailureKind.BACKEND_ERROR, text, code=UNSUPPORTED_VERSION)
        endpoint = Endpoint.of(self._spec)
        if self._pool is None:
            self._pool = HttpPool.of(self._spec, endpoint)
        try:
            async with asyncio.timeout(self._spec.start_timeout):
                return await SseSession.open(self._spec, endpoint, self._pool, opening)
        except TimeoutError as error:
            text = f"backend {self.name} ({endpoint.shown}) did not answer within {self._spec.start_timeout:g} s"
            raise BackendError(FailureKind.UNAVAILABLE, text) from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()
