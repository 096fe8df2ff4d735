"""The stdio listener: one client on standard input and output, whose first request decides the era of the connection."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, assert_never

from mcp_orchestrator.core.wire.jsonrpc import decode, error_bytes
from mcp_orchestrator.listeners.batches import answer_batch, batch_of
from mcp_orchestrator.listeners.envelopes import Malformed, Notification, Request, Response, read_message
from mcp_orchestrator.listeners.mcp_eras import has_modern_envelope
from mcp_orchestrator.listeners.mcp_server import refusal_response
from mcp_orchestrator.listeners.pipes import LineSplitter, PipeReader, PipeWriter
from mcp_orchestrator.listeners.sessions import QUESTION_SECONDS
from mcp_orchestrator.listeners.stdio_eras import Conversation, LegacyConversation, ModernConversation
from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.model.errors import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR
from mcp_orchestrator.plugin_api import GatewayDoor, Listener
from mcp_orchestrator.runtime.callers import local_principal

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
END_SECONDS: Final = 10.0
_IN_FLIGHT: Final = 1024
_FLUSH_SECONDS: Final = 2.0
_CLEANUP_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.1

_log: Final = logging.getLogger(__name__)


class StdioListener(Listener):
    """Serves one client on a pair of descriptors.

    While it serves, descriptor `stdin` reads from nothing and descriptor 1 leads to standard error, so that neither
    prints of ours nor those of anything we load can break the protocol. `end_grace` is how many seconds running
    calls have to finish once the client closed its end.
    """

    def __init__(
        self,
        gateway: GatewayDoor,
        *,
        profile: str | None = None,
        principal: Principal | None = None,
        stdin: int = 0,
        stdout: int = 1,
        max_line_bytes: int = MAX_LINE_BYTES,
        question_expiry: float = QUESTION_SECONDS,
        end_grace: float = END_SECONDS,
    ) -> None:
        self._gateway = gateway
        self._profile = profile
        self._principal = principal or local_principal()
        self._stdin = stdin
        self._stdout = stdout
        self._max_line = max_line_bytes
        self._expiry = question_expiry
        self._end_grace = end_grace
        self._conversation: Conversation | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._reader: PipeReader | None = None
        self._writer: PipeWriter | None = None
        self._congested = False
        self._full = False

    def known_as(self, principal: Principal) -> None:
        """The client is this principal from now on: the same one, with other groups or another team."""
        self._principal = principal
        if self._conversation is not None:
            self._conversation.known_as(principal)

    async def serve(self, started: Callable[[str], None]) -> None:
        """Serve until the client closes its end, or until stopped or cancelled.

        Raises:
            ValueError: the profile does not exist.
        """
        if self._profile is not None and not self._gateway.has_profile(self._profile):
            raise ValueError(f"there is no profile {self._profile!r} in the configuration")
        if self._stopped.is_set():
            return
        streams = _Diverted(self._stdin, self._stdout)
        try:
            self._writer = PipeWriter(streams.output, self._lags, self._ended)
            splitter = LineSplitter(self._max_line, self._line, self._line_too_long)

            def ended() -> None:
                splitter.end()
                self._ended()

            self._reader = PipeReader(streams.input, splitter.feed, ended)
            self._reader.start()
            started("stdio")
            await self._stopped.wait()
        finally:
            if not self._stopped.is_set():
                await self._close(0.0)
            streams.restore()

    async def stop(self, drain: float) -> None:
        """Read no more, end subscriptions, wait up to `drain` seconds for running calls, then end."""
        if self._reader is None:
            self._stopped.set()  # not serving yet: `serve` returns at once
        elif not self._stopped.is_set():
            await self._close(drain)

    # -- the client's side --------------------------------------------------------------------------------------------

    def _line(self, line: bytes) -> None:
        try:
            value = decode(line)
        except ValueError as error:
            self._put(error_bytes(None, PARSE_ERROR, f"Parse error: {error}"))
            return
        if type(value) is list:
            self._spawn(self._batch(value), None)
            return
        message = read_message(value)
        match message:
            case Request():
                self._spawn(self._answer(self._decide(message), message), message.id)
            case Notification(method, params):
                if self._conversation is not None:
                    self._spawn(self._conversation.notified(method, params), None)
            case Response():
                if self._conversation is not None:
                    self._conversation.answered(message)
            case Malformed():
                self._put(refusal_response(message))
            case _:
                assert_never(message)

    def _decide(self, request: Request) -> Conversation:
        """The first request decides: a per-request version makes it modern, `initialize` and all else legacy.

        A client that gave up waiting for the answer to its probe may still begin with `initialize`.
        """
        known = self._conversation
        gave_up = isinstance(known, ModernConversation) and known.only_probed and request.method == "initialize"
        if known is not None and not gave_up:
            return known
        assert self._writer is not None  # noqa: S101 - lines are read only after the writer exists
        if request.method != "initialize" and has_modern_envelope(request.params):
            self._conversation = ModernConversation(self._gateway, self._profile, self._principal, self._writer)
        else:
            self._conversation = LegacyConversation(
                self._gateway, self._profile, self._principal, self._writer, self._expiry
            )
        return self._conversation

    async def _answer(self, conversation: Conversation, request: Request) -> None:
        answer = await conversation.answer(request)
        if answer is not None:
            self._put(answer)

    async def _batch(self, items: list[Any]) -> None:
        # In a task of its own, so that a batch sent right behind `initialize` finds the session as a request would.
        session = self._conversation.session if self._conversation is not None else None
        if session is None:
            text = "batches need a session of a protocol version that has them"
            self._put(refusal_response(Malformed(None, INVALID_REQUEST, text)))
            return
        batch = batch_of(items, session.face.version)
        if isinstance(batch, Malformed):
            self._put(refusal_response(batch))
            return
        answers = await answer_batch(session, batch, self._writer)
        if answers:
            self._put(b"[" + b",".join(answers) + b"]")

    def _line_too_long(self) -> None:
        self._put(error_bytes(None, INVALID_REQUEST, f"the line is longer than {self._max_line} bytes"))

    def _put(self, message: bytes) -> None:
        if self._writer is not None:
            self._writer.put(message)

    def _spawn(self, work: Coroutine[Any, Any, None], request_id: int | str | None) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        if len(self._tasks) >= _IN_FLIGHT and not self._full:
            self._full = True
            self._regulate()

    async def _guarded(self, work: Coroutine[Any, Any, None], request_id: int | str | None) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - the edge of a request: a bug here must not take other requests along
            _log.exception("request failed")
            if request_id is not None:
                text = "internal error; the log of the gateway says more"
                self._put(error_bytes(request_id, INTERNAL_ERROR, text))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._full and len(self._tasks) < _IN_FLIGHT // 2:
            self._full = False
            self._regulate()

    def _lags(self, lagging: bool) -> None:
        self._congested = lagging
        self._regulate()

    def _regulate(self) -> None:
        """Read only while the client reads, and while not too much is running."""
        if self._reader is not None:
            if self._congested or self._full:
                self._reader.pause()
            else:
                self._reader.resume()

    # -- the end ------------------------------------------------------------------------------------------------------

    def _ended(self) -> None:
        """The client closed its end (what runs may finish), or nobody reads us any more (nothing is worth finishing)."""
        if self._closing is None:
            broken = self._writer is None or self._writer.closed
            self._closing = asyncio.get_running_loop().create_task(self._close(0.0 if broken else self._end_grace))

    async def _let_finish(self, writer: PipeWriter, seconds: float) -> None:
        """Wait for what runs while anybody is there to read the answers: a client that was killed reads none."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._tasks and (left := until - loop.time()) > 0 and not writer.unread():
            await asyncio.wait(set(self._tasks), timeout=min(left, _LOOK_SECONDS))

    async def _close(self, drain: float) -> None:
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            return
        reader.close()
        conversation = self._conversation
        if conversation is not None:
            conversation.end_streams()
        await self._let_finish(writer, drain)
        if conversation is not None:
            conversation.close("the client is gone" if self._closing is not None else "the gateway is stopping")
        left = set(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CLEANUP_SECONDS)
        await writer.drained(_FLUSH_SECONDS)
        writer.close()
        self._stopped.set()


class _Diverted:
    """The protocol's own descriptors; the standard ones lead elsewhere until `restore`."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self.input = os.dup(stdin)
        self.output = os.dup(stdout)
        self._stdin, self._stdout = stdin, stdout
        self._blocking = (os.get_blocking(self.input), os.get_blocking(self.output))
        self._standard = (stdin, stdout) == (0, 1)
        if self._standard:
            sys.stdout.flush()
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.close(nothing)
            os.dup2(2, 1)

    def restore(self) -> None:
        """Put the descriptors back as they were; others may share them."""
        os.set_blocking(self.input, self._blocking[0])
        os.set_blocking(self.output, self._blocking[1])
        if self._standard:
            sys.stdout.flush()
            os.dup2(self.input, 0)
            os.dup2(self.output, 1)
        os.close(self.input)
        os.close(self.output)
