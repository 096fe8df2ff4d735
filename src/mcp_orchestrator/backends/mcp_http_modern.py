"""Modern streamable HTTP: every request is one POST on a pooled connection, its result relayed as the bytes that came.

MCP 2026-07-28 basic/transports (streamable HTTP), basic/utilities (progress, cancellation, subscriptions). Closing the
connection is how a request is cancelled.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_orchestrator.backends.http_answers import (
    ACCEPTED,
    NOT_THIS_PROTOCOL,
    OK,
    content_type,
    refusal,
    rpc_error_in,
    wrong_content,
)
from mcp_orchestrator.backends.http_connection import Response
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool, header_lines
from mcp_orchestrator.backends.mcp_handshake import Agreement, RpcError, discover, invocation_meta, modern_meta
from mcp_orchestrator.backends.mcp_http_reading import Reading, read_result
from mcp_orchestrator.backends.mcp_offers import walk_in_time
from mcp_orchestrator.backends.mcp_watch import Watch, declared_for
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.core.wire.headers import METHOD_HEADER, NAME_BEARING, PROTOCOL_VERSION_HEADER, encode_header_value
from mcp_orchestrator.core.wire.meta import PROGRESS_TOKEN
from mcp_orchestrator.core.wire.versions import LATEST_MODERN
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.errors import UNSUPPORTED_VERSION, BackendError
from mcp_orchestrator.model.outcome import Completed, FailureKind, Outcome
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import Opening, Talk

HARMLESS: Final = frozenset(
    {
        "server/discover",
        "initialize",
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "resources/read",
        "prompts/get",
        "completion/complete",
    }
)
"""Methods that read only, so that a request lost on a kept connection may be sent again."""

JSON_OR_EVENTS: Final = (
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
)
_METHOD: Final = re.compile(r"[\x21-\x7e]{1,200}")
_MAX_HEADS: Final = 64
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0


class ModernWire:
    """Sends single modern requests; knows nothing of sessions."""

    def __init__(self, spec: BackendSpec, endpoint: Endpoint, pool: HttpPool, opening: Opening) -> None:
        """`endpoint.head` is computed once per method; configured headers are revealed only there."""
        self.spec = spec
        self.pool = pool
        self.opening = opening
        self.version = LATEST_MODERN
        self._endpoint = endpoint
        self._heads: dict[tuple[str, str], bytes] = {}
        self._last_id = 0

    def head(self, method: str, version: str) -> bytes:
        """Request line and headers of a method.

        Raises:
            BackendError: INVALID; the method or a configured header cannot stand in a header.
        """
        head = self._heads.get((method, version))
        if head is None:
            if not _METHOD.fullmatch(method):
                raise BackendError(FailureKind.INVALID, "the method cannot stand in a header")
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            protocol = ((PROTOCOL_VERSION_HEADER, version), (METHOD_HEADER, method))
            headers = (*JSON_OR_EVENTS, *protocol, *configured(self.spec, self._endpoint))
            head = self._heads[(method, version)] = self._endpoint.head("POST", checked(self.spec, headers))
        return head

    async def send(
        self,
        method: str,
        params: Mapping[str, Any],
        meta: dict[str, Any],
        *,
        talk: Talk | None = None,
        extra: bytes = b"",
        wants_progress: bool = False,
    ) -> tuple[Response, Reading]:
        """One request and its whole answer; `extra` are further header lines.

        Raises:
            RpcError: the server answered with an error.
            BackendError: no connection, lost, or an answer that is none.
        """
        self._last_id = ident = self._last_id + 1
        if wants_progress:
            meta[PROGRESS_TOKEN] = ident
        head = self.head(method, self.version)
        try:
            body = jsonrpc.request_bytes(ident, method, {**params, "_meta": meta})
        except ValueError as error:
            raise BackendError(FailureKind.INVALID, f"the request cannot be written as JSON: {error}") from error
        reading = Reading(self.spec, ident, talk, self.opening)
        response = await self.pool.request(
            head + extra if extra else head, body, on_chunk=reading.feed, replayable=method in HARMLESS
        )
        return response, reading

    def result(self, response: Response, reading: Reading) -> tuple[bytes, bool]:
        """The result object in an answer, and whether it was checked to be JSON.

        Raises:
            RpcError: the server answered with an error.
            BackendError: the answer is none.
        """
        if reading.found:
            return reading.result(), True
        shown = self._endpoint.shown
        if response.status != OK:
            error = rpc_error_in(response)
            if error is not None:
                raise error
            if response.status == ACCEPTED:
                text = f"backend {self.spec.name} ({shown}) accepted a request without answering it (HTTP 202)"
                raise BackendError(FailureKind.BAD_ANSWER, text, sent=True)
            raise refusal(self.spec, shown, response)
        kind = content_type(response)
        if kind != "application/json" and not kind.endswith("+json"):
            raise wrong_content(self.spec, shown, response)
        return read_result(self.spec, reading.ident, response)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """One request of our own, decoded; `params` may bring `_meta`. Raises RpcError or BackendError."""
        opening = self.opening
        meta = params.get("_meta") or modern_meta({}, self.version, opening.client_info or None, opening.capabilities)
        response, reading = await self.send(method, params, dict(meta))
        return jsonrpc.decode(self.result(response, reading)[0])

    async def probe(self, method: str, params: dict[str, Any]) -> Any:
        """Like `ask`, with HTTP statuses by which a legacy server refuses what it does not know made an RpcError."""
        response, reading = await self.send(method, params, dict(params["_meta"]))
        if not reading.found and response.status in NOT_THIS_PROTOCOL and rpc_error_in(response) is None:
            raise RpcError(0, f"HTTP {response.status}")
        try:
            return jsonrpc.decode(self.result(response, reading)[0])
        except BackendError as error:
            if error.kind is FailureKind.BAD_ANSWER:
                raise RpcError(0, error.message) from error
            raise

    async def listen(self, params: dict[str, Any]) -> None:
        """`subscriptions/listen`; returns when an open stream ended, waits while the server cannot be reached.

        Raises:
            RpcError: the server does not offer this.
            BackendError: likewise, said by an HTTP status.
        """
        pause = _FIRST_PAUSE
        while True:
            self._last_id = ident = self._last_id + 1
            opening = self.opening
            abilities = declared_for(params, opening.capabilities)
            meta = modern_meta({}, self.version, opening.client_info or None, abilities)
            body = jsonrpc.request_bytes(ident, "subscriptions/listen", {**params, "_meta": meta})
            reading = Reading(self.spec, ident, None, opening)
            try:
                response = await self.pool.stream(self.head("subscriptions/listen", self.version), body, reading.feed)
            except BackendError as error:
                if reading.begun:
                    return
                if error.kind not in {FailureKind.UNAVAILABLE, FailureKind.DIED}:
                    raise
                await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            self.result(response, reading)
            return

    async def discover(self) -> Agreement | None:
        """The modern handshake; None when this is no modern server."""
        opening = self.opening
        found = await discover(
            self.probe, self.spec.name, client_info=opening.client_info or None, capabilities=opening.capabilities
        )
        if found is not None:
            self.version = found.version
        return found


class ModernHttpSession:
    """A conversation without state: nothing is open between calls but pooled connections and one listening request."""

    def __init__(self, wire: ModernWire, agreement: Agreement) -> None:
        self._wire = wire
        self._agreement = agreement
        self._closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._doubt: asyncio.Task[None] | None = None
        self._watch = Watch(wire.listen, agreement.capabilities, wire.opening.on_event)
        self._watch.start()

    @property
    def era(self) -> Era:
        """Always modern."""
        return Era.MODERN

    @property
    def agreement(self) -> Agreement:
        """What the handshake settled."""
        return self._agreement

    @property
    def pid(self) -> int | None:
        """No process of ours."""
        return None

    async def offers(self) -> Offers:
        """Everything the server offers now, within its start timeout. Raises BackendError."""
        wire = self._wire
        return await walk_in_time(wire.spec, self._agreement, wire.ask, wire.opening.on_stderr)

    async def invoke(self, invocation: Invocation, talk: Talk) -> Outcome:
        """Carry out one request; cancelling closes its connection."""
        done = self._watch.subscription(invocation)
        if done is not None:
            return done
        wire = self._wire
        try:
            response, reading = await wire.send(
                invocation.method,
                invocation.params,
                invocation_meta(invocation, Era.MODERN, wire.version),
                talk=talk,
                extra=_extra(invocation),
                wants_progress=invocation.wants_progress,
            )
            if response.status != OK:
                self._judge(response)
            result, checked_json = wire.result(response, reading)
        except (RpcError, BackendError) as error:
            return error.as_failed()
        return Completed(result, Era.MODERN, checked_json)

    def listen_for_task(self, task: str) -> Callable[[], None]:
        """Have the server tell how a task goes on, if it does that."""
        return self._watch.listen_for_task(task)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Modern servers take no notifications over HTTP (2026-07-28 basic/transports): nothing is sent."""

    async def wait_closed(self) -> str:
        """Ends only when the server turns out to have stopped speaking the modern era."""
        return await asyncio.shield(self._closed)

    async def close(self) -> None:
        """Withdraw the listening request. Connections belong to the backend."""
        self._watch.stop()
        if self._doubt is not None:
            self._doubt.cancel()

    def _judge(self, response: Response) -> None:
        """An answer as a legacy server would give it casts doubt on the era: ask again, aside from the call."""
        if response.status not in NOT_THIS_PROTOCOL or (self._doubt is not None and not self._doubt.done()):
            return
        error = rpc_error_in(response)
        if error is None or error.code in {UNSUPPORTED_VERSION, -32000, -32600}:
            self._doubt = asyncio.get_running_loop().create_task(self._ask_again())

    async def _ask_again(self) -> None:
        try:
            found = await self._wire.discover()
        except BackendError as error:
            if error.code != UNSUPPORTED_VERSION:
                return  # an outage is no verdict
            found = None
        if found is None and not self._closed.done():
            self._closed.set_result(f"backend {self._wire.spec.name} no longer speaks MCP {self._wire.version}")


