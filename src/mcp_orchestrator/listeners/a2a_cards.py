"""Agent cards: the router and each agent as A2A clients find them, with what lets the cards be kept and checked again.

A2A 1.0 sections 4.4 and 8.6 (caching); RFC 9110 sections 8.8 (validators) and 13.1.2 (If-None-Match).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any, Final

import msgspec

from mcp_orchestrator import __version__
from mcp_orchestrator.model.agent import AgentSpec

MAX_AGE: Final = 60
SIGN_IN: Final[Mapping[str, Any]] = {
    "securitySchemes": {
        "token": {
            "httpAuthSecurityScheme": {
                "scheme": "Bearer",
                "description": "A token of this gateway, made with: mcp-orchestrator tokens create NAME",
            }
        }
    },
    "securityRequirements": [{"schemes": {"token": {"list": []}}}],
}
"""What a card says where callers sign in (A2A 1.0 section 4.5)."""

_MODES: Final = ["text/plain", "application/json"]


def router_card(base: str, agents: Sequence[AgentSpec]) -> dict[str, Any]:
    """The card of the router, whose skills are the agents. `base` is the public address without a slash at its end."""
    names = ", ".join(spec.name for spec in agents) or "none yet"
    skills = [_skill(spec) for spec in agents] or [
        {"id": "none", "name": "none", "description": "No agent is configured.", "tags": ["delegation"]}
    ]
    about = f"Gives work to the agent that fits, or to the one that is named. Agents: {names}."
    return _card("mcp-orchestrator", about, base, skills)


def agent_card(base: str, spec: AgentSpec) -> dict[str, Any]:
    """The card of one agent."""
    return _card(spec.name, _about(spec), f"{base}/agents/{spec.name}", [_skill(spec)])


def _about(spec: AgentSpec) -> str:
    return spec.description or f"The agent {spec.name} ({spec.kind.value})."


def _skill(spec: AgentSpec) -> dict[str, Any]:
    return {
        "id": spec.name,
        "name": spec.name,
        "description": _about(spec),
        "tags": [*spec.labels, spec.kind.value, spec.most_mode.value],
    }


def _card(name: str, about: str, base: str, skills: list[dict[str, Any]]) -> dict[str, Any]:
    interfaces = [
        {"url": f"{base}/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        {"url": base, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
        {"url": f"{base}/", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
    ]
    return {
        "name": name,
        "description": about,
        "version": __version__,
        "supportedInterfaces": interfaces,
        "capabilities": {"streaming": True, "pushNotifications": False, "extendedAgentCard": False},
        "defaultInputModes": [*_MODES, "text"],
        "defaultOutputModes": [*_MODES, "text/x-diff"],
        "skills": skills,
    }


class Shelf:
    """Cards as they were last served, so that `Last-Modified` tells when one changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def serve(
        self, path: str, card: Mapping[str, Any], wanted: str, now: float
    ) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
        """Status, body and headers. `wanted` is If-None-Match, `now` seconds since the epoch."""
        body = msgspec.json.encode(card)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        known = self._known.get(path)
        if known is None or known[0] != tag:
            known = self._known[path] = (tag, formatdate(now, usegmt=True))
        headers = (
            (b"etag", tag.encode()),
            (b"last-modified", known[1].encode()),
            (b"cache-control", b"public, max-age=%d" % MAX_AGE),
        )
        tags = {one.strip().removeprefix("W/") for one in wanted.split(",")}
        if "*" in tags or tag in tags:
            return 304, b"", headers
        return 200, body, headers
