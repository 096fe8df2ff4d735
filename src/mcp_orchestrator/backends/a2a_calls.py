"""The calls of A2A over our own HTTP client: send, stream, look, subscribe, cancel; JSON-RPC 1.0 and 0.3, HTTP+JSON 1.0.

A2A 1.0 sections 9 (JSON-RPC), 11 (HTTP+JSON) and 3.3 (errors); 0.3 sections 7 and 8. Redirects are never followed: the
configured headers may be secrets. Whatever a server sends is bounded in size.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mcp_orchestrator.backends.a2a_card import CURRENT, HTTP_JSON, Interface
from mcp_orchestrator.backends.http_answers import NOT_FOUND, content_type, refusal
from mcp_orchestrator.backends.http_connection import EndedError, Response
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.backends.http_proxy import ProxyError, proxy_for
from mcp_orchestrator.core.wire.sse import EventTooLargeError, Parser
from mcp_orchestrator.model.agent import AgentSpec
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, TransportKind

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of one answer, and of one event."""

TASK_NOT_FOUND: Final = -32001
NOT_CANCELABLE: Final = -32002
UNSUPPORTED: Final = -32004
METHOD_NOT_FOUND: Final = -32601

_REASONS: Final[Mapping[str, int]] = {
    "TASK_NOT_FOUND": TASK_NOT_FOUND,
    "TASK_NOT_CANCELABLE": NOT_CANCELABLE,
    "PUSH_NOTIFICATION_NOT_SUPPORTED": -32003,
    "UNSUPPORTED_OPERATION": UNSUPPORTED,
    "CONTENT_TYPE_NOT_SUPPORTED": -32005,
    "INVALID_AGENT_RESPONSE": -32006,
    "VERSION_NOT_SUPPORTED": -32009,
}
_SUCCESS: Final = range(200, 300)
_BEFORE: Final[Mapping[str, str]] = {
    "SendMessage": "message/send",
    "SendStreamingMessage": "message/stream",
    "GetTask": "tasks/get",
    "CancelTask": "tasks/cancel",
    "SubscribeToTask": "tasks/resubscribe",
}

Hear = Callable[[Any, bytes], bool]
"""Gets each event of a stream, decoded and raw; True says that no more is wanted."""


def http_view(spec: AgentSpec) -> BackendSpec:
    """An agent as the HTTP client's texts and secrets-keeping see it."""
    return BackendSpec(
        spec.name,
        TransportKind.HTTP,
        url=spec.url,
        headers=spec.headers,
        max_result_bytes=MOST_BYTES,
        confidential=spec.confidential,
        where=spec.where,
    )


def pool_of(spec: AgentSpec, endpoint: Endpoint) -> HttpPool:
    """The connections to an agent's host, through the proxy of the environment if there is one.

    Raises:
        BackendError: UNAVAILABLE; the environment names a proxy that cannot be used.
    """
    label = f"agent {spec.name} ({endpoint.shown})"
    try:
        proxy = proxy_for(endpoint, os.environ)
    except ProxyError as error:
        raise BackendError(FailureKind.UNAVAILABLE, f"cannot connect to {label}: {error}") from error
    return HttpPool(endpoint, max_body=MOST_BYTES, label=label, proxy=proxy)


