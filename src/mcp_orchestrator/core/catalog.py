"""The catalog of one view: the offers of all backends as one, named, ordered and ready to be looked up.

A catalog is immutable. It is built for one era and one profile; everything that can be prepared for a call (public
names, compiled schemas on first use, header maps, patterns of templates, encoded lists) is kept in it.
"""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_orchestrator.core import naming, uris
from mcp_orchestrator.core.logical import UNSHAPED, PreparedLogical, Shaping
from mcp_orchestrator.core.overrides import overridden
from mcp_orchestrator.core.prepared import PreparedTool
from mcp_orchestrator.core.selecting import READER, SCHEME
from mcp_orchestrator.core.translate.tasks import offers_tasks
from mcp_orchestrator.core.translate.tools import app_uris
from mcp_orchestrator.core.wire.headers import find_invalid_x_mcp_header
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offer, OfferKind, Offers
from mcp_orchestrator.model.snapshot import BackendSpec, NameStyle, ProfileSpec

_canonical: Final = msgspec.json.Encoder(order="sorted")


def pin(definition: Mapping[str, Any]) -> str:
    """The hash we agree to: SHA-256 (hex) of the definition as canonical JSON (sorted keys, no spaces)."""
    return hashlib.sha256(_canonical.encode(definition)).hexdigest()


def shows(profile: ProfileSpec | None, dotted: str) -> bool:
    """Whether a profile shows `SERVER.NAME`: matched by an `include` (or there is none) and by no `exclude`."""
    if profile is None or dotted.startswith(SCHEME):  # kept results are their owner's, whatever a profile shows
        return True
    if profile.include and dotted != READER and not any(fnmatch.fnmatchcase(dotted, glob) for glob in profile.include):
        return False
    return not any(fnmatch.fnmatchcase(dotted, glob) for glob in profile.exclude)


def lets_through(spec: BackendSpec | None, tool: str) -> bool:
    """Whether the definition of a server lets its tool of this name be seen and called at all."""
    if spec is None:
        return True
    if spec.include is not None and not any(fnmatch.fnmatchcase(tool, glob) for glob in spec.include):
        return False
    return not any(fnmatch.fnmatchcase(tool, glob) for glob in spec.exclude)


