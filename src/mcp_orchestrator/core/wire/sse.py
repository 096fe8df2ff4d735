"""Server-sent events: one-line encoder and incremental, bounded parser (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_UNSAFE: Final = re.compile(r"[\r\n\0]")
_BOM: Final = b"\xef\xbb\xbf"
_MAX_RETRY_DIGITS: Final = 9
DEFAULT_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024


class EventTooLargeError(ValueError):
    """An event grew beyond the bound before it ended; the stream cannot be trusted any further."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event as it was sent. `id` and `retry` (milliseconds) are None where the event did not carry them.

    Unlike a browser's parser, ours also delivers events without data when they carry an id or a retry time: MCP
    primes a stream with such events (2025-11-25 basic/transports, resumability).
    """

    event: str
    data: bytes
    id: str | None = None
    retry: int | None = None


def encode_event(
    data: bytes, *, event: str | None = "message", event_id: str | None = None, retry: int | None = None
) -> bytes:
    """One event, blank line included. `data` is split at line ends, which compact JSON does not have; `retry` is ms."""
    head = "" if event is None else f"event: {_UNSAFE.sub('', event)}\n"
    if event_id is not None:
        head += f"id: {_UNSAFE.sub('', event_id)}\n"
    if retry is not None:
        head += f"retry: {retry}\n"
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"%bdata: %b\n\n" % (head.encode(), data)


class Parser:
    """Turns chunks of a stream, cut anywhere, into events. Holds at most `max_event_bytes` of an unfinished one."""

    __slots__ = ("_data", "_event", "_id", "_limit", "_retry", "_scanned", "_size", "_skip_lf", "_start", "_tail")

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._tail = bytearray()
        self._scanned = 0
        self._skip_lf = False
        self._start = True
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0
        self._id: str | None = None
        self._retry: int | None = None

    def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """The events that this chunk completes, in order.

        Raises:
            EventTooLargeError: an unfinished event holds more than the bound.
        """
        tail = self._tail
        tail += chunk
        if self._start and not self._strip_bom():
            return []
        events: list[ServerSentEvent] = []
        position = 0
        search = self._scanned
        # Both positions are searched once and kept, so that many lines in one chunk stay linear.
        line_feed = tail.find(b"\n", search)
        carriage = tail.find(b"\r", search)
        while True:
            if line_feed < 0 and carriage < 0:
                break
            end = carriage if line_feed < 0 or 0 <= carriage < line_feed else line_feed
            after_return = self._skip_lf and end == line_feed and end == position
            self._skip_lf = end == carriage
            if not after_return:
                self._line(bytes(tail[position:end]), events)
            position = end + 1
            if end == line_feed:
                line_feed = tail.find(b"\n", position)
            else:
                carriage = tail.find(b"\r", position)
        if position:
            del tail[:position]
        self._scanned = len(tail)
        if tail:
            self._skip_lf = False
        if self._size + len(tail) > self._limit:
            raise EventTooLargeError(f"a server-sent event is larger than {self._limit} bytes")
        return events

    def _strip_bom(self) -> bool:
        """Take a byte order mark off the start; False while it cannot be told yet."""
        if len(self._tail) < len(_BOM) and _BOM.startswith(self._tail):
            return False
        if self._tail.startswith(_BOM):
            del self._tail[: len(_BOM)]
        self._start = False
        return True

    def _line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if not line:
            self._dispatch(events)
            return
        if line.startswith(b"data: "):  # nearly every line; one copy instead of three
            name, value = b"data", line[6:]
        else:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > self._limit + 1:
                raise EventTooLargeError(f"a server-sent event is larger than {self._limit} bytes")
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self._retry = int(value)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        data = self._data
        if data or self._id is not None or self._retry is not None:
            body = data[0] if len(data) == 1 else b"\n".join(data)
            events.append(ServerSentEvent(self._event or "message", body, self._id, self._retry))
        self._event = ""
        self._data = []
        self._size = 0
        self._id = None
        self._retry = None
