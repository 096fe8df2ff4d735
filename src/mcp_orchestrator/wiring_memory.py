"""What the servers of a configuration offered when they were last seen: what mapped arguments are proved against."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcp_orchestrator.config.compare import fingerprint
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.snapshot import Snapshot


def remembered_tools(snapshot: Snapshot) -> Callable[[str], Sequence[Mapping[str, Any]] | None]:
    """By server the tools that it offered when it was last seen; None of one of which nothing is remembered."""
    read = functools.cache(lambda: _offers(snapshot))  # by whoever asks first

    def tools(server: str) -> Sequence[Mapping[str, Any]] | None:
        known = read()
        key = fingerprint(snapshot.backends[server])
        offers = known.get((key, Era.MODERN.value)) or known.get((key, Era.LEGACY.value))
        return None if offers is None else offers.tools

    return tools


def _offers(snapshot: Snapshot) -> Mapping[tuple[str, str], Offers]:
    from mcp_orchestrator.storage.choice import database_of  # noqa: PLC0415 - only what is used
    from mcp_orchestrator.storage.offers import decode_offers, offer_rows  # noqa: PLC0415 - likewise
    from mcp_orchestrator.storage.trouble import StorageError  # noqa: PLC0415 - likewise

    try:
        connection = database_of(snapshot.storage).open_reader()
    except StorageError:
        return {}
    try:
        return decode_offers(offer_rows(connection))
    except StorageError:
        return {}
    finally:
        connection.close()
