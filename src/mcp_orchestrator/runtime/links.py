"""Links to resources in results: public on the way to the client, and remembered where no list says whose they are."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from mcp_orchestrator.core import uris
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.translate.links import HOLDERS, WORD, relinked
from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.outcome import Completed, Failed, Outcome
from mcp_orchestrator.model.plan import Target

REMEMBERED: Final = 4096
"""URIs whose server is remembered, least recently given first to go."""

LONGEST: Final = 2048
"""Characters of a URI that is remembered; a longer one is qualified instead."""

LOOKED_THROUGH: Final = 64 * 1024
"""Bytes of a result that are searched for links where they would only be remembered.

A search costs about 0.7 ms a megabyte (CPython 3.11, 2026-11-24), half of what relaying that megabyte costs.
"""

_WEB: Final = ("http://", "https://")


class Links:
    """Whose the URIs are that servers gave in results but list nowhere. Bounded; lost at a restart."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._owners: OrderedDict[str, str] = OrderedDict()

    def owner(self, uri: str) -> str | None:
        """The server that gave this URI, if it is remembered."""
        return self._owners.get(uri)

    def for_the_way(self, catalog: Catalog, call: Call, target: Target, outcome: Outcome) -> Outcome:
        """The outcome with the URIs by which this client can read what it links to; most pass untouched and unread."""
        if call.method not in HOLDERS or len(catalog.backends) < 2:  # noqa: PLR2004 - one server owns everything
            return outcome
        if isinstance(outcome, Failed):
            return _told_by_public_uri(call, target, outcome)
        if not isinstance(outcome, Completed) or not _worth_reading(catalog, call, target, outcome.result):
            return outcome
        backend = target.backend

        def public(uri: str) -> str:
            if uri == target.name and call.method == "resources/read":
                return call.name
            return catalog.address(backend, uri) or self._claimed(catalog, backend, uri)

        result = relinked(outcome.result, call.method, public)
        return outcome if result is outcome.result else Completed(result, outcome.era, outcome.checked)

    def _claimed(self, catalog: Catalog, backend: str, uri: str) -> str:
        """The first server to give a URI has it as it is; a second one that means its own gives it qualified.

        Addresses of the web stay as they are: clients fetch them by themselves.
        """
        web = uri.startswith(_WEB)
        if len(uri) > LONGEST:
            return uri if web else uris.qualify(backend, uri)
        owner = self._owners.get(uri)
        if owner != backend and (owner is None or web or owner not in catalog.backends):
            self._owners[uri] = owner = backend
            if len(self._owners) > self._most:
                self._owners.popitem(last=False)
        self._owners.move_to_end(uri)
        return uri if owner == backend else uris.qualify(backend, uri)


def _worth_reading(catalog: Catalog, call: Call, target: Target, result: bytes) -> bool:
    shares = catalog.shares_uris(target.backend)
    if call.method == "resources/read":
        return shares or call.name != target.name
    return (shares or len(result) <= LOOKED_THROUGH) and WORD in result


def _told_by_public_uri(call: Call, target: Target, failed: Failed) -> Failed:
    """An error about the resource that was asked for names it as the client did."""
    data = failed.data
    if call.name == target.name or not isinstance(data, dict) or data.get("uri") != target.name:
        return failed
    return Failed(failed.kind, failed.code, failed.message, {**data, "uri": call.name}, failed.retryable)