class Catalog:
    """Everything one view shows. Lookups answer an offer, a list of rivals, or None.

    `specs` are the definitions of the servers by name, for the tools that these leave out; `shaping` is what the
    configuration makes of the tools: overrides, and logical tools, which are tools of ours.
    """

    def __init__(
        self,
        era: Era,
        profile: ProfileSpec | None,
        everything: Sequence[Offers],
        specs: Mapping[str, BackendSpec] | None = None,
        shaping: Shaping = UNSHAPED,
    ) -> None:
        self.era = era
        self.profile = profile
        self._specs = specs or {}
        self._overrides = shaping.overrides
        self._logical = {name: one for name, one in shaping.logical.items() if shows(profile, name)}
        self._providers: dict[str, PreparedTool] | None = None
        self.sources: tuple[Offers, ...] = tuple(sorted((*everything, *self._ours(everything)), key=_backend_of))
        self.backends: tuple[str, ...] = tuple(offers.backend for offers in self.sources)
        self.tasked = frozenset(
            offers.backend
            for offers in self.sources
            if offers.era is Era.MODERN and offers_tasks(offers.capabilities, Era.MODERN)
        )
        self._claims = self._claimed()
        self._by_kind: dict[OfferKind, tuple[Offer, ...]] = {
            OfferKind.TOOL: self._named(OfferKind.TOOL),
            OfferKind.PROMPT: self._named(OfferKind.PROMPT),
            OfferKind.RESOURCE: self._addressed(OfferKind.RESOURCE, "uri"),
            OfferKind.TEMPLATE: self._addressed(OfferKind.TEMPLATE, "uriTemplate"),
        }
        self._tools = {offer.public: self._prepared(offer) for offer in self._by_kind[OfferKind.TOOL]}
        self._prompts = {offer.public: offer for offer in self._by_kind[OfferKind.PROMPT]}
        self._resources = {offer.public: offer for offer in self._by_kind[OfferKind.RESOURCE]}
        self._shared = frozenset(
            offer.backend
            for kind in (OfferKind.RESOURCE, OfferKind.TEMPLATE)
            for offer in self._by_kind[kind]
            if offer.public != offer.name
        ) | {backend for owners in self._claims.values() if len(owners) > 1 for backend in owners}
        self._aliases = {kind: _originals(self._by_kind[kind]) for kind in (OfferKind.TOOL, OfferKind.PROMPT)}
        self._patterns: list[tuple[int, re.Pattern[str], Offer]] | None = None
        self.pages: dict[tuple[OfferKind, str | None, bool, tuple[str, ...] | None, frozenset[str], str], bytes] = {}
        self.hidden: dict[tuple[Any, ...], frozenset[str]] = {}

    @property
    def only(self) -> str | None:
        """The one server of this view; None when there are others, though nothing may be known of them yet."""
        known = set(self.backends) - {naming.OWN}
        configured = {name for name, spec in self._specs.items() if not spec.disabled} | known
        return known.pop() if len(configured) == 1 and known else None

    @property
    def shown(self) -> tuple[Offers, ...]:
        """The servers that this view shows anything of: a profile also hides what a hidden server says of itself."""
        if self.profile is None or not (self.profile.include or self.profile.exclude):
            return self.sources
        named = {offer.backend for offers in self._by_kind.values() for offer in offers}
        return tuple(source for source in self.sources if source.backend in named)

    def offers(self, kind: OfferKind) -> tuple[Offer, ...]:
        """All offers of one kind, in the catalog's order (by backend, then as the backend sent them)."""
        return self._by_kind[kind]

    def tool(self, name: str) -> PreparedTool | None:
        """A tool by its public name, else by the backend's own name where only one backend has it."""
        found = self._tools.get(name)
        if found is None:
            rivals = self._aliases[OfferKind.TOOL].get(name, ())
            found = self._tools[rivals[0].public] if len(rivals) == 1 else None
        return found

    def provider(self, dotted: str) -> PreparedTool | None:
        """The tool of a server by `SERVER.TOOL`, also where clients do not see it; None when it is not offered now."""
        if self._providers is None:
            found: dict[str, PreparedTool] = {}
            for source in self.sources:
                for definition in source.tools:
                    name = definition.get("name")
                    if isinstance(name, str) and self._usable(source.backend, name, definition):
                        offer = self._offer(
                            OfferKind.TOOL, source, name, naming.public_name(source.backend, name), definition
                        )
                        found.setdefault(offer.dotted, PreparedTool(offer, definition))
            self._providers = found
        return self._providers.get(dotted)

    def may_be_task(self, offer: Offer) -> bool:
        """Whether a legacy client may ask for a call of this tool to become a task."""
        if offer.backend in self.tasked:
            return True
        logical = self._logical.get(offer.name) if offer.backend == naming.OWN else None
        return logical is not None and any(one.backend in self.tasked for one in logical.providers)

    def prompt(self, name: str) -> Offer | None:
        """A prompt, likewise."""
        found = self._prompts.get(name)
        if found is None:
            rivals = self._aliases[OfferKind.PROMPT].get(name, ())
            found = rivals[0] if len(rivals) == 1 else None
        return found

    def rivals(self, kind: OfferKind, name: str) -> tuple[Offer, ...]:
        """The offers that share an original name."""
        return self._aliases[kind].get(name, ())

    def resource(self, uri: str) -> tuple[str, str, Offer | None] | None:
        """(backend, the backend's own URI, offer) for a URI.

        Listed, qualified, named by the tools of one server, by template, or by its scheme; in this order.
        """
        found = self._resources.get(uri)
        if found is not None:
            return found.backend, found.name, found
        split = uris.unqualify(uri)
        if split is not None and split[0] in self.backends:
            return split[0], split[1], None
        claimed = self._claims.get(uri)
        if claimed is not None:
            return (next(iter(claimed)), uri, None) if len(claimed) == 1 else None
        if self._patterns is None:
            self._patterns = sorted(self._compiled(), key=lambda entry: -entry[0])
        for _, pattern, offer in self._patterns:
            if pattern.fullmatch(uri):
                return offer.backend, uri, offer
        scheme = uri.partition(":")[0]
        owners = {offer.backend for offer in self._by_kind[OfferKind.RESOURCE] if offer.name.startswith(f"{scheme}:")}
        owners |= {offer.backend for offer in self._by_kind[OfferKind.TEMPLATE] if offer.name.startswith(f"{scheme}:")}
        return (owners.pop(), uri, None) if len(owners) == 1 else None

    def template(self, uri: str) -> Offer | None:
        """A resource template by its public URI template."""
        for offer in self._by_kind[OfferKind.TEMPLATE]:
            if uri in (offer.public, offer.name):
                return offer
        return None

    def shares_uris(self, backend: str) -> bool:
        """Whether another server has some URI of this one, so that both are read by qualified URIs."""
        return backend in self._shared

    def address(self, backend: str, uri: str) -> str | None:
        """The URI by which a client of this view reads what `backend` calls `uri`.

        None when nothing in the catalog tells whose the bare URI is.
        """
        owners = self._claims.get(uri)
        if owners is not None and backend in owners:
            return uri if len(owners) == 1 else uris.qualify(backend, uri)
        found = self.resource(uri)
        if found is None:
            return None if owners is None else uris.qualify(backend, uri)
        return uri if found[:2] == (backend, uri) else uris.qualify(backend, uri)

    def close_to(self, kind: OfferKind, name: str, sight: Callable[[Offer], bool] = lambda _offer: True) -> str | None:
        """The most similar public name, for a did-you-mean, of those that somebody may see."""
        known = [offer.public for offer in self._by_kind[kind] if sight(offer)]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        return close[0] if close else None

    def shows_tool(self, backend: str, tool: str) -> bool:
        """Whether this view shows a server's tool of this name, should there be one.

        Not one that `overrides` speaks of: what is not listed cannot be called as the override wants it.
        """
        if naming.dotted(backend, tool) in self._overrides:
            return False
        return lets_through(self._specs.get(backend), tool) and shows(self.profile, naming.dotted(backend, tool))

    def _visible(self, kind: OfferKind, key: str) -> Iterable[tuple[Offers, str, Mapping[str, Any]]]:
        for source in self.sources:
            for definition in source.of(kind):
                name = definition.get(key)
                if not isinstance(name, str) or not shows(self.profile, naming.dotted(source.backend, name)):
                    continue
                if kind is not OfferKind.TOOL or lets_through(self._specs.get(source.backend), name):
                    yield source, name, definition

    def _named(self, kind: OfferKind) -> tuple[Offer, ...]:
        tools = kind is OfferKind.TOOL
        entries = [
            entry for entry in self._visible(kind, "name") if not tools or self._listed(entry[0], entry[1], entry[2])
        ]
        given = self._given(entries) if tools and self._overrides else {}
        pairs = [(source.backend, given.get((source.backend, name), name)) for source, name, _ in entries]
        public = naming.assign(pairs)
        if self.profile is not None and self.profile.names is NameStyle.ORIGINAL:
            counts: dict[str, int] = dict.fromkeys(self._logical, 1) if tools else {}
            for _, name in pairs:
                counts[name] = counts.get(name, 0) + 1
            public = {pair: pair[1] if counts[pair[1]] == 1 else full for pair, full in public.items()}
        made = [_logical_offer(one) for one in self._logical.values()] if tools else []
        seen = {offer.public for offer in made}
        for (source, name, definition), pair in zip(entries, pairs, strict=True):
            label = public[pair]
            if label in seen:  # the same server listed the same name twice: the first stands
                continue
            seen.add(label)
            made.append(self._offer(kind, source, name, label, definition))
        return tuple(made)

    def _listed(self, source: Offers, name: str, definition: Mapping[str, Any]) -> bool:
        override = self._overrides.get(naming.dotted(source.backend, name)) if self._overrides else None
        return (override is None or not override.hide) and not self._unusable(definition)

    def _usable(self, backend: str, name: str, definition: Mapping[str, Any]) -> bool:
        return lets_through(self._specs.get(backend), name) and not self._unusable(definition)

    def _unusable(self, definition: Mapping[str, Any]) -> bool:
        return self.era is Era.MODERN and find_invalid_x_mcp_header(definition.get("inputSchema")) is not None

    def _given(self, entries: Sequence[tuple[Offers, str, Mapping[str, Any]]]) -> dict[tuple[str, str], str]:
        """The names that overrides give; one that is another tool's of the same server already gets its hash."""
        own = {(source.backend, name) for source, name, _ in entries}
        given: dict[tuple[str, str], str] = {}
        for backend, name in own:
            override = self._overrides.get(naming.dotted(backend, name))
            if override is not None and override.name:
                taken = (backend, override.name) in own - {(backend, name)}
                given[backend, name] = (
                    naming.with_hash(override.name, naming.dotted(backend, name)) if taken else override.name
                )
        return given

    def _offer(self, kind: OfferKind, source: Offers, name: str, public: str, definition: Mapping[str, Any]) -> Offer:
        dotted = naming.dotted(source.backend, name)
        override = self._overrides.get(dotted) if kind is OfferKind.TOOL and self._overrides else None
        if override is None:
            return Offer(kind, source.backend, name, public, dotted, definition, pin(definition), source.era)
        shown = overridden(definition, override)
        return Offer(
            kind, source.backend, name, public, dotted, shown, pin(definition), source.era,
            override.labels, override.price, override,
        )  # fmt: skip

    def _prepared(self, offer: Offer) -> PreparedTool:
        if offer.backend == naming.OWN and offer.name in self._logical:
            return PreparedTool(offer, None, self._logical[offer.name])
        if offer.override is None:
            return PreparedTool(offer)
        known = self.provider(offer.dotted)
        return PreparedTool(offer, known.own if known is not None else None)

    def _ours(self, everything: Sequence[Offers]) -> list[Offers]:
        """The gateway itself as a source, where logical tools are all that it offers."""
        if not self._logical or any(offers.backend == naming.OWN for offers in everything):
            return []
        return [Offers(naming.OWN, self.era, "", capabilities={"tools": {}})]

    def _claimed(self) -> dict[str, set[str]]:
        """Whose each resource URI is: of the servers that list it, and of those whose tools name it as their app.

        Servers may leave resources that only apps need out of their lists (MCP Apps 2026-01-26, resource discovery).
        """
        claims: dict[str, set[str]] = {}
        for source, uri, _ in self._visible(OfferKind.RESOURCE, "uri"):
            claims.setdefault(uri, set()).add(source.backend)
        for source, _, definition in self._visible(OfferKind.TOOL, "name"):
            for uri in app_uris(definition):
                claims.setdefault(uri, set()).add(source.backend)
        return claims

    def _addressed(self, kind: OfferKind, key: str) -> tuple[Offer, ...]:
        entries = list(self._visible(kind, key))
        owners: dict[str, set[str]] = {}
        if kind is OfferKind.RESOURCE:
            owners = self._claims
        else:
            for source, uri, _ in entries:
                owners.setdefault(uri, set()).add(source.backend)
        seen: set[tuple[str, str]] = set()
        made: list[Offer] = []
        for source, uri, definition in entries:
            if (source.backend, uri) in seen:
                continue
            seen.add((source.backend, uri))
            label = uri if len(owners[uri]) == 1 else uris.qualify(source.backend, uri)
            made.append(self._offer(kind, source, uri, label, definition))
        return tuple(made)

    def _compiled(self) -> Iterable[tuple[int, re.Pattern[str], Offer]]:
        for offer in self._by_kind[OfferKind.TEMPLATE]:
            pattern, literal = uris.template_pattern(offer.name)
            yield literal, pattern, offer


def _logical_offer(logical: PreparedLogical) -> Offer:
    spec, definition = logical.spec, logical.definition
    name = spec.name
    return Offer(
        OfferKind.TOOL, naming.OWN, name, name, name, definition, pin(definition), Era.MODERN, spec.labels
    )  # fmt: skip


def _backend_of(offers: Offers) -> str:
    return offers.backend


def _originals(offers: Sequence[Offer]) -> dict[str, tuple[Offer, ...]]:
    table: dict[str, tuple[Offer, ...]] = {}
    for offer in offers:
        override = offer.override
        given = {override.name, naming.dotted(offer.backend, override.name)} if override and override.name else set()
        for name in {offer.name, offer.dotted} | given:
            table[name] = (*table.get(name, ()), offer)
    return table
