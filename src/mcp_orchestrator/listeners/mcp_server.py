"""The server side of MCP that both transports share: local answers as bytes, the port of a run, runs by request id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol, assert_never

from mcp_orchestrator.core.apps import shows_apps
from mcp_orchestrator.core.translate.outcomes import to_client
from mcp_orchestrator.core.wire import meta as keys
from mcp_orchestrator.core.wire.jsonrpc import RequestId, decode, encode, error_bytes, notification_bytes
from mcp_orchestrator.core.wire.versions import MODERN_VERSIONS
from mcp_orchestrator.listeners.envelopes import Malformed
from mcp_orchestrator.listeners.mcp_eras import invalid, passes_level
from mcp_orchestrator.model.call import Call, ClientFace
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import INTERNAL_ERROR
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.plugin_api import (
    ClientEvent,
    GatewayDoor,
    ListChanged,
    LogLine,
    Notice,
    Port,
    ResourceUpdated,
    RunHandle,
    TaskChanged,
    View,
)

LISTS: Final[Mapping[str, OfferKind]] = {kind.list_method: kind for kind in OfferKind}
"""The four list methods, which the gateway answers from its catalog."""

_CHANGED: Final[Mapping[OfferKind, str]] = {
    OfferKind.TOOL: "notifications/tools/list_changed",
    OfferKind.PROMPT: "notifications/prompts/list_changed",
    OfferKind.RESOURCE: "notifications/resources/list_changed",
    OfferKind.TEMPLATE: "notifications/resources/list_changed",
}


class Channel(Protocol):
    """Where whole JSON-RPC messages to one client go."""

    def send(self, message: bytes) -> bool:
        """Queue a message; never blocks, never raises. False when it is lost because nobody reads any more."""
        ...


class Asker(Protocol):
    """A session whose client can be asked in place."""

    async def ask_on(self, channel: Channel | None, question: Question) -> Answer | None:
        """Ask on `channel`, or on the session's own when that one is gone; None when nobody can be asked."""
        ...


class RunPort(Port):
    """The client's side of one run: notifications with the client's own token, gated by the log level it wants.

    `level` is the least severe log level to pass; None passes nothing in the modern era (MCP 2026-07-28
    server/utilities/logging) and everything in the legacy one, where a server chooses until told. `let_go` closes
    the client's connection for so many seconds; None where the client could not come back.
    """

    __slots__ = ("_asker", "_channel", "_let_go", "_level", "_token")

    def __init__(
        self,
        channel: Channel,
        token: RequestId | None,
        level: str | None,
        asker: Asker | None,
        let_go: Callable[[float], None] | None = None,
    ) -> None:
        self._channel = channel
        self._token = token
        self._level = level
        self._asker = asker
        self._let_go = let_go

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification of the run; progress without a token of the client and unwanted log lines are dropped."""
        if method == "notifications/progress":
            if self._token is None:
                return
            params = {**params, "progressToken": self._token}
        elif method == "notifications/message":
            if self._level is None:
                if self._asker is None:
                    return
            elif not passes_level(params, self._level):
                return
        self._channel.send(notification_bytes(method, params))

    def let_go(self, after: float) -> None:
        """Let go of the client's connection, as the backend did with ours; it comes back in `after` seconds."""
        if self._let_go is not None:
            self._let_go(after)

    async def ask(self, question: Question) -> Answer | None:
        """Ask the client in place; None in the modern era, where servers send no requests."""
        return None if self._asker is None else await self._asker.ask_on(self._channel, question)


class Runs:
    """The runs of one connection or session by the request id that started them, so that a cancel finds them."""

    __slots__ = ("_handles",)

    def __init__(self) -> None:
        self._handles: dict[RequestId, RunHandle] | None = None  # most idle sessions never need the dictionary

    def __len__(self) -> int:
        return len(self._handles) if self._handles else 0

    async def carry_out(self, gateway: GatewayDoor, request_id: RequestId, call: Call, port: Port) -> Outcome | None:
        """Start a run and wait for its end; None when the client cancelled it and is owed no answer."""
        handles = self._handles
        if handles is None:
            handles = self._handles = {}
        if request_id in handles:
            return invalid(f"the request id {request_id!r} is in use by a request that still runs")
        handle = handles[request_id] = gateway.start(call, port)
        try:
            outcome = await handle.outcome()
        except asyncio.CancelledError:
            handle.cancel("the listener closes")
            raise
        finally:
            cancelled = handles.get(request_id) is not handle
            if not cancelled:
                del handles[request_id]
        return None if cancelled else outcome

    def cancel(self, request_id: Any, reason: str) -> None:
        """Cancel one run, if it still runs (a cancel may always come too late)."""
        handles = self._handles
        if not handles or type(request_id) not in (int, str):
            return
        handle = handles.pop(request_id, None)
        if handle is not None:
            handle.cancel(reason)

    def cancel_all(self, reason: str) -> None:
        """Cancel every run."""
        for request_id in list(self._handles or ()):
            self.cancel(request_id, reason)


