"""Reads the answer of one modern POST: a JSON body or an event stream; the result stays the bytes that came.

MCP 2026-07-28 basic/transports: on the stream of a request come its notifications, then its one response.
"""

from __future__ import annotations

import re
from typing import Any, Final

from mcp_orchestrator.backends.http_connection import Response
from mcp_orchestrator.backends.mcp_events import event_of
from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.core.wire.meta import PROGRESS_TOKEN
from mcp_orchestrator.core.wire.sse import EventTooLargeError, Parser
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec
from mcp_orchestrator.plugin_api import LogLine, Opening, Talk

SLICED_BYTES: Final = 256 * 1024
"""From this size on a body whose two ends show where its result lies is cut there and not parsed.

Parsing 1 MB costs about as much processor time as all the rest of relaying it."""

_END: Final = 256
# The envelope around a result, as Python and Go write it (result last) and as TypeScript does (result first).
_ID: Final = rb'"id"\s*:\s*(\d{1,18})\s*'
_VERSION: Final = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_RESULT_LAST: Final = re.compile(
    rb"\s*\{\s*(?:" + _VERSION + rb"," + rb"\s*" + _ID + rb'|"id"\s*:\s*(\d{1,18})\s*,\s*' + _VERSION + rb")"
    rb',\s*"result"\s*:\s*(?=\{)'
)
_RESULT_FIRST: Final = re.compile(rb'\s*\{\s*"result"\s*:\s*(?=\{)')
_AFTER_LAST: Final = re.compile(rb"\}(\s*\}\s*)\Z")
_AFTER_FIRST: Final = re.compile(
    rb"\}(\s*,\s*(?:" + _VERSION + rb",\s*" + _ID + rb'|"id"\s*:\s*(\d{1,18})\s*,\s*' + _VERSION + rb")\}\s*)\Z"
)


class Reading:
    """What is read of one answer. `feed` takes pieces of an event stream and says when the response was among them."""

    __slots__ = ("_opening", "_parser", "_spec", "_talk", "_value", "begun", "found", "ident")

    def __init__(self, spec: BackendSpec, ident: int, talk: Talk | None, opening: Opening) -> None:
        self._spec = spec
        self._talk = talk
        self._opening = opening
        self._parser: Parser | None = None
        self._value: bytes | RpcError | None = None
        self.ident = ident
        self.found = False
        self.begun = False

    def feed(self, chunk: bytes) -> bool:
        """Take a piece of the stream; True once the response has come.

        Raises:
            BackendError: BAD_ANSWER; an event is too large, no JSON, or answers another request.
        """
        parser = self._parser
        if parser is None:
            parser = self._parser = Parser(self._spec.max_result_bytes)
            self.begun = True
        try:
            events = parser.feed(chunk)
        except EventTooLargeError as error:
            raise bad(self._spec, f"sent too much: {error} (`maxResultBytes` raises the limit)") from error
        for event in events:
            if event.data and event.event == "message":
                self._message(event.data)
            if self.found:
                return True
        return False

    def result(self) -> bytes:
        """The result object. Raises RpcError when the response was an error."""
        if isinstance(self._value, RpcError):
            raise self._value
        return self._value or b""

    def _message(self, data: bytes) -> None:
        try:
            message = jsonrpc.open_envelope(data)
        except ValueError as error:
            raise bad(self._spec, f"sent an event that is no JSON-RPC message ({error})") from error
        if message.method is None:
            self.found = True
            try:
                self._value = _result_in(self._spec, self.ident, message)
            except RpcError as error:
                self._value = error
        elif message.id is not None:
            self._opening.on_stderr(f"ignored a request {message.method[:80]!r}: modern servers may not ask that way")
        else:
            self._notification(message)

    def _notification(self, message: jsonrpc.Envelope) -> None:
        method = message.method or ""
        try:
            params: Any = jsonrpc.decode(message.params) if message.params else {}
        except ValueError:
            params = None
        if not isinstance(params, dict):
            self._opening.on_stderr(f"ignored a malformed notification {method[:80]!r}")
        elif (event := event_of(method, params)) is not None:
            self._opening.on_event(event)
        elif method == "notifications/progress":
            if self._talk is not None and params.pop(PROGRESS_TOKEN, None) == self.ident:
                self._talk.progress(params)
        elif self._talk is not None:
            self._talk.notify(method, params)
        elif method == "notifications/message":
            self._opening.on_event(LogLine(params))


def read_result(spec: BackendSpec, ident: int, response: Response) -> tuple[bytes, bool]:
    """The result object in a JSON body, and whether it was checked to be JSON.

    Raises:
        RpcError: the body is an error response.
        BackendError: BAD_ANSWER.
    """
    if response.size >= SLICED_BYTES:
        cut = _cut(spec, ident, response)
        if cut is not None:
            return cut, False
    try:
        message = jsonrpc.open_envelope(response.body())
    except ValueError as error:
        raise bad(spec, f"answered with malformed JSON ({error})") from error
    return _result_in(spec, ident, message), True


def bad(spec: BackendSpec, what: str) -> BackendError:
    """An answer that breaks the protocol or a limit."""
    return BackendError(FailureKind.BAD_ANSWER, f"backend {spec.name} {what}", sent=True)


def _result_in(spec: BackendSpec, ident: int, message: jsonrpc.Envelope) -> bytes:
    if message.error and bytes(message.error) != b"null" and message.id in {ident, None}:
        body = jsonrpc.open_error(message.error)
        raise RpcError(int(body.code), body.message, body.data)
    if message.id != ident or isinstance(message.id, bool):
        raise bad(spec, f"answered request {str(message.id)[:40]!r} instead of {ident}")
    result = bytes(message.result)
    if not result.startswith(b"{"):
        raise bad(spec, "answered with a result that is no JSON object")
    if not result.isascii():
        try:
            result.decode()
        except UnicodeDecodeError as error:
            raise bad(spec, "answered with a result that is not UTF-8") from error
    return result


def _cut(spec: BackendSpec, ident: int, response: Response) -> bytes | None:
    """The result of a long body, copied once from between the ends of its envelope; None if the ends do not tell."""
    chunks = response.chunks
    if len(chunks[0]) < _END or len(chunks[-1]) < _END:
        return None
    head, tail = bytes(chunks[0][:_END]), bytes(chunks[-1][-_END:])
    before, after = _RESULT_LAST.match(head), _AFTER_LAST.search(tail)
    found = before
    if before is None:
        before, after = _RESULT_FIRST.match(head), _AFTER_FIRST.search(tail)
        found = after
    if before is None or after is None or found is None:
        return None
    sent = next(group for group in reversed(found.groups()) if group is not None and group.strip().isdigit())
    if int(sent) != ident:
        raise bad(spec, f"answered request {int(sent)} instead of {ident}")
    views = [memoryview(chunk) for chunk in chunks]
    views[0] = views[0][before.end() :]
    # The tail may lie in the same chunk as the head: cut from the end.
    views[-1] = views[-1][: len(views[-1]) - (len(tail) - after.start(1))]
    return b"".join(views)
