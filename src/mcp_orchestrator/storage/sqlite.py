"""State in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.store import CAPACITY, Store


class SqliteStore(Store):
    """A `Store` on the file at a path."""

    def __init__(
        self,
        path: Path,
        durability: Durability = Durability.NORMAL,
        *,
        clock: Callable[[], float] = time.time,
        capacity: int = CAPACITY,
    ) -> None:
        super().__init__(path, durability, clock=clock, capacity=capacity)
        self.path = path