async def list_answer(
    gateway: GatewayDoor, view: View, kind: OfferKind, params: Mapping[str, Any], face: ClientFace
) -> bytes | Failed:
    """One page of a list as the encoded result object, as this client may see it."""
    cursor = params.get("cursor")
    if cursor is not None and type(cursor) is not str:
        return invalid(f"{kind.list_method}: cursor must be a string")
    return await gateway.listing(replace(view, apps=shows_apps(face.capabilities), client=face), kind, cursor)


async def discover_answer(gateway: GatewayDoor, view: View) -> bytes:
    """The result of `server/discover` (MCP 2026-07-28 server/discover). Never cached: a reload may change it."""
    capabilities, instructions = await gateway.face(view)
    result: dict[str, Any] = {
        "resultType": "complete",
        "supportedVersions": list(MODERN_VERSIONS),
        "capabilities": capabilities,
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {keys.SERVER_INFO: gateway.server_info},
    }
    if instructions:
        result["instructions"] = instructions
    return encode(result)


async def initialize_answer(gateway: GatewayDoor, view: View, version: str) -> bytes:
    """The result of `initialize` (MCP 2025-11-25 basic/lifecycle)."""
    capabilities, instructions = await gateway.face(view)
    result: dict[str, Any] = {
        "protocolVersion": version,
        "capabilities": capabilities,
        "serverInfo": gateway.server_info,
    }
    if instructions:
        result["instructions"] = instructions
    return encode(result)


def response(request_id: RequestId, member: bytes) -> bytes:
    """A whole response around `"result":...` or `"error":...`."""
    return b'{"jsonrpc":"2.0","id":%b,%b}' % (encode(request_id), member)


def local_response(request_id: RequestId, answer: bytes | Failed, method: str, face: ClientFace) -> bytes:
    """A whole response around an answer of our own."""
    member = to_client(answer, method, face) if isinstance(answer, Failed) else b'"result":' + answer
    return response(request_id, member)


def refusal_response(malformed: Malformed) -> bytes:
    """The error response to something that is no valid message."""
    return error_bytes(malformed.id, malformed.code, malformed.text)


def one_line(outcome: Outcome) -> Outcome:
    """The outcome made safe for a stream that frames by line ends or shares its bytes with other answers.

    A result that nobody has checked yet could otherwise end its own line and start a message of its own choice.
    Outside of strings JSON allows line ends only as blanks, so blanks may take their place.
    """
    if not isinstance(outcome, Completed):
        return outcome
    result = outcome.result
    if not outcome.checked:
        try:
            sound = type(decode(result)) is dict
        except ValueError:
            sound = False
        if not sound:
            return Failed(FailureKind.BAD_ANSWER, INTERNAL_ERROR, "the server's answer is not a JSON object")
    if b"\n" in result or b"\r" in result:
        result = result.replace(b"\r", b" ").replace(b"\n", b" ")
    elif outcome.checked:
        return outcome
    return Completed(result, outcome.era)


def event_notification(event: ClientEvent, meta: Mapping[str, Any] | None = None) -> bytes:
    """What changed outside of any request, as a notification; `meta` goes into its `_meta` (modern era only)."""
    match event:
        case ListChanged(kind):
            return notification_bytes(_CHANGED[kind], {"_meta": meta} if meta else None)
        case ResourceUpdated(params):
            return notification_bytes("notifications/resources/updated", _stamped(params, meta))
        case LogLine(params):
            return notification_bytes("notifications/message", _stamped(params, meta))
        case Notice(method, params):
            return notification_bytes(method, params)
        case TaskChanged(params):
            method = "notifications/tasks" if meta else "notifications/tasks/status"
            return notification_bytes(method, _stamped(params, meta))
        case _:
            assert_never(event)


def _stamped(params: Mapping[str, Any], meta: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The params with this client's subscription in `_meta`, or with none: a server's names our request, not its own."""
    own = params.get("_meta")
    kept = {key: value for key, value in own.items() if key != keys.SUBSCRIPTION_ID} if isinstance(own, Mapping) else {}
    if meta or kept:
        return {**params, "_meta": {**kept, **(meta or {})}}
    return {key: value for key, value in params.items() if key != "_meta"}
