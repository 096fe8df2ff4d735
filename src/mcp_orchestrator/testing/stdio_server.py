"""A real MCP server over stdin and stdout, in both eras, on the standard library alone.

Every request says by its own `_meta` which era it belongs to (MCP 2026-07-28 basic/index), so one process serves
both. Calls run in threads of their own: a slow one delays no other, and can be cancelled.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from mcp_orchestrator.core.wire import meta
from mcp_orchestrator.core.wire.versions import LATEST_LEGACY, MODERN_VERSIONS, agree_legacy
from mcp_orchestrator.model.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
)

_CACHE: Final = {"ttlMs": 60_000, "cacheScope": "public"}


class ToolError(Exception):
    """A tool could not do what was asked; the text goes to the model with `isError: true`."""


@dataclass(slots=True)
class Request:
    """What a running tool knows of its request. `cancelled` is set when the client gives up or is gone."""

    progress: Callable[[float, float], None]
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its definition, and the function that carries it out and returns `structuredContent`."""

    name: str
    description: str
    properties: Mapping[str, Any]
    required: Sequence[str]
    run: Callable[[Mapping[str, Any], Request], dict[str, Any]]
    read_only: bool = True

    def definition(self) -> dict[str, Any]:
        """The wire object of `tools/list`."""
        schema = {"type": "object", "properties": dict(self.properties), "required": list(self.required)}
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": {**schema, "additionalProperties": False},
            "annotations": {"readOnlyHint": self.read_only},
        }


class _RpcError(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message} | ({} if data is None else {"data": data})


class StdioServer:
    """Serves tools until its input ends. `name` and `version` are its `serverInfo`."""

    def __init__(self, name: str, version: str, tools: Sequence[Tool], instructions: str = "") -> None:
        self._info = {"name": name, "version": version}
        self._tools = {tool.name: tool for tool in tools}
        self._instructions = instructions
        self._open: dict[int | str, Request] = {}
        self._lock = threading.Lock()
        self._out: TextIO = sys.stdout

    def serve(self, source: TextIO | None = None, sink: TextIO | None = None) -> None:
        """Answer requests, one JSON object a line, until `source` ends; then running tools are told to stop."""
        self._out = sink or sys.stdout
        for line in source or sys.stdin:
            if line.strip():
                self._receive(line)
        with self._lock:
            for request in self._open.values():
                request.cancelled.set()

    def _receive(self, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            self._send({"id": None, "error": {"code": PARSE_ERROR, "message": "not JSON"}})
            return
        method = message.get("method") if isinstance(message, dict) else None
        if not isinstance(method, str):
            if not isinstance(message, dict) or "id" not in message:
                self._send({"id": None, "error": {"code": INVALID_REQUEST, "message": "not a JSON-RPC request"}})
            return
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        if "id" not in message:
            self._notified(method, params)
        elif not isinstance(message["id"], int | str):
            self._send({"id": None, "error": {"code": INVALID_REQUEST, "message": "an id is a number or a text"}})
        elif method == "tools/call":
            self._start(message["id"], params)
        else:
            self._answer(message["id"], lambda: self._result(method, params))

    def _notified(self, method: str, params: Mapping[str, Any]) -> None:
        if method == "notifications/cancelled":
            with self._lock:
                request = self._open.get(params.get("requestId", ""))
            if request is not None:
                request.cancelled.set()

    def _start(self, request_id: int | str, params: Mapping[str, Any]) -> None:
        token = _meta_of(params).get(meta.PROGRESS_TOKEN)

        def progress(done: float, total: float) -> None:
            if token is not None:
                told = {"progressToken": token, "progress": done, "total": total}
                self._send({"method": "notifications/progress", "params": told})

        request = Request(progress)
        with self._lock:
            self._open[request_id] = request
        arguments = (request_id, params, request)
        threading.Thread(target=self._carry_out, args=arguments, daemon=True).start()

    def _carry_out(self, request_id: int | str, params: Mapping[str, Any], request: Request) -> None:
        try:
            self._answer(request_id, lambda: self._call(params, request), unless=request.cancelled)
        finally:
            with self._lock:
                self._open.pop(request_id, None)

    def _answer(
        self, request_id: int | str, work: Callable[[], dict[str, Any]], unless: threading.Event | None = None
    ) -> None:
        try:
            reply: dict[str, Any] = {"id": request_id, "result": work()}
        except _RpcError as error:
            reply = {"id": request_id, "error": error.body}
        if unless is None or not unless.is_set():
            self._send(reply)

    def _result(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        capabilities: dict[str, Any] = {"tools": {}}
        if method == "initialize":
            asked = params.get("protocolVersion")
            version = agree_legacy(asked) if isinstance(asked, str) else LATEST_LEGACY
            return {"protocolVersion": version, "capabilities": capabilities, "serverInfo": self._info} | self._about()
        modern = self._is_modern(params)
        match method:
            case "ping" if not modern:
                return {}
            case "server/discover" if modern:
                found = {"supportedVersions": list(MODERN_VERSIONS), "capabilities": capabilities}
                return self._dressed(found | self._about() | _CACHE, modern)
            case "tools/list":
                listed: dict[str, Any] = {"tools": [tool.definition() for tool in self._tools.values()]}
                return self._dressed(listed | (_CACHE if modern else {}), modern)
            case _:
                raise _RpcError(METHOD_NOT_FOUND, f"Method not found: {method}")

    def _call(self, params: Mapping[str, Any], request: Request) -> dict[str, Any]:
        modern = self._is_modern(params)
        tool = self._tools.get(str(params.get("name")))
        if tool is None:
            raise _RpcError(INVALID_PARAMS, f"Unknown tool: {params.get('name')}")
        arguments = params.get("arguments")
        try:
            found = tool.run(arguments if isinstance(arguments, dict) else {}, request)
        except ToolError as error:
            return self._dressed({"content": [{"type": "text", "text": str(error)}], "isError": True}, modern)
        text = json.dumps(found, ensure_ascii=False)
        return self._dressed({"content": [{"type": "text", "text": text}], "structuredContent": found}, modern)

    def _about(self) -> dict[str, Any]:
        return {"instructions": self._instructions} if self._instructions else {}

    def _dressed(self, result: dict[str, Any], modern: bool) -> dict[str, Any]:
        return {**result, "resultType": "complete", "_meta": {meta.SERVER_INFO: self._info}} if modern else result

    def _is_modern(self, params: Mapping[str, Any]) -> bool:
        version = _meta_of(params).get(meta.PROTOCOL_VERSION)
        if version is not None and version not in MODERN_VERSIONS:
            supported = {"supported": list(MODERN_VERSIONS), "requested": version}
            raise _RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", supported)
        return version is not None

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}) + "\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()


def _meta_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    found = params.get("_meta")
    return found if isinstance(found, dict) else {}
