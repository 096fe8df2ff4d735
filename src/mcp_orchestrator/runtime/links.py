"""Links to resources in results: on the way to the client they get the URI by which it can read them here.

That URI is all that is needed, now and after a restart: where nothing in the catalog tells whose a bare one is, it names the
server. Only addresses of the web stay bare and are remembered, for clients fetch those by themselves.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from mcp_orchestrator.core import uris
from mcp_orchestrator.core.catalog import Catalog
from mcp_orchestrator.core.translate.links import HOLDERS, may_link, relinked
from mcp_orchestrator.model.call import Call
from mcp_orchestrator.model.outcome import Completed, Failed, Outcome
from mcp_orchestrator.model.plan import Target

REMEMBERED: Final = 4096
"""Addresses of the web whose server is remembered, least recently given first to go."""

LONGEST: Final = 2048
"""Characters of an address that is remembered."""

_WEB: Final = ("http://", "https://")


class Links:
    """Which server gave which address of the web that no list has. Bounded; lost at a restart."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._owners: OrderedDict[str, str] = OrderedDict()

    def owner(self, uri: str) -> str | None:
        """The server that gave this address, if it is remembered."""
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
            return catalog.address(backend, uri) or self._unlisted(catalog, backend, uri)

        result = relinked(outcome.result, call.method, public)
        return outcome if result is outcome.result else Completed(result, outcome.era, outcome.checked)

    def _unlisted(self, catalog: Catalog, backend: str, uri: str) -> str:
        """The URI of something that no list has: qualified, unless it is an address of the web."""
        if not uri.startswith(_WEB):
            return uris.qualify(backend, uri)
        if len(uri) <= LONGEST:
            owner = self._owners.get(uri)
            if owner is None or owner not in catalog.backends:
                self._owners[uri] = backend
                if len(self._owners) > self._most:
                    self._owners.popitem(last=False)
            self._owners.move_to_end(uri)
        return uri


def _worth_reading(catalog: Catalog, call: Call, target: Target, result: bytes) -> bool:
    if call.method == "resources/read":
        return catalog.shares_uris(target.backend) or call.name != target.name
    return may_link(result, call.method)


def _told_by_public_uri(call: Call, target: Target, failed: Failed) -> Failed:
    """An error about the resource that was asked for names it as the client did."""
    data = failed.data
    if call.name == target.name or not isinstance(data, dict) or data.get("uri") != target.name:
        return failed
    return Failed(failed.kind, failed.code, failed.message, {**data, "uri": call.name}, failed.retryable)
