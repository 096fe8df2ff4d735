"""A small MCP client over HTTP in the modern era, on the standard library alone: what a script would write.

One POST and one JSON reply a request (MCP 2026-07-28 basic/transports); events of a streamed reply are read until
the response arrives.
"""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_orchestrator import __version__
from mcp_orchestrator.core.wire import headers, meta
from mcp_orchestrator.core.wire.versions import LATEST_MODERN

TIMEOUT: Final = 30.0
"""Seconds to wait for the next bytes of a reply."""


class RpcError(Exception):
    """The server answered with a JSON-RPC error: `code`, the message, `data` (None when absent)."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", "")))
        self.code = error.get("code")
        self.data = error.get("data")


class HttpClient:
    """Calls one MCP endpoint, a connection a request. `name` is what the server is told about the client."""

    def __init__(self, url: str, name: str = "mcp-orchestrator-client") -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._path = parts.path or "/"
        self._ids = itertools.count(1)
        self._meta = {
            meta.PROTOCOL_VERSION: LATEST_MODERN,
            meta.CLIENT_INFO: {"name": name, "version": __version__},
            meta.CLIENT_CAPABILITIES: {},
        }

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send one request; returns the result object.

        Raises:
            RpcError: the server answered with an error.
            OSError: the server cannot be reached, or the connection was lost.
            ValueError: the reply is not MCP.
        """
        own = {**(params or {}), "_meta": self._meta}
        request_id = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": own})
        connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT)
        try:
            connection.request("POST", self._path, body.encode(), self._headers(method, own))
            reply = connection.getresponse()
            if "text/event-stream" in reply.headers.get("Content-Type", ""):
                message = _from_events(reply, request_id)
            else:
                message = json.loads(reply.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"the reply broke off: {error!r}") from error
        finally:
            connection.close()
        return _result(message)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; returns the result object. Raises what `request` raises."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def _headers(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        sent = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            headers.PROTOCOL_VERSION_HEADER: LATEST_MODERN,
            headers.METHOD_HEADER: method,
        }
        if method in headers.NAME_BEARING:
            name = str(params[headers.NAME_BEARING[method]])
            sent[headers.NAME_HEADER] = headers.encode_header_value(name)
        return sent


def _from_events(lines: Iterable[bytes], request_id: int) -> Any:
    for line in lines:
        if line.startswith(b"data:"):
            message = json.loads(line[len(b"data:") :])
            if isinstance(message, dict) and message.get("id") == request_id and "method" not in message:
                return message
    raise ValueError("the stream ended without a response")


def _result(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise ValueError("the reply is not a JSON-RPC message")  # noqa: TRY004 - a wrong reply, not a wrong argument
    if "error" in message:
        raise RpcError(message["error"])
    result = message.get("result")
    if not isinstance(result, dict):
        raise ValueError("the reply has no result")  # noqa: TRY004 - likewise
    return result
