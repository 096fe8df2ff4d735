"""Agent cards of A2A: where one may be found, what it says, and which of its interfaces is spoken to.

A2A 1.0 sections 4.4 (AgentCard), 5 (protocol selection) and 8 (discovery); 0.3 cards (`url`, `preferredTransport`,
`additionalInterfaces`) are read, too. What a card says is a claim of the server: it never moves us to another host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

JSONRPC: Final = "JSONRPC"
HTTP_JSON: Final = "HTTP+JSON"
CURRENT: Final = "1.0"
FORMER: Final = "0.3"

WELL_KNOWN: Final = "/.well-known/agent-card.json"
WELL_KNOWN_BEFORE: Final = "/.well-known/agent.json"

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
_MOST_INTERFACES: Final = 50
_ORDER: Final = ((JSONRPC, CURRENT), (HTTP_JSON, CURRENT), (JSONRPC, FORMER))


@dataclass(frozen=True, slots=True)
class Interface:
    """One address at which an agent is spoken to. `version` is `1.0` or `0.3`, whatever patch level was named."""

    url: str
    binding: str
    version: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What is used of a card. `schemes` are its ways to sign in, in words."""

    name: str = ""
    description: str = ""
    version: str = ""
    interfaces: tuple[Interface, ...] = ()
    streaming: bool = False
    skills: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def places(url: str) -> list[str]:
    """Where the card of an agent may be, the likeliest first: `url` is a base, a card, or an interface."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path.endswith(".json"):
        return [url]
    found: list[str] = []
    for below in dict.fromkeys((path, "")):
        found += [
            urlunsplit((parts.scheme, parts.netloc, below + name, "", "")) for name in (WELL_KNOWN, WELL_KNOWN_BEFORE)
        ]
    return found


def read_card(value: Any) -> Card | None:
    """A card, read leniently; None when it is none."""
    if not isinstance(value, Mapping):
        return None
    interfaces = [*_listed(value.get("supportedInterfaces")), *_before(value)]
    if not interfaces and not isinstance(value.get("name"), str):
        return None
    capabilities = value.get("capabilities")
    capabilities = capabilities if isinstance(capabilities, Mapping) else {}
    return Card(
        name=_text(value.get("name")),
        description=_text(value.get("description")),
        version=_text(value.get("version")),
        interfaces=tuple(interfaces[:_MOST_INTERFACES]),
        streaming=_true(capabilities.get("streaming")),
        skills=tuple(_text(one.get("name") or one.get("id")) for one in _objects(value.get("skills"))),
        schemes=tuple(_schemes(value.get("securitySchemes"))),
    )


def _listed(value: Any) -> list[Interface]:
    return [
        Interface(
            _text(one.get("url")),
            _binding(one.get("protocolBinding") or one.get("transport")),
            _version(one.get("protocolVersion")),
            _text(one.get("tenant")),
        )
        for one in _objects(value)
    ]


def _before(card: Mapping[str, Any]) -> list[Interface]:
    """The interfaces of a 0.3 card; a 1.0 card that keeps `url` for old clients repeats itself there."""
    version = _version(card.get("protocolVersion") or FORMER)
    found = []
    if isinstance(card.get("url"), str):
        found.append(Interface(card["url"], _binding(card.get("preferredTransport") or JSONRPC), version))
    found += [
        Interface(_text(one.get("url")), _binding(one.get("transport")), version)
        for one in _objects(card.get("additionalInterfaces"))
    ]
    return found


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _binding(value: Any) -> str:
    word = _text(value).upper().replace("_", "+").replace(" ", "")
    return {"JSON-RPC": JSONRPC, "HTTP+JSON": HTTP_JSON, "REST": HTTP_JSON, "HTTP": HTTP_JSON}.get(word, word)


def _version(value: Any) -> str:
    """Major and minor; what is not told is 1.0, for only 1.0 has lists of interfaces."""
    word = str(value) if isinstance(value, str | int | float) and value != "" else CURRENT
    return ".".join([*word.lstrip("v").split("."), "0"][:2])


def _schemes(value: Any) -> list[str]:
    """The ways to sign in, e.g. `bearer: http bearer`."""
    found = []
    for name, scheme in value.items() if isinstance(value, Mapping) else ():
        if not isinstance(scheme, Mapping):
            continue
        inner = next((part for part in scheme.values() if isinstance(part, Mapping)), scheme)
        words = [str(inner.get(key)) for key in ("type", "scheme", "location", "in", "name") if inner.get(key)]
        kind = next((key.removesuffix("SecurityScheme") for key in scheme if key.endswith("SecurityScheme")), "")
        found.append(f"{name}: {' '.join(filter(None, (kind, *words)))}"[:200])
    return found


@dataclass(frozen=True, slots=True)
class Choice:
    """The interface that is spoken to, its `url` on the configured origin; or why there is none."""

    interface: Interface | None
    refusal: str = ""


def choose(card: Card, url: str, binding: str | None = None, version: str | None = None) -> Choice:
    """The interface to speak to: one that we can, on the host that was configured.

    `url` is what the configuration says; an interface at exactly this address goes before others. `binding` (`jsonrpc`,
    `http+json`) and `version` of the configuration leave only those.
    """
    wanted = {"jsonrpc": JSONRPC, "http+json": HTTP_JSON}.get(binding or "", binding)
    able = [
        one
        for one in card.interfaces
        if (one.binding, one.version) in _ORDER
        and (wanted is None or one.binding == wanted)
        and (version is None or one.version == _version(version))
    ]
    if not able:
        offered = ", ".join(f"{one.binding} {one.version}" for one in card.interfaces) or "none"
        can = ", ".join(f"{name} {number}" for name, number in _ORDER)
        asked = f" of the kind asked for ({' '.join(filter(None, (binding, version)))})" if binding or version else ""
        return Choice(None, f"its card offers no interface{asked} that can be spoken to: {offered}; known are {can}")
    here = [moved for one in able if (moved := _moved(one, url)) is not None]
    if not here:
        shown = ", ".join(dict.fromkeys(_origin(one.url) for one in able))
        text = f"its card leads to another address ({shown}); if that is trusted, give it as `url`"
        return Choice(None, text)
    ranked = sorted(
        here, key=lambda one: (one.url.rstrip("/") != url.rstrip("/"), _ORDER.index((one.binding, one.version)))
    )
    return Choice(ranked[0])


def direct(url: str, binding: str | None, version: str | None) -> Interface:
    """The interface where no card is to be had and the configuration says what stands at `url`."""
    return Interface(url, HTTP_JSON if binding == "http+json" else JSONRPC, _version(version or CURRENT))


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is no URL"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"[:200]


def _moved(interface: Interface, url: str) -> Interface | None:
    """The interface on the configured origin, or None where it is on another.

    A server that calls itself localhost or 0.0.0.0, as samples do, means the host under which it was reached.
    """
    try:
        ours, theirs = urlsplit(url), urlsplit(interface.url)
        if not theirs.netloc:
            same = not theirs.scheme  # a path alone
        else:
            same = (ours.scheme, _port(ours)) == (theirs.scheme, _port(theirs)) and _same_host(
                ours.hostname, theirs.hostname
            )
    except ValueError:
        return None
    if not same:
        return None
    moved = urlunsplit((ours.scheme, ours.netloc, theirs.path, theirs.query, ""))
    return Interface(moved, interface.binding, interface.version, interface.tenant)


def _port(parts: Any) -> int | None:
    port: int | None = parts.port
    return port or {"http": 80, "https": 443}.get(parts.scheme)


def _same_host(ours: str | None, theirs: str | None) -> bool:
    one, other = (ours or "").lower(), (theirs or "").lower()
    return one == other or (one in _LOOPBACK and other in _LOOPBACK)


def sign_in(schemes: Sequence[str]) -> str:
    """How to sign in, as far as the card tells."""
    return f" (its card asks for {'; '.join(schemes)})" if schemes else ""
