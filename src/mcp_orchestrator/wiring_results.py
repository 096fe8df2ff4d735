"""The part of the composition root that concerns large results: their bounds, where wholes are kept, who serves them."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.core.naming import OWN
from mcp_orchestrator.model.snapshot import BackendSpec, Snapshot, StartPolicy, TransportKind
from mcp_orchestrator.runtime.supervisor import Supervisor

if TYPE_CHECKING:
    from mcp_orchestrator.backends.builtin_results import KeptResults
    from mcp_orchestrator.runtime.gateway import Gateway
    from mcp_orchestrator.runtime.results import ResultStore


class ResultSide:
    """Large results in one gateway. Made once; configured anew with every snapshot.

    `state_file` is where the state is, None for a gateway that keeps nothing.
    """

    def __init__(self, gateway: Gateway, state_file: Path | None, client_info: Mapping[str, Any]) -> None:
        self._gateway = gateway
        self._state_file = state_file
        self._client_info = client_info
        self._store: ResultStore | None = None
        self._backend: KeptResults | None = None
        self._supervisor: Supervisor | None = None

    def configure(self, snapshot: Snapshot) -> Supervisor | None:
        """Take over the bounds of a snapshot; returns who serves what is kept, None while nothing ever was bounded.

        What was kept before a snapshot without bounds can be read until its time is over.
        """
        if self._store is None and not snapshot.bounds_results:
            return None
        from mcp_orchestrator.backends.builtin_results import KeptResults  # noqa: PLC0415 - only what is used
        from mcp_orchestrator.runtime.results import Results  # noqa: PLC0415

        engine = self._gateway.engine
        self._store = self._store or self._open_store()
        self._store.look_after(snapshot.results.keep, snapshot.results.space)
        results = engine.results = Results(snapshot, self._store, engine)
        if self._backend is not None and self._supervisor is not None:
            self._backend.results = results
            return self._supervisor
        self._backend = KeptResults(results, engine.now())
        spec = BackendSpec(OWN, TransportKind.HTTP, start=StartPolicy.EAGER)
        self._supervisor = Supervisor(
            spec,
            self._backend,
            self._gateway,
            clock=time.monotonic,
            chance=random.random,
            client_info=self._client_info,
        )
        return self._supervisor

    def _open_store(self) -> ResultStore:
        from mcp_orchestrator.storage.results import FileResults, MemoryResults, directory_beside  # noqa: PLC0415

        return MemoryResults() if self._state_file is None else FileResults(directory_beside(self._state_file))