class A2aCalls:
    """The calls to one interface of one agent."""

    def __init__(self, spec: AgentSpec, interface: Interface, pool: HttpPool) -> None:
        self.interface = interface
        self._spec = spec
        self._view = http_view(spec)
        self._pool = pool
        self._ids = itertools.count(1)
        self._headers = [(name, value.reveal()) for name, value in spec.headers]

    @property
    def current(self) -> bool:
        """Whether the forms of 1.0 are spoken."""
        return self.interface.version == CURRENT

    def message(
        self, parts: list[dict[str, Any]], context: str, task: str, metadata: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """A message of ours. `parts` are in the form of 1.0: `text` or `data`."""
        role = "ROLE_USER" if self.current else "user"
        made: dict[str, Any] = {"messageId": str(uuid.uuid4()), "role": role, "parts": parts}
        if not self.current:
            made["kind"] = "message"
            made["parts"] = [{"kind": "text" if "text" in part else "data", **_data_of_0_3(part)} for part in parts]
        return made | {
            name: value for name, value in (("contextId", context), ("taskId", task), ("metadata", metadata)) if value
        }

    async def send(self, message: Mapping[str, Any]) -> tuple[Any, bytes]:
        """Send a message; the answer comes as soon as the server gives one: a task, or a message."""
        return await self._ask("SendMessage", self._sending(message, at_once=True), "POST", "/message:send")

    async def send_streaming(self, message: Mapping[str, Any], hear: Hear) -> None:
        """Send a message and hear what becomes of it, until the stream ends or no more is wanted."""
        await self._listen(
            "SendStreamingMessage", self._sending(message, at_once=False), "POST", "/message:stream", hear
        )

    async def look(self, task: str) -> tuple[Any, bytes]:
        """The task as it stands."""
        return await self._ask("GetTask", {"id": task}, "GET", f"/tasks/{_segment(task)}", repeatable=True)

    async def cancel(self, task: str) -> tuple[Any, bytes]:
        """Ask for the end of the task."""
        return await self._ask("CancelTask", {"id": task}, "POST", f"/tasks/{_segment(task)}:cancel", repeatable=True)

    async def subscribe(self, task: str, hear: Hear) -> None:
        """Hear a task that goes on already."""
        await self._listen("SubscribeToTask", {"id": task}, "GET", f"/tasks/{_segment(task)}:subscribe", hear)

    # -- requests -------------------------------------------------------------------------------------------------

    def _sending(self, message: Mapping[str, Any], *, at_once: bool) -> dict[str, Any]:
        if self.current:
            return {"message": message} | ({"configuration": {"returnImmediately": True}} if at_once else {})
        modes = ["text", "text/plain", "application/json"]  # servers of 0.2 and early 0.3 insist on them
        return {"message": message, "configuration": {"acceptedOutputModes": modes, "blocking": not at_once}}

    def _request(
        self, method: str, params: Mapping[str, Any], verb: str, path: str, accept: str
    ) -> tuple[bytes, bytes | None]:
        """Head and body of a request."""
        interface = self.interface
        headers = [("accept", accept), ("a2a-version", interface.version), *self._headers]
        if interface.binding == HTTP_JSON:
            below = f"/{_segment(interface.tenant)}{path}" if interface.tenant else path
            endpoint = Endpoint.parse(interface.url.rstrip("/") + below)
            if verb == "GET":
                return self._head(endpoint, verb, headers), None
            # Every server takes application/json; some of 1.0 (TCK of 2026-05-05) do not know application/a2a+json.
            body = b"{}" if path.endswith(":cancel") else msgspec.json.encode(params)
            return self._head(endpoint, verb, [("content-type", "application/json"), *headers]), body
        named = method if self.current else _BEFORE[method]
        full = {**params, "tenant": interface.tenant} if interface.tenant else params
        envelope = {"jsonrpc": "2.0", "id": next(self._ids), "method": named, "params": full}
        head = self._head(Endpoint.parse(interface.url), "POST", [("content-type", "application/json"), *headers])
        return head, msgspec.json.encode(envelope)

    def _head(self, endpoint: Endpoint, verb: str, headers: list[tuple[str, str]]) -> bytes:
        signed = any(name.lower() == "authorization" for name, _value in headers)
        more = [("authorization", endpoint.authorization)] if endpoint.authorization and not signed else []
        try:
            return endpoint.head(verb, [*headers, *more])
        except ValueError as error:
            raise BackendError(FailureKind.INVALID, f"agent {self._spec.name}: {error}") from error

    async def _ask(
        self, method: str, params: Mapping[str, Any], verb: str, path: str, *, repeatable: bool = False
    ) -> tuple[Any, bytes]:
        accept = "application/json, application/a2a+json"
        head, body = self._request(method, params, verb, path, accept)
        response = await self._pool.request(head, body, replayable=repeatable, urgent=True)
        return self._result(response)

    async def _listen(self, method: str, params: Mapping[str, Any], verb: str, path: str, hear: Hear) -> None:
        head, body = self._request(
            method, params, verb, path, "text/event-stream, application/json, application/a2a+json"
        )
        parser = Parser(MOST_BYTES)

        def feed(chunk: bytes) -> bool:
            try:
                events = parser.feed(chunk)
            except EventTooLargeError as error:
                raise self._bad(f"sent too much: {error}") from error
            done = False
            for event in events:  # what came in the same piece as the end is heard, too
                done = (bool(event.data) and hear(self._event(event.data), event.data)) or done
            return done

        try:
            response = await self._pool.stream(head, body, feed)
        except EndedError:
            return
        if response.chunks or response.status not in _SUCCESS:
            hear(*self._result(response))

    # -- answers --------------------------------------------------------------------------------------------------

    def _event(self, data: bytes) -> Any:
        """What one event holds; JSON-RPC envelopes are opened."""
        try:
            value = msgspec.json.decode(data)
        except ValueError:
            return None
        return self._opened(value)

    def _result(self, response: Response) -> tuple[Any, bytes]:
        raw = response.body()
        try:
            value = msgspec.json.decode(raw) if raw else None
        except ValueError:
            value = None
        if isinstance(value, dict) and "error" in value:
            self._opened(value, response.status)
        if response.status not in _SUCCESS:
            raise self._refusal(response)
        if not isinstance(value, dict):
            kind = content_type(response)[:80] or "no content type"
            raise self._bad(f"answered with {kind} instead of a JSON object")
        return self._opened(value), raw

    def _opened(self, value: Any, status: int = 200) -> Any:
        """The result in an envelope, or the value itself. Raises BackendError for an error."""
        if not isinstance(value, dict):
            return value
        error = value.get("error")
        if isinstance(error, dict):
            raise self._error(error, status)
        return value.get("result") if "jsonrpc" in value and "result" in value else value

    def _error(self, error: Mapping[str, Any], status: int) -> BackendError:
        code = error.get("code")
        code = code if isinstance(code, int) else status
        details = error.get("details") or error.get("data")
        for one in details if isinstance(details, list) else ():
            reason = one.get("reason") if isinstance(one, dict) else None
            code = _REASONS.get(str(reason), code)
        if code == NOT_FOUND and self.interface.binding == HTTP_JSON:
            code = TASK_NOT_FOUND
        said = self.clean(str(error.get("message") or error.get("status") or "no reason given"))[:2000]
        text = f"agent {self._spec.name} refused: {said} ({code})"
        return BackendError(FailureKind.BACKEND_ERROR, text, code=code, data={"httpStatus": status}, sent=True)

    def _refusal(self, response: Response) -> BackendError:
        error = refusal(self._view, Endpoint.parse(self.interface.url).shown, response)
        text = error.message.replace("backend ", "agent ", 1).replace("the server's", "the agent's")
        return BackendError(error.kind, text, data=error.data, sent=error.sent)

    def _bad(self, what: str) -> BackendError:
        return BackendError(FailureKind.BAD_ANSWER, f"agent {self._spec.name} {what}", sent=True)

    def clean(self, text: str) -> str:
        """`text` of the agent without what is confidential, should it echo it."""
        words = [secret.reveal() for secret in (*self._spec.confidential, *(value for _n, value in self._spec.headers))]
        for word in sorted(words, key=len, reverse=True):
            if len(word) > 3:  # noqa: PLR2004 - shorter words are no secrets and occur everywhere
                text = text.replace(word, "<secret>")
        return text


def _data_of_0_3(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part in the form of 0.3, whose data are always objects."""
    if "data" in part and not isinstance(part["data"], dict):
        return {"data": {"value": part["data"]}}
    return dict(part)


def _segment(text: str) -> str:
    return quote(text, safe="")
