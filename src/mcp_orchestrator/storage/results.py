"""Whole results as files beside the state file: one each, for a while, within a budget of space.

The first line of a file is JSON that says whose result it is and until when it is kept, the rest is the result. All
gateways on one state file share the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from mcp_orchestrator.model.results import KeptResult

SWEEP_EVERY: Final = 60.0
"""Seconds between two looks for results whose time is over, while results are being kept."""

HALF_WRITTEN: Final = 3600.0
"""Seconds after which a file that was never finished is taken for one of a gateway that was killed."""

LONGEST_REST: Final = 3600.0
"""Seconds between two looks for results whose time is over, while nothing is kept."""

_RUN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SUFFIX: Final = ".result"


class _Head(msgspec.Struct):
    """The first line of a file."""

    owner: str
    method: str
    made: float
    expires: float
    digest: str


_head: Final = msgspec.json.Decoder(_Head)
_encoder: Final = msgspec.json.Encoder()


def directory_beside(state_file: Path) -> Path:
    """Where the results of a state file are."""
    return state_file.with_name(f"{state_file.name}.results")


class FileResults:
    """A `ResultStore` of files. Everything is done in threads; a result appears whole or not at all."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._swept = -SWEEP_EVERY
        self._since = 0
        self._one_at_a_time = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None

    async def keep(self, kept: KeptResult, space: int) -> None:
        """Keep one. Raises OSError: it could not be kept, or alone takes more than `space` bytes."""
        if len(kept.body) > space:
            raise OSError(f"it has {len(kept.body)} bytes, and results.space is {space}")
        await asyncio.to_thread(self._write, kept)
        self._since += len(kept.body)
        if self._since > space // 16 or self._clock() - self._swept >= SWEEP_EVERY:
            async with self._one_at_a_time:
                self._since, self._swept = 0, self._clock()
                await asyncio.to_thread(self.sweep, kept.made, space)

    def look_after(self, keep: float, space: int, wall: Callable[[], float] = time.time) -> None:
        """Remove what is over: now, and then each `keep` seconds or each hour, for as long as the loop runs."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        every = min(max(keep, 1.0), LONGEST_REST)

        def look() -> None:
            self._timer = loop.call_later(every, look)
            loop.run_in_executor(None, self._tidy, wall(), space)

        self._timer = loop.call_later(0, look)

    def _tidy(self, now: float, space: int) -> None:
        with contextlib.suppress(OSError):  # whoever keeps something next is told what is wrong with the directory
            self.sweep(now, space)

    async def find(self, run: str, now: float) -> KeptResult | None:
        """The result of a run; None when there is none, its time is over, or the file was damaged."""
        return await asyncio.to_thread(self._read, run, now)

    def sweep(self, now: float, space: int) -> int:
        """Remove what need not be kept any longer, and the oldest of what is too much; returns how many went."""
        files: list[tuple[float, int, str]] = []
        gone = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat()
                    # The time of the file is when the result expires, so that the directory alone tells.
                    over = status.st_mtime <= (now if entry.name.endswith(_SUFFIX) else now - HALF_WRITTEN)
                    if over:
                        gone += _remove(Path(entry.path))
                    else:
                        files.append((status.st_ctime, status.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= space:
                break
            gone += _remove(Path(path))
            total -= size
        return gone

    def _path(self, run: str) -> Path | None:
        return self._directory / f"{run}{_SUFFIX}" if _RUN.fullmatch(run) else None

    def _write(self, kept: KeptResult) -> None:
        path = self._path(kept.run)
        if path is None:
            raise OSError(f"{kept.run!r} is no run")
        head = _Head(kept.owner, kept.method, kept.made, kept.expires, kept.digest)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = self._directory / f"{kept.run}.{secrets.token_hex(4)}"
        made = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(made, "wb") as file:
                file.write(_encoder.encode(head) + b"\n")
                file.write(kept.body)
            os.utime(half, (kept.made, kept.expires))
            half.replace(path)
        except OSError:
            _remove(half)
            raise

    def _read(self, run: str, now: float) -> KeptResult | None:
        path = self._path(run)
        if path is None:
            return None
        try:
            line, _, body = path.read_bytes().partition(b"\n")
            head = _head.decode(line)
        except (FileNotFoundError, ValueError):
            return None
        if head.expires <= now or hashlib.sha256(body).hexdigest() != head.digest:
            return None
        return KeptResult(run, head.owner, head.method, head.made, head.expires, head.digest, body)


class MemoryResults:
    """A `ResultStore` of the process."""

    def look_after(self, keep: float, space: int) -> None:
        """What is over goes when something is kept; the rest goes with the process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, KeptResult] = OrderedDict()

    async def keep(self, kept: KeptResult, space: int) -> None:
        """Keep one. Raises OSError: it alone takes more than `space` bytes."""
        if len(kept.body) > space:
            raise OSError(f"it has {len(kept.body)} bytes, and results.space is {space}")
        self._kept[kept.run] = kept
        for run in [one.run for one in self._kept.values() if one.expires <= kept.made]:
            del self._kept[run]
        while sum(len(one.body) for one in self._kept.values()) > space:
            self._kept.popitem(last=False)

    async def find(self, run: str, now: float) -> KeptResult | None:
        """The result of a run."""
        kept = self._kept.get(run)
        return kept if kept is not None and kept.expires > now else None


def _remove(path: Path) -> int:
    try:
        path.unlink()
    except FileNotFoundError:
        return 0
    return 1
