"""One `text/event-stream` reply over ASGI: frames pushed from anywhere, written by a task only while there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from mcp_orchestrator.core.wire.sse import encode_event

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

PING_SECONDS: Final = 15.0
BACKLOG_FRAMES: Final = 1024
BACKLOG_BYTES: Final = 8 * 1024 * 1024
_PING: Final = b": ping\n\n"
_NOT_COPIED: Final = 64 * 1024
_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class EventStream:
    """A stream of events to one client; a `Channel`.

    An idle stream costs one timer and no task of its own: the request's task waits for the disconnect, and a writer
    lives only while the backlog is not empty. The backlog is bounded in frames and bytes; `overflowed` is called once
    when a frame does not fit, and without it the frame alone is lost.
    """

    __slots__ = (
        "_backlog",
        "_ended",
        "_headers",
        "_loop",
        "_size",
        "_started",
        "_timer",
        "_wire",
        "_writer",
        "overflowed",
    )

    def __init__(self, wire: Send, headers: Headers = (), overflowed: Callable[[], None] | None = None) -> None:
        self._wire = wire
        self._headers = headers
        self._loop = asyncio.get_running_loop()
        self._backlog: list[bytes] = []
        self._size = 0
        self._started = False
        self._ended = False
        self._writer: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(PING_SECONDS, self._ping)
        self.overflowed = overflowed

    @property
    def ended(self) -> bool:
        """Whether nothing more will be taken."""
        return self._ended

    def open(self) -> None:
        """Send the head of the reply now, before there is any event."""
        self._wake()

    def send(self, message: bytes) -> bool:
        """Queue one JSON-RPC message as an event."""
        return self.push(encode_event(message))

    def push(self, frame: bytes) -> bool:
        """Queue a frame; False when it is lost."""
        if self._ended:
            return False
        if len(self._backlog) >= BACKLOG_FRAMES or (self._size and self._size + len(frame) > BACKLOG_BYTES):
            if self.overflowed is not None:
                overflowed, self.overflowed = self.overflowed, None
                overflowed()
            return False
        self._backlog.append(frame)
        self._size += len(frame)
        self._wake()
        return True

    def end(self, *messages: bytes) -> None:
        """Take no more; the stream closes once the backlog and these last messages are written."""
        self.close(*(encode_event(message) for message in messages))

    def close(self, *frames: bytes) -> None:
        """Like `end`, with frames: the last ones are never lost to a full backlog."""
        if self._ended:
            return
        self._backlog.extend(frames)
        self._ended = True
        self._timer.cancel()
        self._wake()

    def abandon(self) -> None:
        """The client is gone: drop everything."""
        self._ended = True
        self._timer.cancel()
        self._backlog.clear()
        if self._writer is not None:
            self._writer.cancel()

    async def written(self) -> None:
        """Wait until everything queued so far has been handed to the transport."""
        while self._writer is not None:
            await asyncio.wait((self._writer,))

    def ping_now(self) -> None:
        """Send a comment, which proxies take as life and clients ignore."""
        self.push(_PING)

    def _ping(self) -> None:
        self._timer = self._loop.call_later(PING_SECONDS, self._ping)
        if not self._backlog and self._writer is None:
            self.push(_PING)

    def _wake(self) -> None:
        if self._writer is None:
            self._writer = self._loop.create_task(self._write())

    async def _write(self) -> None:
        try:
            if not self._started:
                self._started = True
                head = [*_HEADERS, *self._headers]
                await self._wire({"type": "http.response.start", "status": 200, "headers": head})
                if not self._backlog and not self._ended:
                    # An empty chunk makes servers that hold the head back until the first byte send it.
                    await self._wire({"type": "http.response.body", "body": b"", "more_body": True})
            while self._backlog:
                chunk = self._backlog[0] if len(self._backlog) == 1 else b"".join(self._backlog)
                self._backlog.clear()
                self._size = 0
                await self._wire({"type": "http.response.body", "body": chunk, "more_body": True})
            if self._ended:
                await self._wire({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            self.abandon()
        finally:
            self._writer = None


async def send_event(send: Send, encoded_id: bytes, member: bytes, headers: Headers = ()) -> None:
    """A reply that is one event, the response around `member`; all in one write unless it is large."""
    if b"\n" in member or b"\r" in member:
        member = member.replace(b"\r", b" ").replace(b"\n", b" ")  # white space between tokens: strings escape it
    opening = b'event: message\ndata: {"jsonrpc":"2.0","id":%b,' % encoded_id
    length = (b"content-length", b"%d" % (len(opening) + len(member) + 3))
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length, *headers]})
    if len(member) < _NOT_COPIED:
        await send({"type": "http.response.body", "body": b"%b%b}\n\n" % (opening, member)})
        return
    await send({"type": "http.response.body", "body": opening, "more_body": True})
    await send({"type": "http.response.body", "body": member, "more_body": True})
    await send({"type": "http.response.body", "body": b"}\n\n"})


async def until_gone(receive: Receive) -> None:
    """Wait until the client is gone, or the reply is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
