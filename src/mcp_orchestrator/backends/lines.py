"""Cuts a byte stream into lines, with a bound on how much of an unfinished line is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_HEAD_BYTES: Final = 4096
_TAIL_BYTES: Final = 256
_PATIENCE: Final = 16
ENDLESS: Final = b"..."


class Lines:
    """Feed it chunks; it calls `on_line` for every line that is not empty, without the line feed.

    A line of more than `limit` bytes is thrown away. `on_overlong(head, tail)` is told as soon as the limit is
    reached (with an empty tail), and once more with the line's last bytes when it ends, unless it returned True. A
    line that goes on for another 16 times the limit is not waited for: the tail is then `ENDLESS`.
    """

    def __init__(
        self, limit: int, on_line: Callable[[bytes], None], on_overlong: Callable[[bytes, bytes], bool]
    ) -> None:
        self._limit = limit
        self._on_line = on_line
        self._on_overlong = on_overlong
        self._parts: list[bytes] = []
        self._held = 0
        self._head: bytes | None = None
        self._tail = b""
        self._settled = False

    def feed(self, data: bytes) -> None:
        """Take the next chunk."""
        if self._head is not None or self._parts:
            cut = data.find(b"\n")
            if cut < 0:
                self._hold(data)
                return
            self._hold(data[:cut])
            self.finish()
            data = data[cut + 1 :]
        lines = data.split(b"\n")
        rest = lines.pop()
        for line in lines:
            if len(line) > self._limit:
                self._hold(line)
                self.finish()
            elif line:
                self._on_line(line)
        if rest:
            self._hold(rest)

    def finish(self) -> None:
        """The line ends here (also at the end of the stream, where the last line feed may be missing)."""
        if self._head is not None:
            if not self._settled:
                self._on_overlong(self._head, self._tail)
            self._head = None
            self._held = 0
        elif self._parts:
            line = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts = []
            self._held = 0
            if line:
                self._on_line(line)

    def _hold(self, data: bytes) -> None:
        if self._head is not None:
            self._tail = (self._tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
            self._held += len(data)
            if not self._settled and self._held > _PATIENCE * self._limit:
                self._settled = True
                self._on_overlong(self._head, ENDLESS)
            return
        self._parts.append(data)
        self._held += len(data)
        if self._held > self._limit:
            whole = b"".join(self._parts)
            self._head, self._tail = whole[:_HEAD_BYTES], whole[-_TAIL_BYTES:]
            self._parts = []
            self._held = 0
            self._settled = self._on_overlong(self._head, b"")
