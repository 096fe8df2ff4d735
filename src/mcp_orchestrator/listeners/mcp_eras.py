"""What differs between the eras on the client's side: which methods exist, and where the client's face is written.

MCP 2026-07-28 basic/index (per-request protocol fields) and changelog (removed methods); MCP 2025-11-25
basic/lifecycle (initialize).
"""

from __future__ import annotations

from typing import Any, Final

from mcp_orchestrator.core.wire import meta as keys
from mcp_orchestrator.core.wire.jsonrpc import RequestId
from mcp_orchestrator.core.wire.levels import LOG_LEVELS
from mcp_orchestrator.core.wire.versions import MODERN_VERSIONS, agree_legacy
from mcp_orchestrator.model.call import ClientFace, Era
from mcp_orchestrator.model.errors import INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION
from mcp_orchestrator.model.outcome import Failed, FailureKind

NOT_MODERN: Final = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""Methods that the modern era removed: nobody may answer them, not even a backend."""

NOT_LEGACY: Final = frozenset({"server/discover", "subscriptions/listen"})
"""Methods that only the modern era has."""


def invalid(message: str, code: int = INVALID_PARAMS, data: Any = None) -> Failed:
    """A refusal of the request as it was written."""
    return Failed(FailureKind.INVALID, code, message, data)


def unknown_method(method: str) -> Failed:
    """The answer to a method that does not exist in the client's era."""
    return Failed(FailureKind.UNKNOWN_NAME, METHOD_NOT_FOUND, f"Method not found: {method}", {"method": method})


def unsupported_version(requested: str) -> Failed:
    """-32022 with the versions we serve in the modern era."""
    data = {"supported": list(MODERN_VERSIONS), "requested": requested}
    return invalid("Unsupported protocol version", UNSUPPORTED_VERSION, data)


def has_modern_envelope(params: dict[str, Any]) -> bool:
    """Whether `_meta` carries the protocol version, which only modern requests do (the prefix is reserved)."""
    meta = params.get("_meta")
    return isinstance(meta, dict) and keys.PROTOCOL_VERSION in meta


def envelope_of(params: dict[str, Any]) -> dict[str, Any] | Failed:
    """The `_meta` of a modern request if it has both required keys."""
    meta = params.get("_meta")
    if type(meta) is not dict:
        return invalid(
            "params._meta must be an object with the required keys "
            f"{keys.PROTOCOL_VERSION!r} and {keys.CLIENT_CAPABILITIES!r}"
        )
    if keys.PROTOCOL_VERSION in meta and keys.CLIENT_CAPABILITIES in meta:
        return meta
    missing = [key for key in (keys.PROTOCOL_VERSION, keys.CLIENT_CAPABILITIES) if key not in meta]
    return invalid(f"params._meta misses the required key(s) {', '.join(missing)}")


def modern_face(meta: dict[str, Any]) -> ClientFace | Failed:
    """The client as one modern request describes it; `meta` comes from `envelope_of`."""
    version = meta[keys.PROTOCOL_VERSION]
    if type(version) is not str:
        return invalid(f"_meta {keys.PROTOCOL_VERSION!r} must be a string")
    if version not in MODERN_VERSIONS:
        return unsupported_version(version)
    capabilities = meta[keys.CLIENT_CAPABILITIES]
    if type(capabilities) is not dict:
        return invalid(f"_meta {keys.CLIENT_CAPABILITIES!r} must be an object")
    info = meta.get(keys.CLIENT_INFO)
    if info is not None and not is_implementation(info):
        return invalid(f"_meta {keys.CLIENT_INFO!r} must be an object with the strings name and version")
    level = meta.get(keys.LOG_LEVEL)
    if level is not None and (type(level) is not str or level not in LOG_LEVELS):
        return invalid(f"_meta {keys.LOG_LEVEL!r} must be one of {', '.join(LOG_LEVELS)}")
    return ClientFace(Era.MODERN, version, capabilities, info)


def legacy_face(params: dict[str, Any], session: str) -> ClientFace | Failed:
    """The client as its `initialize` describes it, with the version we agree on."""
    requested = params.get("protocolVersion")
    if type(requested) is not str:
        return invalid("initialize: protocolVersion must be a string")
    capabilities = params.get("capabilities", {})
    if type(capabilities) is not dict:
        return invalid("initialize: capabilities must be an object")
    info = params.get("clientInfo")
    if info is not None and type(info) is not dict:
        return invalid("initialize: clientInfo must be an object")
    return ClientFace(Era.LEGACY, agree_legacy(requested), capabilities, info, session)


def is_implementation(value: Any) -> bool:
    """Whether `value` is an `Implementation` object: it names a program and its version."""
    return type(value) is dict and type(value.get("name")) is str and type(value.get("version")) is str


def progress_token(params: dict[str, Any]) -> RequestId | None:
    """The client's progress token, if the request asks for progress."""
    meta = params.get("_meta")
    if type(meta) is not dict:
        return None
    token = meta.get(keys.PROGRESS_TOKEN)
    return token if type(token) is int or type(token) is str else None


def passes_level(params: Any, least: str) -> bool:
    """Whether a log message is at least as severe as `least`; a message without a known level passes."""
    level = params.get("level")
    return LOG_LEVELS.get(level, len(LOG_LEVELS)) >= LOG_LEVELS[least] if type(level) is str else True
