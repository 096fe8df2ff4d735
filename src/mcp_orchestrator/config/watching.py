"""Whether the configuration file has changed, and whether somebody is still writing it."""

from __future__ import annotations

import asyncio
from pathlib import Path


async def stamp_after(path: Path, seconds: float) -> tuple[int, int] | None:
    """The stamp of a file after so many seconds."""
    await asyncio.sleep(seconds)
    return stamp(path)


def is_blank(path: Path) -> bool:
    """Whether there is nothing in a file; one that cannot be read is not blank."""
    try:
        return not path.read_bytes().strip()
    except OSError:
        return False


def stamp(path: Path) -> tuple[int, int] | None:
    """(Time of the last change in nanoseconds, size in bytes) of a file; None when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
