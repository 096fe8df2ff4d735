"""Opens the state of one gateway: the store of its configuration, or one that forgets with the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.model.snapshot import Captured, Snapshot
from mcp_orchestrator.plugin_api import JournalSink, Sealer

if TYPE_CHECKING:
    from mcp_orchestrator.storage.memory import MemoryStore
    from mcp_orchestrator.storage.store import Store

Prune = Callable[..., Awaitable[int]]


async def open_store(
    snapshot: Snapshot, stack: AsyncExitStack, *, persistent: bool
) -> tuple[Store | MemoryStore, JournalSink, Prune | None]:
    """The store, where events go, and how old ones are removed (None: there are none); closed with the stack.

    Raises:
        StorageError: (an `OSError`) it cannot be opened.
    """
    from mcp_orchestrator.storage.choice import database_of  # noqa: PLC0415 - only what is used
    from mcp_orchestrator.storage.memory import MemoryStore, recalled  # noqa: PLC0415 - likewise
    from mcp_orchestrator.storage.store import Store  # noqa: PLC0415 - likewise

    database = database_of(snapshot.storage)
    if not persistent:
        memory = await recalled(database)
        return memory, memory, None
    store = Store(database, snapshot.storage.durability)
    await store.open()
    stack.push_async_callback(store.aclose)
    return store, store if snapshot.observe.journal else MemoryStore(), store.prune


def make_sealer(snapshot: Snapshot, *, persistent: bool) -> Sealer:
    """What seals the states that clients carry, with the key beside the state."""
    from mcp_orchestrator.identity.sealing import AesGcmSealer, key_beside, new_key  # noqa: PLC0415 - only what is used

    return AesGcmSealer(key_beside(snapshot.storage.path) if persistent else new_key())


def make_capture(snapshot: Snapshot) -> Callable[[Any, Callable[[str], str]], Any] | None:
    """What the journal keeps of arguments besides their hash; None: nothing."""
    if snapshot.observe.capture != Captured.REDACTED:
        return None
    from mcp_orchestrator.core.capture import Capture  # noqa: PLC0415 - only what is used

    return Capture()
