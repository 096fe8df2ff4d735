"""How an agent of our own making calls tools of the gateway: plain modern MCP over HTTP, a POST for each request.

MCP 2026-07-28 basic/transports. A tool that asks in the middle (`input_required`) is called again with the answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mcp_orchestrator import __version__
from mcp_orchestrator.backends.http_pool import Endpoint, HttpPool
from mcp_orchestrator.core.wire import headers, meta
from mcp_orchestrator.core.wire.jsonrpc import decode, encode
from mcp_orchestrator.core.wire.sse import Parser
from mcp_orchestrator.core.wire.versions import LATEST_MODERN
from mcp_orchestrator.model.agent import Attachment
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

MAX_BODY: Final = 32 * 1024 * 1024
"""Largest answer, in bytes."""

MOST_ROUNDS: Final = 20
"""How often one call may come back with questions."""

Ask = Callable[[Question], Awaitable[Answer]]


class GatewayCalls:
    """Calls through one attachment. `name` is who the gateway is told to be talking to."""

    def __init__(self, attachment: Attachment, name: str) -> None:
        self._endpoint = Endpoint.parse(attachment.url)
        self._pool = HttpPool(self._endpoint, max_body=MAX_BODY)
        self._headers = [(key, secret.reveal()) for key, secret in attachment.headers]
        self._ids = itertools.count(1)
        self._meta = {
            meta.PROTOCOL_VERSION: LATEST_MODERN,
            meta.CLIENT_INFO: {"name": name, "version": __version__},
            meta.CLIENT_CAPABILITIES: {"elicitation": {"form": {}, "url": {}}},
        }

    async def tool(self, name: str, arguments: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
        """Call a tool; what it asks meanwhile goes to `ask`. Returns the result object.

        Raises:
            BackendError: it cannot be called, or the gateway answered with an error.
        """
        params: dict[str, Any] = {"name": name, "arguments": dict(arguments)}
        for _round in range(MOST_ROUNDS):
            result = await self._request("tools/call", params)
            asked = result.get("inputRequests")
            if result.get("resultType") != "input_required" or not isinstance(asked, dict):
                return result
            answers = {key: await _answered(one, ask) for key, one in asked.items()}
            params = {**params, "inputResponses": answers}
            if "requestState" in result:
                params["requestState"] = result["requestState"]
        raise BackendError(FailureKind.BAD_ANSWER, f"the tool {name!r} came back with questions {MOST_ROUNDS} times")

    async def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        request_id = next(self._ids)
        head = self._endpoint.head(
            "POST",
            [
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
                (headers.PROTOCOL_VERSION_HEADER, LATEST_MODERN),
                (headers.METHOD_HEADER, method),
                (headers.NAME_HEADER, headers.encode_header_value(str(params["name"]))),
                *self._headers,
            ],
        )
        body = encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": self._meta}})
        streamed = _Streamed(request_id)
        response = await self._pool.request(head, body, on_chunk=streamed.take)
        message = streamed.message
        if message is None:
            try:
                message = decode(response.body())
            except ValueError:
                text = f"the gateway answered with HTTP status {response.status} and no JSON"
                raise BackendError(FailureKind.BAD_ANSWER, text, sent=True) from None
        return _result(message)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _Streamed:
    """Looks for the response among the events of a stream."""

    def __init__(self, request_id: int) -> None:
        self._id = request_id
        self._parser = Parser(MAX_BODY)
        self.message: Any = None

    def take(self, chunk: bytes) -> bool:
        for event in self._parser.feed(chunk):
            try:
                message = decode(event.data) if event.data else None
            except ValueError:
                message = None
            if isinstance(message, dict) and message.get("id") == self._id and "method" not in message:
                self.message = message
        return self.message is not None


async def _answered(asked: Any, ask: Ask) -> Any:
    """The answer to one input request, as an input response."""
    shape = asked if isinstance(asked, dict) else {}
    params = shape.get("params")
    answer = await ask(Question(str(shape.get("method", "")), params if isinstance(params, dict) else {}))
    return answer.result if answer.result is not None else {"action": "cancel"}


def _result(message: Any) -> dict[str, Any]:
    error = message.get("error") if isinstance(message, dict) else None
    result = message.get("result") if isinstance(message, dict) else None
    if isinstance(error, dict):
        raise BackendError(FailureKind.BACKEND_ERROR, str(error.get("message", "")), code=-32603, sent=True)
    if not isinstance(result, dict):
        raise BackendError(FailureKind.BAD_ANSWER, "the gateway's answer is no result", sent=True)
    return result
