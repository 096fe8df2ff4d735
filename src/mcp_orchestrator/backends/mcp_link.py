"""JSON-RPC with one MCP server over any pipe: pending requests, notifications in wire order, questions, cancelling.

`Duplex` does no input or output of its own: bytes go out through `send`, lines come in through `feed`. Used for stdio
in both eras and for legacy HTTP; the handshake and what is stamped on requests live in `mcp_handshake`.
MCP 2025-11-25 and 2026-07-28 basic/utilities (progress, cancellation), client/elicitation, sampling, roots.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from mcp_orchestrator.backends.mcp_events import event_of
from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.backends.mcp_ids import ID_AHEAD, ID_BEHIND, METHOD_AHEAD, is_utf8, number_of
from mcp_orchestrator.core.translate.questions import ELICITATION_COMPLETE
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.core.wire.meta import PROGRESS_TOKEN, SUBSCRIPTION_ID
from mcp_orchestrator.model.conversation import Answer, Question
from mcp_orchestrator.model.errors import CONNECTION_CLOSED, METHOD_NOT_FOUND, BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.plugin_api import LogLine, Notice, SessionEvent, Talk

Send = Callable[[bytes, int | None], None]
"""Sends one message (no line end). The number is the id of a request of ours, None for all else.

May raise BackendError(OVERLOADED) when nothing was sent."""

_DECLINED: Final = {
    "elicitation/create": Answer(result={"action": "decline"}),
    "sampling/createMessage": Answer(code=-1, message="declined"),
    "roots/list": Answer(result={"roots": []}),
}
_STRAY_LINES: Final = 1000
_STRAY_CHARS: Final = 400


class Pending:
    """A request of ours that waits for its answer. `logs`: it may cause log messages; `asks`: its open questions."""

    __slots__ = ("asks", "future", "logs", "talk")

    def __init__(self, future: asyncio.Future[bytes], talk: Talk | None, logs: bool) -> None:
        self.future = future
        self.talk = talk
        self.logs = logs
        self.asks: list[asyncio.Future[Answer]] | None = None


class Duplex:
    """One JSON-RPC conversation. Lives on the event loop that made it; every method is called there."""

    def __init__(
        self,
        backend: str,
        send: Send,
        *,
        hear: Callable[[SessionEvent], None] = lambda _event: None,
        stray: Callable[[str], None] = lambda _text: None,
        exclusive: bool = False,
        ask_outside: Callable[[Question], Awaitable[Answer]] | None = None,
    ) -> None:
        """`hear` gets what belongs to no call, `stray` what is no message ("stdout: ...").

        `exclusive`: every call is made for one and the same client, so that any call in flight can carry its
        questions. `ask_outside` answers questions asked while no call is in flight; without it they are declined.
        """
        self._backend = backend
        self._send = send
        self._hear = hear
        self._stray = stray
        self._exclusive = exclusive
        self._ask_outside = ask_outside
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, Pending] = {}
        self._next = 1
        self._questions: dict[object, asyncio.Future[Answer]] = {}
        self._ended: str | None = None
        self.stray_lines = 0

    @property
    def in_flight(self) -> int:
        """How many requests wait for an answer."""
        return len(self._pending)

    @property
    def ended(self) -> str | None:
        """Why the conversation is over, or None."""
        return self._ended

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
        """Send a request; returns the result object as encoded JSON.

        `meta` becomes `_meta` (left out when empty). `logs` False says that no log message can belong to this
        request. Cancelling the waiting task sends `notifications/cancelled` and forgets the request.

        Raises:
            RpcError: the backend answered with an error.
            BackendError: over before or while waiting (`sent` tells which), a malformed answer, or overload.
        """
        if self._ended is not None:
            raise self._over(sent=False)
        ident = self._next
        self._next = ident + 1
        if wants_progress:
            meta = {**meta, PROGRESS_TOKEN: ident} if meta else {PROGRESS_TOKEN: ident}
        try:
            data = jsonrpc.request_bytes(ident, method, {**params, "_meta": meta} if meta else params)
        except ValueError as error:
            raise BackendError(FailureKind.INVALID, f"the request cannot be written as JSON: {error}") from error
        future: asyncio.Future[bytes] = self._loop.create_future()
        pending = self._pending[ident] = Pending(future, talk, logs)
        try:
            self._send(data, ident)
            return await future
        except asyncio.CancelledError as error:
            if future.done() and not future.cancelled():
                future.exception()  # the answer came just as the caller left: seen, not wanted
            if self._pending.get(ident) is pending and method != "initialize":
                reason = str(error.args[0]) if error.args and error.args[0] else "the caller no longer waits"
                self.notify("notifications/cancelled", {"requestId": ident, "reason": reason})
            raise
        finally:
            self._pending.pop(ident, None)
            self._let_go(pending.asks)

    def _let_go(self, asks: list[asyncio.Future[Answer]] | None) -> None:
        """A call is over: the questions that it carried end with it, unless they may be those of another one."""
        heir = self._only() if asks and self._exclusive else None
        if heir is not None:
            heir.asks = [*(heir.asks or ()), *(ask for ask in asks or () if not ask.done())]
            return
        for ask in asks or ():
            ask.cancel()

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification; lost in silence when the conversation is over or the pipe is full."""
        if self._ended is None:
            with contextlib.suppress(BackendError):
                self._send(jsonrpc.notification_bytes(method, params or None), None)

    def feed(self, line: bytes, owner: int | None = None) -> None:
        """Take one incoming message (or batch). Never raises for anything a backend can send.

        `owner` is the id of the request on whose own stream the message came (HTTP); it settles to whom questions
        and log messages belong.
        """
        try:
            message = jsonrpc.open_envelope(line)
        except ValueError:
            self._unreadable(line, owner)
            return
        if message.method is None:
            self._answered(message, line)
        elif message.id is None:
            self._notified(message.method, message.params, owner)
        else:
            self._asked(message.method, message.id, message.params, owner)

    def end(self, reason: str) -> None:
        """The pipe is gone: fail everything in flight. `reason` completes "backend X ...". Idempotent."""
        if self._ended is not None:
            return
        self._ended = reason
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_exception(self._over(sent=True))
        for asking in self._questions.values():
            asking.cancel()

    def fail(self, ident: int, error: BackendError | RpcError) -> bool:
        """End one request with an error (its POST failed, its answer was too long); False when it is unknown."""
        pending = self._pending.pop(ident, None)
        if pending is None:
            return False
        if not pending.future.done():
            pending.future.set_exception(error)
        return True

    def overlong(self, head: bytes, tail: bytes, limit: int) -> bool:
        """A message of more than `limit` bytes is being thrown away: fail the request that it answers.

        `head` and `tail` are its ends (`tail` empty while it has not ended). False when it cannot be told from what
        there is which request that is: try again with the tail, then end the session.
        """
        if not head.lstrip().startswith((b"{", b"[")) or METHOD_AHEAD.match(head):
            self._note_stray(f"a line of more than {limit} bytes was thrown away")
            return True
        found = ID_AHEAD.match(head) or ID_BEHIND.search(tail)
        if found is None:
            return False
        text = f"the answer of backend {self._backend} is longer than {limit} bytes (`maxResultBytes` raises the limit)"
        self.fail(int(found[2]), BackendError(FailureKind.BAD_ANSWER, text, sent=True))
        return True

    def _over(self, *, sent: bool) -> BackendError:
        if sent:
            text = f"backend {self._backend} {self._ended} while the call was running; it may have had effects and was not repeated"
            kind = FailureKind.DIED
        else:
            text = f"backend {self._backend} {self._ended} before the call was sent"
            kind = FailureKind.UNAVAILABLE
        see = f". What it printed: mcp-orchestrator backends show {self._backend}"
        return BackendError(kind, text + see, code=CONNECTION_CLOSED, sent=sent)

    def _answered(self, message: jsonrpc.Envelope, line: bytes) -> None:
        key = message.id
        if type(key) is not int:
            key = number_of(key)
        pending = self._pending.pop(key, None) if key is not None else None
        if pending is None or pending.future.done():
            return  # late, doubled or made up
        if message.error and bytes(message.error) != b"null":
            body = jsonrpc.open_error(message.error)
            pending.future.set_exception(RpcError(int(body.code), body.message, body.data))
            return
        result = bytes(message.result)
        if not result.startswith(b"{") or not (line.isascii() or is_utf8(line)):
            text = f"backend {self._backend} answered with a result that is not a JSON object in UTF-8"
            pending.future.set_exception(BackendError(FailureKind.BAD_ANSWER, text, sent=True))
            return
        pending.future.set_result(result)

    def _notified(self, method: str, raw: msgspec.Raw, owner: int | None) -> None:
        try:
            params = jsonrpc.decode(raw) if raw else {}
        except ValueError:
            params = None
        if not isinstance(params, dict):
            self._note_stray(f"malformed notification {method[:80]}")
            return
        if method == "notifications/progress":
            pending = self._pending.get(number_of(params.pop(PROGRESS_TOKEN, None)) or 0)
            if pending is not None and pending.talk is not None:
                pending.talk.progress(params)
        elif (event := event_of(method, params)) is not None:
            self._hear(event)
        elif method == "notifications/cancelled":
            withdrawn = self._questions.pop(params.get("requestId"), None)
            if withdrawn is not None:
                withdrawn.cancel()
        else:
            self._pass_on(method, params, owner)

    def _pass_on(self, method: str, params: dict[str, Any], owner: int | None) -> None:
        """Log messages and extension notifications: to the one call they can belong to, else outside of all calls."""
        if owner is None:
            meta = params.get("_meta")
            owner = number_of(meta.get(SUBSCRIPTION_ID)) if isinstance(meta, dict) else None
        is_log = method == "notifications/message"
        if owner is not None:
            pending = self._pending.get(owner)
        elif method == ELICITATION_COMPLETE and not self._exclusive:
            pending = None  # it is for the client that was asked, which need not be the one that calls now
        else:
            pending = self._only(logging=is_log)
        if pending is not None and pending.talk is not None:
            pending.talk.notify(method, params)
            return
        # What comes while calls are in flight may be about one of them, and is not for everybody.
        common = owner is None and not any(each.talk for each in self._pending.values())
        self._hear(LogLine(params, common) if is_log else Notice(method, params, common))

    def _only(self, *, logging: bool = False) -> Pending | None:
        """The call in flight, if it is the only one (that may log, if `logging`) or all are one client's."""
        found = None
        for pending in self._pending.values():
            if pending.talk is None or (logging and not pending.logs):
                continue
            if self._exclusive:
                return pending
            if found is not None:
                return None
            found = pending
        return found

    def _asked(self, method: str, key: float | str, raw: msgspec.Raw, owner: int | None) -> None:
        if method == "ping":
            self._reply(key, Answer(result={}))
            return
        declined = _DECLINED.get(method)
        if declined is None:
            self._reply(key, Answer(code=METHOD_NOT_FOUND, message=f"Method not found: {method[:80]}"))
            return
        try:
            params = jsonrpc.decode(raw) if raw else {}
        except ValueError:
            params = {}
        pending = self._pending.get(owner) if owner is not None else self._only()
        talk = pending.talk if pending is not None else None
        # Several calls in flight and none to tell by: a guess could put the question before the wrong person.
        outside = self._ask_outside if not any(p.talk for p in self._pending.values()) else None
        ask = talk.ask if talk is not None else outside
        if ask is None or not isinstance(params, dict) or key in self._questions:
            self._reply(key, declined)
            return
        asking = asyncio.ensure_future(ask(Question(method, params)))
        self._questions[key] = asking
        asking.add_done_callback(lambda done: self._asking_over(key, done, declined))
        if pending is not None and talk is not None:
            pending.asks = [*(pending.asks or ()), asking]

    def _asking_over(self, key: float | str, asking: asyncio.Future[Answer], declined: Answer) -> None:
        """Reply to a question; with a decline when asking was cut short, not at all when the backend withdrew it."""
        fault = None if asking.cancelled() else asking.exception()
        if fault is not None:
            self._loop.call_exception_handler({"message": "a question could not be put", "exception": fault})
        if self._questions.pop(key, None) is not None:
            self._reply(key, declined if fault is not None or asking.cancelled() else asking.result())

    def _reply(self, key: float | str, answer: Answer) -> None:
        if self._ended is not None:
            return
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": key}
        if answer.result is not None:
            body["result"] = answer.result
        else:
            body["error"] = {"code": answer.code, "message": answer.message}
        with contextlib.suppress(BackendError, ValueError):
            self._send(jsonrpc.encode(body), None)

    def _unreadable(self, line: bytes, owner: int | None) -> None:
        start = line.lstrip()
        if start.startswith(b"["):
            try:
                batch = msgspec.json.decode(line, type=list[msgspec.Raw])
            except (ValueError, RecursionError):
                batch = []
            for item in batch:
                message = bytes(item)
                if not message.startswith(b"["):
                    self.feed(message, owner)
            if batch:
                return
        found = (ID_AHEAD.match(line[:200]) or ID_BEHIND.search(line[-200:])) if start.startswith(b"{") else None
        if found is not None and not METHOD_AHEAD.match(line):
            text = f"backend {self._backend} answered with malformed JSON"
            if self.fail(int(found[2]), BackendError(FailureKind.BAD_ANSWER, text, sent=True)):
                return
        self._note_stray(line[:_STRAY_CHARS].decode("utf-8", "replace"))

    def _note_stray(self, text: str) -> None:
        self.stray_lines += 1
        if self.stray_lines <= _STRAY_LINES:
            self._stray(f"stdout: {text}")
        if self.stray_lines == _STRAY_LINES:
            self._stray("stdout: further lines that are no messages are counted but not shown")
