"""A tool of the catalog with what a call of it needs: checks, headers, and its arguments mapped back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mcp_orchestrator.core.logical import PreparedLogical
from mcp_orchestrator.core.overrides import Back
from mcp_orchestrator.core.schema import Checker
from mcp_orchestrator.core.wire.headers import x_mcp_header_map
from mcp_orchestrator.model.catalog import Offer
from mcp_orchestrator.model.plan import Care

_encoder: Final = msgspec.json.Encoder()


class PreparedTool:
    """A tool offer with what a call of it needs, compiled on first use.

    `back` maps arguments back to those of the server where `overrides` changes some (None: nowhere), `own` is the
    server's own definition, `care` what a call of it needs besides, `logical` the tool of ours that this is, if any.
    """

    __slots__ = ("_checker", "_headers", "_own_checker", "asks_headers", "back", "care", "logical", "offer", "own")

    def __init__(
        self, offer: Offer, own: Mapping[str, Any] | None = None, logical: PreparedLogical | None = None
    ) -> None:
        self.offer = offer
        self.own = own if own is not None else offer.definition
        self.logical = logical
        override = offer.override
        self.back = Back(override.arguments) if override is not None and override.arguments else None
        cap = override.max_result_bytes if override is not None else None
        self.care = Care(offer.dotted, cap=cap) if cap is not None else None
        schema = self.own.get("inputSchema")
        self.asks_headers = isinstance(schema, Mapping) and _mentions_header(schema)
        self._checker: Checker | None = None
        self._own_checker: Checker | None = None
        self._headers: Mapping[tuple[str, ...], str] | None = None

    @property
    def checker(self) -> Checker:
        """Checks arguments against the input schema that clients see."""
        if self._checker is None:
            self._checker = _checker(self.offer.definition)
        return self._checker

    @property
    def own_checker(self) -> Checker:
        """Checks arguments that were mapped back against the server's own input schema."""
        if self._own_checker is None:
            self._own_checker = _checker(self.own)
        return self._own_checker

    @property
    def headers(self) -> Mapping[tuple[str, ...], str]:
        """Paths of the server's own arguments that travel as `Mcp-Param-*` headers."""
        if self._headers is None:
            self._headers = x_mcp_header_map(self.own.get("inputSchema")) if self.asks_headers else {}
        return self._headers


def _mentions_header(schema: Mapping[str, Any]) -> bool:
    return b'"x-mcp-header"' in _encoder.encode(schema)


def _checker(definition: Mapping[str, Any]) -> Checker:
    schema = definition.get("inputSchema")
    return Checker(schema if isinstance(schema, Mapping) else {})
