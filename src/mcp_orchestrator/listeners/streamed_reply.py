"""The reply to one POST of a legacy client that reads event streams: one write if quick, else a stream it can resume.

MCP 2025-11-25 basic/transports (sending messages, resumability). A client that leaves does not cancel its request:
what is said meanwhile waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mcp_orchestrator.core.wire.jsonrpc import RequestId, encode
from mcp_orchestrator.listeners.event_stream import EventStream, Receive, Send, send_event, until_gone
from mcp_orchestrator.listeners.mcp_server import response
from mcp_orchestrator.listeners.replay import Streams, Track

OPEN_AFTER: Final = 0.5
"""Seconds until the stream of a silent call begins: most calls are over sooner, also under load, and keep nothing."""


class StreamedReply:
    """A `Channel` for what a run says before its result, then the way for the result itself.

    `streams` makes or finds the session's streams; it is called only if this reply becomes one of them. `primed`:
    the client knows events without data (2025-11-25).
    """

    __slots__ = ("_loop", "_opened", "_primed", "_receive", "_send", "_streams", "_timer", "_watcher")

    def __init__(self, receive: Receive, send: Send, streams: Callable[[], Streams], *, primed: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._send = send
        self._streams = streams
        self._primed = primed
        self._opened: tuple[Track, EventStream] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(OPEN_AFTER, self._open)

    @property
    def streaming(self) -> bool:
        """Whether the reply became a stream that lasts."""
        return self._opened is not None

    def send(self, message: bytes) -> bool:
        """Send a message before the result, or keep it for a client that is away."""
        return self._open()[0].send(message)

    def let_go(self, after: float) -> None:
        """Let the client come back for the rest in `after` seconds, if it can."""
        self._open()[0].let_go(after)

    async def finish(self, request_id: RequestId, member: bytes) -> None:
        """Send the result (`"result":...` or `"error":...`) and close the reply."""
        if self._opened is None:
            self.close()
            await send_event(self._send, encode(request_id), member)
            return
        track, wire = self._opened
        track.finish(response(request_id, member))
        # The watcher stays until all is written: it frees us from a client that left without reading.
        await wire.written()
        self.close()

    def close(self) -> None:
        """Stop the clock and the watcher; idempotent."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def drop(self) -> None:
        """The request itself was cut off: leave nothing behind."""
        self.close()
        if self._opened is not None:
            track, wire = self._opened
            track.leave(wire)
            wire.abandon()

    def _open(self) -> tuple[Track, EventStream]:
        if self._opened is None:
            self._timer.cancel()
            track, wire = self._streams().open(), EventStream(self._send)
            self._opened = track, wire
            track.begin(wire, primed=self._primed)
            self._watcher = self._loop.create_task(self._await_leaving(track, wire))
        return self._opened

    async def _await_leaving(self, track: Track, wire: EventStream) -> None:
        await until_gone(self._receive)
        track.leave(wire)
        wire.abandon()