def configured(spec: BackendSpec, endpoint: Endpoint) -> list[tuple[str, str]]:
    """The headers of the configuration, in clear text, for the wire only."""
    headers = [(name, secret.reveal()) for name, secret in spec.headers]
    if endpoint.authorization and not any(name.lower() == "authorization" for name, _ in headers):
        headers.append(("authorization", endpoint.authorization))
    return headers


def checked(spec: BackendSpec, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The same headers; the first of a name wins, so that configuration cannot contradict the protocol.

    Raises:
        BackendError: INVALID, naming the header that cannot be sent.
    """
    unique: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        unique.setdefault(name.lower(), (name, value))
    try:
        header_lines(unique.values())
    except ValueError as error:
        raise BackendError(FailureKind.INVALID, f"backend {spec.name}: {error}") from None
    return tuple(unique.values())


def _extra(invocation: Invocation) -> bytes:
    """`Mcp-Name` and `Mcp-Param-*` lines of one call. Raises BackendError for a header that cannot be sent."""
    name = invocation.name_header
    if name is None and invocation.method in NAME_BEARING:
        value = invocation.params.get(NAME_BEARING[invocation.method])
        name = value if isinstance(value, str) else None
    line = b"" if name is None else b"mcp-name: %b\r\n" % encode_header_value(name).encode("ascii")
    if not invocation.headers:
        return line
    try:
        return line + header_lines(invocation.headers.items())
    except ValueError as error:
        raise BackendError(FailureKind.INVALID, str(error)) from error
