"""Holds a place while programs work on it: the next to want it waits for the last of them.

The lock belongs to an open file that the programs inherit. When a gateway is killed, its git goes on for a moment; the
gateway that comes after it must not clear away what that git is still writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

PATIENCE: Final = 60.0
"""Seconds that the programs of a gateway that was killed get to end."""

LOOK_EVERY: Final = 0.05


@contextlib.asynccontextmanager
async def held(path: Path, patience: float = PATIENCE) -> AsyncIterator[int]:
    """Hold the lock file `path`; yields the descriptor that programs must inherit (`pass_fds`) to hold it too.

    Raises:
        ValueError: others still held it after `patience` seconds.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = asyncio.get_running_loop().time() + patience
        while not _taken(lock):
            if asyncio.get_running_loop().time() >= end:
                raise ValueError(
                    f"what an earlier gateway started still works on {str(path.parent)!r}; try again later"
                )
            await asyncio.sleep(LOOK_EVERY)
        yield lock
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
