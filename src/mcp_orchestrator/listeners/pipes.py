"""Newline-delimited messages over a pair of file descriptors, on the event loop, bounded in both directions.

Own reading and writing rather than asyncio's pipe transports: those refuse regular files, and their writing side
closes itself when a bidirectional socket, which some programs give a child as standard output, becomes readable.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
from collections.abc import Callable
from typing import Final

READ_BYTES: Final = 256 * 1024
_HIGH_WATER: Final = 1024 * 1024
_LOW_WATER: Final = 256 * 1024
_LOSSY_WATER: Final = 8 * 1024 * 1024


class LineSplitter:
    """Cuts a byte stream into lines; a line longer than `limit` bytes is dropped and reported once."""

    __slots__ = ("_limit", "_line", "_parts", "_size", "_skipping", "_too_long")

    def __init__(self, limit: int, line: Callable[[bytes], None], too_long: Callable[[], None]) -> None:
        self._limit = limit
        self._line = line
        self._too_long = too_long
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            self._complete()
            start = end + 1
        if start < len(data):
            self._keep(data[start:] if start else data)

    def end(self) -> None:
        """No more bytes: what is left counts as a line."""
        if self._parts:
            self._complete()

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
            if not self._skipping:
                self._skipping = True
                self._too_long()
        else:
            self._parts.append(part)

    def _complete(self) -> None:
        parts, skipped = self._parts, self._skipping
        self._parts, self._size, self._skipping = [], 0, False
        if skipped:
            return
        line = (parts[0] if len(parts) == 1 else b"".join(parts)).strip(b" \t\r")
        if line:
            self._line(line)


class PipeReader:
    """Reads a descriptor whenever it has something; one that cannot be waited for is read in a thread."""

    def __init__(self, fd: int, data: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._fd = fd
        self._data = data
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._pollable = can_be_waited_for(fd)
        self._may_read = asyncio.Event()
        self._thread_reader: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to read."""
        if self._pollable:
            os.set_blocking(self._fd, False)
        else:
            self._thread_reader = self._loop.create_task(self._read_in_thread())
        self.resume()

    def pause(self) -> None:
        """Read no more for now: the sender will have to wait."""
        self._may_read.clear()
        if self._pollable:
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Go on reading."""
        if self._closed:
            return
        self._may_read.set()
        if self._pollable:
            self._loop.add_reader(self._fd, self._read)

    def close(self) -> None:
        """Stop for good; the descriptor stays open."""
        if not self._closed:
            self.pause()
            self._closed = True
            if self._thread_reader is not None:
                self._thread_reader.cancel()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""  # a terminal that went away reads as an error, and means the end all the same
        self._take(data)

    async def _read_in_thread(self) -> None:
        while not self._closed:
            await self._may_read.wait()
            self._take(await asyncio.to_thread(os.read, self._fd, READ_BYTES))

    def _take(self, data: bytes) -> None:
        if self._closed:
            return
        if data:
            self._data(data)
        else:
            self.close()
            self._ended()


class PipeWriter:
    """A `Channel` of one message per line.

    Messages of one turn of the loop leave in one write. When the reader of the pipe lags, `congested` is called with
    True and later with False; notifications are dropped (`send`) once 8 MiB wait, responses (`put`) never.
    """

    def __init__(self, fd: int, congested: Callable[[bool], None], broken: Callable[[], None]) -> None:
        self._fd = fd
        self._congested = congested
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._buffer: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._waiting = False
        self._lagging = False
        self._empty = asyncio.Event()
        self._empty.set()
        self.closed = False
        if can_be_waited_for(fd):
            os.set_blocking(fd, False)

    def unread(self) -> bool:
        """Whether the other end is closed, so that nothing more can be read there (poll(2): POLLERR, POLLHUP)."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self._fd, 0)
        return bool(poll.poll(0))

    def send(self, message: bytes) -> bool:
        """Queue a message that may be lost."""
        if self.closed or self._size > _LOSSY_WATER:
            return False
        self.put(message)
        return True

    def put(self, message: bytes) -> None:
        """Queue a message that is owed. Line ends, in JSON mere blanks outside of strings, become blanks."""
        if self.closed:
            return
        if b"\n" in message or b"\r" in message:
            message = message.replace(b"\r", b" ").replace(b"\n", b" ")
        self._buffer += (message, b"\n")
        self._size += len(message) + 1
        self._empty.clear()
        if not self._scheduled and not self._waiting:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    async def drained(self, seconds: float) -> None:
        """Wait until everything is written, at most `seconds`."""
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return

    def close(self) -> None:
        """Write no more; the descriptor stays open."""
        if self._waiting:
            self._loop.remove_writer(self._fd)
            self._waiting = False
        self.closed = True
        self._buffer.clear()
        self._size = 0
        self._empty.set()

    def _flush(self) -> None:
        self._scheduled = False
        if self.closed:
            return
        data = memoryview(self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            self._broken()
            return
        self._size = len(data) - written
        self._buffer = [bytes(data[written:])] if self._size else []
        self._wait(bool(self._size))

    def _wait(self, more: bool) -> None:
        if more and not self._waiting:
            self._waiting = True
            self._loop.add_writer(self._fd, self._flush)
        elif not more:
            if self._waiting:
                self._waiting = False
                self._loop.remove_writer(self._fd)
            self._empty.set()
        if self._lagging != (self._size > (_LOW_WATER if self._lagging else _HIGH_WATER)):
            self._lagging = not self._lagging
            self._congested(self._lagging)


def can_be_waited_for(fd: int) -> bool:
    """Whether the event loop can tell when this descriptor is ready: pipes, sockets and terminals, but not files."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.isatty(fd))
