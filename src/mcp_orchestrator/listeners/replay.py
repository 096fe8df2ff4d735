"""What the event streams of legacy sessions said lately, so that a client that comes back misses nothing.

MCP 2025-11-25 basic/transports (resumability and redelivery). An event id is `STREAM-NUMBER`: it names the stream, and
the client's place in it. Stream 0 is the one outside of any request; every other belongs to one POST. All that is kept
is bounded per session and per listener, in events, bytes and time; the oldest goes first.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from mcp_orchestrator.core.wire.sse import encode_event
from mcp_orchestrator.listeners.event_stream import EventStream

KEPT_EVENTS: Final = 512
KEPT_BYTES: Final = 4 * 1024 * 1024  # of one session; a single larger event is kept alone
SHELF_BYTES: Final = 32 * 1024 * 1024  # of all sessions together
KEPT_SECONDS: Final = 300.0
RETRY_MS: Final = 1000
"""After how long a client whose stream broke off should come back."""

_LONGEST_RETRY_MS: Final = 60_000
_EVENT_ID: Final = re.compile(rb"(\d{1,12})-(\d{1,12})")


class Shelf:
    """What all sessions of one listener keep: the one that said nothing for longest gives way. `clock` is in seconds."""

    __slots__ = ("_keeping", "clock", "size")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.size = 0
        self._keeping: dict[Streams, None] = {}

    def grew(self, streams: Streams) -> None:
        """`streams` kept one more event."""
        self._keeping.pop(streams, None)
        self._keeping[streams] = None
        while self.size > SHELF_BYTES and (oldest := next(iter(self._keeping))) is not streams:
            oldest.evict()

    def emptied(self, streams: Streams) -> None:
        """`streams` keeps nothing any more."""
        self._keeping.pop(streams, None)

    def expire(self) -> None:
        """Drop what was said too long ago."""
        last = self.clock() - KEPT_SECONDS
        for streams in list(self._keeping):
            streams.expire(last)


class Streams:
    """The event streams of one session, and what they said lately. Made with the first stream."""

    __slots__ = ("_closed", "_events", "_opened", "_shelf", "_size", "_tracks", "main")

    def __init__(self, shelf: Shelf) -> None:
        self.main = Track(self, 0)
        self._shelf = shelf
        self._tracks: dict[int, Track] | None = None
        self._opened = 0
        self._events: deque[tuple[float, Track, int, bytes]] | None = None
        self._size = 0
        self._closed = False

    def open(self) -> Track:
        """The stream of a POST."""
        self._opened += 1
        if self._tracks is None:
            self._tracks = {}
        track = self._tracks[self._opened] = Track(self, self._opened)
        return track

    def find(self, event_id: bytes) -> tuple[Track, int] | None:
        """The stream that an event id names and the client's place in it; None when nothing is known of it any more."""
        named = _EVENT_ID.fullmatch(event_id)
        if named is None:
            return None
        number, place = int(named[1]), int(named[2])
        track = (self._tracks or {}).get(number) if number else self.main
        return None if track is None or place > track.last else (track, place)

    def keep(self, track: Track, frame: bytes) -> bool:
        """Keep the newest event of a stream; False when the session is over."""
        if self._closed:
            return False
        if self._events is None:
            self._events = deque()
        self._events.append((self._shelf.clock(), track, track.last, frame))
        self._size += len(frame)
        self._shelf.size += len(frame)
        while len(self._events) > KEPT_EVENTS or (self._size > KEPT_BYTES and len(self._events) > 1):
            self.evict()
        self._shelf.grew(self)
        return True

    def after(self, track: Track, place: int) -> list[bytes]:
        """What is still known of a stream's events after a place, in order."""
        return [frame for _, owner, number, frame in self._events or () if owner is track and number > place]

    def forget(self, track: Track) -> None:
        """A stream leaves nothing behind."""
        if self._tracks is not None:
            self._tracks.pop(track.number, None)

    def evict(self) -> None:
        """Drop the oldest event; a stream whose end it was cannot be resumed any more."""
        events = self._events
        if not events:
            return
        _, track, number, frame = events.popleft()
        self._size -= len(frame)
        self._shelf.size -= len(frame)
        if track.finished and number == track.last:
            self.forget(track)
        if not events:
            self._events = None
            self._shelf.emptied(self)

    def expire(self, last: float) -> None:
        """Drop what was said before `last`."""
        while self._events and self._events[0][0] <= last:
            self.evict()

    def close(self) -> None:
        """The session is over: nothing is kept, and nothing more will be said outside of requests."""
        self._closed = True
        while self._events:
            self.evict()
        if self.main.wire is not None:
            self.main.wire.end()


class Track:
    """One stream as its client sees it, over however many connections; a `Channel`.

    `wire` is the connection that it has now, None while the client is away. `last` is the number of its newest event.
    `primed` says that the client knows events without data, which tell it its place in the stream: they came with
    2025-11-25, and older clients take them for malformed messages. Only such a client is ever let go of.
    """

    __slots__ = ("_primed", "_streams", "finished", "last", "number", "wire")

    def __init__(self, streams: Streams, number: int) -> None:
        self._streams = streams
        self._primed = False
        self.number = number
        self.last = 0
        self.finished = False
        self.wire: EventStream | None = None

    def send(self, message: bytes) -> bool:
        """Say something now, or once the client is back; False when nobody will ever hear it."""
        if self.finished:
            return False
        frame = self._framed(message)
        heard = self.wire is not None and self.wire.push(frame)
        return self._streams.keep(self, frame) or heard

    def finish(self, message: bytes) -> None:
        """Say the last thing and close the connection."""
        wire, self.wire = self.wire, None
        frame = self._framed(message)
        self.finished = True
        if not self._streams.keep(self, frame):
            self._streams.forget(self)
        if wire is not None:
            wire.close(frame)

    def begin(self, wire: EventStream, *, primed: bool) -> None:
        """The first connection: tell the client its place, so that it can resume from the very start."""
        self.resume(wire, self.last, primed=primed)

    def resume(self, wire: EventStream, place: int, *, primed: bool) -> None:
        """The client is back, on a new connection: say again what came after `place`, then go on."""
        self._primed = primed
        previous, self.wire = self.wire, wire
        if previous is not None:
            previous.end()
        wire.open()
        for frame in self._streams.after(self, place):
            wire.push(frame)
        if self.finished:
            self.wire = None
            wire.end()
        elif primed:
            wire.push(encode_event(b"", event=None, event_id=f"{self.number}-{self.last}", retry=RETRY_MS))

    def leave(self, wire: EventStream) -> None:
        """A connection is gone."""
        if self.wire is wire:
            self.wire = None

    def let_go(self, after: float) -> None:
        """Close the connection for now; the client is to come back in `after` seconds."""
        wire = self.wire
        if wire is None or not self._primed:
            return
        self.wire = None
        wire.close(b"retry: %d\n\n" % max(1, min(_LONGEST_RETRY_MS, round(after * 1000))))

    def _framed(self, message: bytes) -> bytes:
        self.last += 1
        return encode_event(message, event_id=f"{self.number}-{self.last}")
