"""One keep-alive HTTP/1.1 connection: a request at a time, answers parsed as they arrive, every size bounded.

The protocol reads into one scratch buffer that all connections of a pool share; the body of a large answer of known
length goes from the kernel straight into its own buffers, past the parser (RFC 9112 sections 6 and 9).
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import httptools

from mcp_orchestrator.backends.pacing import Pace
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind

MAX_HEAD_BYTES: Final = 64 * 1024
DIRECT_BYTES: Final = 64 * 1024  # from here on a body of known length is read past the parser
SEGMENT_BYTES: Final = 1024 * 1024
DRAIN_BYTES: Final = 64 * 1024
DRAIN_SECONDS: Final = 2.0
_OVERHEAD_PER_BYTE: Final = 16  # of chunked coding, at worst

OnChunk = Callable[[bytes], bool]
"""Gets each piece of an event stream; True says that the answer is complete. May raise BackendError."""


class Response:
    """An answer. `headers` has lower-case names; `chunks` the body in pieces, empty for a consumed event stream."""

    __slots__ = ("chunks", "headers", "size", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.chunks: list[bytes | bytearray] = []
        self.size = 0

    def header(self, name: bytes) -> str:
        """The value of a header, or ""."""
        return self.headers.get(name, b"").decode("latin-1")

    def body(self) -> bytes:
        """The whole body; joined only when it came in several pieces."""
        chunks = self.chunks
        if len(chunks) == 1 and isinstance(chunks[0], bytes):
            return chunks[0]
        return b"".join(chunks)


class EndedError(BackendError):
    """The server ended an event stream in good order, before `OnChunk` had what it waits for."""

    def __init__(self, peer: str) -> None:
        super().__init__(FailureKind.DIED, f"{peer} ended its event stream before the result", sent=True)


class StaleError(Exception):
    """A reused connection was closed before the first byte of an answer: the server may or may not have read."""


class Owner(Protocol):
    """What a connection needs of its pool."""

    peer: str
    max_body: int
    scratch: memoryview

    def connection_free(self, connection: Connection) -> None:
        """The exchange is over and the connection can carry another."""
        ...

    def connection_gone(self, connection: Connection) -> None:
        """The connection is closed or will be; called exactly once."""
        ...


class Connection(asyncio.BufferedProtocol):
    """The protocol of one connection. `send` starts an exchange; the returned future gets the `Response`."""

    __slots__ = (
        "_body_left",
        "_drain",
        "_fed",
        "_filled",
        "_gone",
        "_has_length",
        "_head_done",
        "_keep",
        "_loop",
        "_on_chunk",
        "_owner",
        "_pace",
        "_parser",
        "_problem",
        "_response",
        "_segment",
        "_streaming",
        "_transport",
        "_waiter",
        "idle_limit",
        "idle_since",
        "used",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport  # from connection_made on
        self._parser: Any = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Response] | None = None
        self._response = Response()
        self._on_chunk: OnChunk | None = None
        self._problem: BackendError | None = None
        self._segment: bytearray | None = None
        self._filled = self._body_left = self._fed = 0
        self._head_done = self._has_length = self._keep = self._streaming = self._gone = False
        self._drain: asyncio.TimerHandle | None = None
        self._pace = Pace()
        self.used = False
        self.idle_since = 0.0
        self.idle_limit: float | None = None

    @property
    def gone(self) -> bool:
        """True once the connection cannot carry another exchange."""
        return self._gone

    def send(self, data: bytes, on_chunk: OnChunk | None) -> asyncio.Future[Response]:
        """Write one whole request. The future fails with BackendError, or StaleError on a reused connection."""
        waiter: asyncio.Future[Response] = self._loop.create_future()
        self._waiter = waiter
        self._on_chunk = on_chunk
        self._response = Response()
        self._fed = 0
        self._head_done = self._streaming = False
        self._transport.write(data)
        return waiter

    def silent(self) -> bool:
        """Whether nothing waits in the socket: an idle connection with something to read was closed by the peer."""
        socket = self._transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def now(self) -> float:
        """The clock of the loop, in seconds."""
        return self._loop.time()

    def close_with(self, error: BackendError) -> None:
        """Close at once; a pending waiter gets `error`."""
        self._fail(error)

    def abort(self) -> None:
        """Close at once, whatever is under way; a pending waiter is left to its caller."""
        self._waiter = None
        self._leave()
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the next bytes go: the shared scratch, or the rest of the body's own buffer."""
        if self._segment is not None:
            return memoryview(self._segment)[self._filled :]
        return self._owner.scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what was read."""
        if self._segment is not None:
            self._direct(nbytes)
            return
        if self._waiter is None:  # nothing was asked
            self.abort()
            return
        self._fed += nbytes
        if self._streaming:
            began = time.thread_time()
            self._parse(nbytes)
            self._hold_back(self._pace.took(time.thread_time() - began, self._loop.time()))
        else:
            self._parse(nbytes)

    def _hold_back(self, seconds: float) -> None:
        """Leave a flood waiting in the sender's socket for a while."""
        if seconds and not self._transport.is_closing():
            self._transport.pause_reading()
            self._loop.call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _parse(self, nbytes: int) -> None:
        try:
            self._parser.feed_data(self._owner.scratch[:nbytes])
        except httptools.HttpParserUpgrade:
            self._problem = self._bad("switched protocols unasked")
        except httptools.HttpParserError as error:
            self._problem = self._problem or self._bad(f"is not well-formed HTTP ({error})")
        if self._problem is not None:
            self._fail(self._problem)
        elif self._waiter is not None:
            self._after_feed()

    def eof_received(self) -> bool:
        """The peer sends no more: the transport may close, `connection_lost` follows."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle whoever still waits."""
        self._leave()
        waiter, self._waiter = self._waiter, None
        if self._drain is not None:
            self._drain.cancel()
        if waiter is None or waiter.done():
            return
        if self._head_done and not self._has_length and not self._streaming and exc is None:
            waiter.set_result(self._response)
        elif self._fed == 0 and self.used:
            waiter.set_exception(StaleError())
        else:
            what = "before it answered" if self._fed == 0 else "in the middle of its answer"
            text = f"{self._owner.peer} closed the connection {what}"
            waiter.set_exception(BackendError(FailureKind.DIED, text, sent=True))

    # What the parser calls. These never raise: httptools would hide what went wrong.

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._waiter is None:
            self._problem = self._bad("was followed by another that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header (or trailer) line."""
        self._response.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Judge the head: status, framing, coding, announced size."""
        response = self._response
        response.status = status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004 - interim answers are skipped
            return
        self._head_done = True
        headers = response.headers
        self._keep = self._parser.should_keep_alive()
        coding = headers.get(b"content-encoding", b"identity").lower()
        if coding not in (b"identity", b""):
            name = coding[:40].decode("latin-1")
            self._problem = self._bad(f"is compressed ({name}), though only `identity` was accepted")
        length = headers.get(b"content-length")
        self._body_left = -1
        self._has_length = length is not None or b"transfer-encoding" in headers or status in {204, 304}
        if length is not None:
            self._body_left = int(length)
            if self._body_left > self._owner.max_body:
                self._problem = self._bad(
                    f"announces {self._body_left} bytes, the limit is {self._owner.max_body} bytes (`maxResultBytes`)"
                )
        if self._on_chunk is not None:
            kind = headers.get(b"content-type", b"")
            self._streaming = kind[:17].lower() == b"text/event-stream"
            if self._streaming:
                self.on_body(b"")  # who reads the stream learns that it is open before anything comes on it

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        response = self._response
        response.size += len(body)
        if self._problem is not None:
            return
        if not self._streaming:
            if response.size > self._owner.max_body:
                self._problem = self._bad(
                    f"is larger than the limit of {self._owner.max_body} bytes (`maxResultBytes`)"
                )
            response.chunks.append(body)
            return
        if self._drain is not None or self._waiter is None or self._waiter.done():
            return
        try:
            complete = cast("OnChunk", self._on_chunk)(body)
        except BackendError as error:
            self._problem = error
            return
        if complete:
            self._waiter.set_result(response)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._response.status < 200:  # noqa: PLR2004 - the final answer is still to come
            self._response.headers.clear()
            return
        if self._problem is None:
            self._finish()

    # The rest is ours.

    def _after_feed(self) -> None:
        """Called when an answer is still incomplete after what was fed."""
        if self._waiter is not None and self._waiter.done():  # an event stream whose answer has already come
            if self._drain is None:
                self._response.size = 0
                self._drain = self._loop.call_later(DRAIN_SECONDS, self.abort)
            elif self._response.size > DRAIN_BYTES:
                self.abort()
            return
        size = self._response.size
        if self._fed - size > MAX_HEAD_BYTES + _OVERHEAD_PER_BYTE * size:
            self._fail(self._bad(f"has a head of more than {MAX_HEAD_BYTES} bytes"))
        elif self._head_done and not self._streaming and self._body_left - size > DIRECT_BYTES:
            self._body_left -= size
            self._next_segment()

    def _next_segment(self) -> None:
        self._segment = bytearray(min(self._body_left, SEGMENT_BYTES))
        self._filled = 0

    def _direct(self, nbytes: int) -> None:
        """Some of a long body was read into its own buffer."""
        segment = cast("bytearray", self._segment)
        self._filled += nbytes
        self._body_left -= nbytes
        if self._filled < len(segment):
            return
        self._response.chunks.append(segment)
        self._response.size += len(segment)
        if self._body_left:
            self._next_segment()
            return
        self._segment = None
        self._parser = httptools.HttpResponseParser(self)  # the old one still waits for this body
        self._finish()

    def _finish(self) -> None:
        waiter, self._waiter = self._waiter, None
        response, self._response = self._response, Response()  # nothing that follows may touch what is handed out
        self._on_chunk = None
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
        if self._keep:
            if not self.used:
                self._learn(response)
            self._owner.connection_free(self)
        else:
            self._leave()
            self._transport.close()
        if waiter is not None and not waiter.done():
            if self._streaming:
                waiter.set_exception(EndedError(self._owner.peer))
            else:
                waiter.set_result(response)

    def _learn(self, response: Response) -> None:
        """After the first exchange: how long does the server keep an idle connection (`Keep-Alive: timeout=N`)?"""
        self.used = True
        for part in response.header(b"keep-alive").split(","):
            name, _, value = part.strip().partition("=")
            if name.lower() == "timeout" and value.isdigit():
                self.idle_limit = max(0.0, int(value) - 1.0)

    def _bad(self, what: str) -> BackendError:
        return BackendError(FailureKind.BAD_ANSWER, f"the answer of {self._owner.peer} {what}", sent=True)

    def _fail(self, error: BackendError) -> None:
        waiter = self._waiter
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._owner.connection_gone(self)
