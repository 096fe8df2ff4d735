"""The reply to one POST: JSON if the result comes first, an event stream as soon as anything else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mcp_orchestrator.core.wire.jsonrpc import RequestId, encode
from mcp_orchestrator.listeners.event_stream import PING_SECONDS, EventStream, Headers, Receive, Send, until_gone
from mcp_orchestrator.listeners.http_guard import send_json, send_member
from mcp_orchestrator.listeners.mcp_server import response

WATCH_AFTER: Final = 0.05
"""Seconds until somebody looks whether the client is still there: most calls are over sooner and need no watcher."""


class Reply:
    """A `Channel` for what a run says before its result, then the way for the result itself.

    The stream begins with the first message, or after 15 s so that pings keep proxies from closing the connection.
    """

    __slots__ = ("_gone", "_loop", "_receive", "_send", "_stream", "_timer", "_watcher", "left")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._send = send
        self._gone: Callable[[], None] | None = None
        self._stream: EventStream | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle = self._loop.call_later(WATCH_AFTER, self._linger)
        self.left = False

    @property
    def streaming(self) -> bool:
        """Whether the reply became an event stream."""
        return self._stream is not None

    def on_leaving(self, gone: Callable[[], None]) -> None:
        """Have `gone` called once if the client leaves before the end."""
        self._gone = gone

    def send(self, message: bytes) -> bool:
        """Send a message before the result; the reply becomes an event stream."""
        if self.left:
            return False
        return self._streamed().send(message)

    async def finish(self, status: int, request_id: RequestId, member: bytes, headers: Headers = ()) -> None:
        """Send the result (`"result":...` or `"error":...`) and close the reply.

        A reply that became an event stream has its status and headers already: those given here are not sent then.
        """
        if self._stream is None:
            self.close()
            await send_member(self._send, status, encode(request_id), member, headers)
        else:
            await self._end_stream(response(request_id, member))

    async def finish_whole(self, message: bytes | None) -> None:
        """Send a whole message with status 200, or nothing more, and close the reply."""
        if self._stream is not None:
            await self._end_stream(*(() if message is None else (message,)))
        elif message is not None:
            self.close()
            await send_json(self._send, 200, message)

    def close(self) -> None:
        """Stop the clock and the watcher; idempotent."""
        self._gone = None
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def drop(self) -> None:
        """The request itself was cut off: leave nothing behind."""
        self.close()
        self.left = True
        if self._stream is not None:
            self._stream.abandon()

    async def _end_stream(self, *messages: bytes) -> None:
        stream = self._streamed()
        self._gone = None
        stream.end(*messages)
        # The watcher stays until all is written: it frees us from a client that left without reading.
        await stream.written()
        self.close()

    def _streamed(self) -> EventStream:
        if self._stream is None:
            self._stream = EventStream(self._send)
            self._watch()
        return self._stream

    def _linger(self) -> None:
        self._watch()
        self._timer = self._loop.call_later(PING_SECONDS - WATCH_AFTER, self._keep_alive)

    def _keep_alive(self) -> None:
        if not self.left:
            self._streamed().ping_now()

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = self._loop.create_task(self._await_leaving())

    async def _await_leaving(self) -> None:
        await until_gone(self._receive)
        self.left = True
        self._timer.cancel()
        if self._stream is not None:
            self._stream.abandon()
        if self._gone is not None:
            gone, self._gone = self._gone, None
            gone()
