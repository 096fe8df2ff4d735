"""What can be called: the offers of one backend, and one offer under its public name."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.routing import Override


class OfferKind(enum.StrEnum):
    """The four lists of MCP."""

    TOOL = "tools"
    RESOURCE = "resources"
    TEMPLATE = "resourceTemplates"
    PROMPT = "prompts"

    @property
    def list_method(self) -> str:
        """The JSON-RPC method that lists this kind."""
        return "resources/templates/list" if self is OfferKind.TEMPLATE else f"{self.value}/list"


@dataclass(frozen=True, slots=True)
class Offers:
    """Everything one backend offers in one era, as it was sent (raw wire objects), with when it was taken.

    `taken_at` is seconds since the epoch. `tools`, `resources`, `templates`, `prompts` keep the backend's order.
    """

    backend: str
    era: Era
    version: str
    server_info: Mapping[str, Any] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    instructions: str | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    resources: tuple[Mapping[str, Any], ...] = ()
    templates: tuple[Mapping[str, Any], ...] = ()
    prompts: tuple[Mapping[str, Any], ...] = ()
    taken_at: float = 0.0

    def of(self, kind: OfferKind) -> tuple[Mapping[str, Any], ...]:
        """The raw definitions of one kind."""
        match kind:
            case OfferKind.TOOL:
                return self.tools
            case OfferKind.RESOURCE:
                return self.resources
            case OfferKind.TEMPLATE:
                return self.templates
            case OfferKind.PROMPT:
                return self.prompts


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """One thing that can be called. `dotted` is `SERVER.NAME`, the name used in configuration and rules.

    `name` is the backend's own name (or URI); `public` is what clients see; `definition` is the raw wire object of
    the backend as `overrides` leave it; `pin` is the SHA-256 (hex) of the canonical JSON of the backend's own one. `labels`
    and `price` (micro-dollars a call, None: unknown) are what the configuration says. `override` is what it changes.
    """

    kind: OfferKind
    backend: str
    name: str
    public: str
    dotted: str
    definition: Mapping[str, Any]
    pin: str
    era: Era
    labels: tuple[str, ...] = ()
    price: int | None = None
    override: Override | None = None
