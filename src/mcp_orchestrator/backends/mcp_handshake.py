"""How an MCP conversation begins, in both eras, over any request function; and what is stamped on every request.

MCP 2026-07-28 basic/index and server/discover; MCP 2025-11-25 basic/lifecycle. Nothing here knows a transport: a
`Request` sends one JSON-RPC request and returns the decoded result object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_orchestrator import __version__
from mcp_orchestrator.core.wire import meta as keys
from mcp_orchestrator.core.wire.versions import (
    LATEST_LEGACY,
    LATEST_MODERN,
    LEGACY_VERSIONS,
    MODERN_VERSIONS,
    era_of,
)
from mcp_orchestrator.model.call import Era, Invocation
from mcp_orchestrator.model.errors import INVALID_PARAMS, UNSUPPORTED_VERSION, BackendError
from mcp_orchestrator.model.outcome import Failed, FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec, EraPolicy
from mcp_orchestrator.plugin_api import Opening

Request = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Sends `method` with `params` and returns the decoded result. Raises RpcError or BackendError."""

OWN_INFO: Final[Mapping[str, Any]] = {"name": "mcp-orchestrator", "version": __version__}


class RpcError(Exception):
    """The backend answered a request with a JSON-RPC error. `data` None means absent."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data

    def as_failed(self) -> Failed:
        """The error as an outcome, untouched."""
        return Failed(FailureKind.BACKEND_ERROR, self.code, self.message, self.data)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a handshake settled. `server_info` and `capabilities` are the raw objects of the wire."""

    era: Era
    version: str
    server_info: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    instructions: str | None


def possible_eras(spec: BackendSpec) -> tuple[Era, ...]:
    """The eras that the configuration of a server allows, the one to try first in front."""
    return (Era.MODERN, Era.LEGACY) if spec.era is EraPolicy.AUTO else (Era(spec.era.value),)


def wanted_era(spec: BackendSpec, opening: Opening) -> Era | None:
    """The era to open a session in; None to find out."""
    possible = possible_eras(spec)
    return opening.era or (possible[0] if len(possible) == 1 else None)


def modern_meta(
    meta: Mapping[str, Any],
    version: str,
    client_info: Mapping[str, Any] | None,
    capabilities: Mapping[str, Any],
    log_level: str | None = None,
) -> dict[str, Any]:
    """`_meta` of a modern request: what the client sent plus the keys of this hop (2026-07-28 basic/index)."""
    stamped = {
        **meta,
        keys.PROTOCOL_VERSION: version,
        keys.CLIENT_INFO: client_info or OWN_INFO,
        keys.CLIENT_CAPABILITIES: capabilities,
    }
    if log_level is not None:
        stamped[keys.LOG_LEVEL] = log_level
    return stamped


def invocation_meta(invocation: Invocation, era: Era, version: str) -> dict[str, Any]:
    """`_meta` for one invocation, without a progress token. Empty means: leave `_meta` out (legacy only).

    A modern backend is told the real client's name and abilities, for it may ask that client questions.
    """
    if era is Era.LEGACY:
        return invocation.meta
    client = invocation.client
    return modern_meta(invocation.meta, version, client.info, client.capabilities, invocation.log_level)


async def discover(
    request: Request,
    backend: str,
    *,
    client_info: Mapping[str, Any] | None = None,
    capabilities: Mapping[str, Any] | None = None,
    version: str = LATEST_MODERN,
) -> Agreement | None:
    """Ask `server/discover`; None when the answer is no evidence of a modern server, so that `initialize` is due.

    An error -32022 that names a version we speak is worth one more question. Every other error means legacy, for
    legacy servers refuse an unknown method each in their own way.

    Raises:
        BackendError: modern only, and no version in common; or whatever `request` raises for a lost connection.
    """
    for last in (False, True):
        try:
            result = await request(
                "server/discover", {"_meta": modern_meta({}, version, client_info, capabilities or {})}
            )
        except RpcError as error:
            mutual = _mutual_or_refuse(error, backend)
            if mutual is None or last:
                return None
            version = mutual
            continue
        return read_discovery(result, version)
    return None


def _mutual_or_refuse(error: RpcError, backend: str) -> str | None:
    """The version worth a second `server/discover`, or None for legacy; raises BackendError when nothing is shared."""
    if error.code != UNSUPPORTED_VERSION:
        return None
    supported = supported_versions(error.data)
    mutual = newest_modern(supported)
    if mutual is None and supported and not any(version in LEGACY_VERSIONS for version in supported):
        raise BackendError(
            FailureKind.BACKEND_ERROR,
            f"backend {backend} speaks only {', '.join(supported[:8])}; this program speaks "
            f"{', '.join((*LEGACY_VERSIONS, *MODERN_VERSIONS))}. Update one of the two",
            code=UNSUPPORTED_VERSION,
            data={"supported": supported},
        )
    return mutual


def supported_versions(data: Any) -> list[str]:
    """`data.supported` of an error -32022; empty when it is not there or malformed."""
    versions = data.get("supported") if isinstance(data, dict) else None
    return [version for version in versions if isinstance(version, str)] if isinstance(versions, list) else []


def newest_modern(versions: list[str]) -> str | None:
    """The newest modern version that both sides speak."""
    return next((version for version in reversed(MODERN_VERSIONS) if version in versions), None)


def read_discovery(result: Any, asked: str) -> Agreement | None:
    """A `server/discover` result, or None when it names no modern version that we speak."""
    if not isinstance(result, dict):
        return None
    versions = result.get("supportedVersions")
    if not isinstance(versions, list) or (newest := newest_modern(versions)) is None:
        return None
    meta = result.get("_meta")
    info = meta.get(keys.SERVER_INFO) if isinstance(meta, dict) else None
    return Agreement(
        era=Era.MODERN,
        version=asked if asked in versions else newest,
        server_info=_object(info),
        capabilities=_object(result.get("capabilities")),
        instructions=_text(result.get("instructions")),
    )


async def initialize(
    request: Request,
    notify: Callable[[str, dict[str, Any]], Awaitable[None] | None],
    backend: str,
    *,
    client_info: Mapping[str, Any] | None = None,
    capabilities: Mapping[str, Any] | None = None,
    version: str | None = None,
) -> Agreement:
    """The legacy handshake: `initialize`, then `notifications/initialized`.

    `version` is what is offered first (our newest legacy one if None). A server that refuses it and names others is
    asked once more.

    Raises:
        BackendError: `backend_error` when refused (with the backend's own code; -32022 means *modern only*),
            `bad_answer` for an unknown version or none, or whatever `request` raises for a lost connection.
    """
    offered = version if version in LEGACY_VERSIONS else LATEST_LEGACY
    for last in (False, True):
        params = {
            "protocolVersion": offered,
            "capabilities": capabilities or {},
            "clientInfo": client_info or OWN_INFO,
        }
        try:
            result = await request("initialize", params)
        except RpcError as error:
            mutual = next((v for v in reversed(LEGACY_VERSIONS) if v in supported_versions(error.data)), None)
            if last or mutual in {None, offered} or error.code not in {UNSUPPORTED_VERSION, INVALID_PARAMS}:
                raise _refused(backend, error) from error
            offered = str(mutual)
            continue
        agreement = read_initialized(result, backend)
        sent = notify("notifications/initialized", {})
        if sent is not None:
            await sent
        return agreement
    raise BackendError(FailureKind.BACKEND_ERROR, f"backend {backend} refused every version offered at initialize")


def _refused(backend: str, error: RpcError) -> BackendError:
    return BackendError(
        FailureKind.BACKEND_ERROR,
        f"backend {backend} refused initialize: {error.message[:500]} ({error.code})",
        code=error.code,
        data=error.data,
    )


def read_initialized(result: Any, backend: str) -> Agreement:
    """An `initialize` result.

    Raises:
        BackendError: no protocol version, or one that we do not speak.
    """
    version = result.get("protocolVersion") if isinstance(result, dict) else None
    if not isinstance(version, str):
        raise BackendError(FailureKind.BAD_ANSWER, f"backend {backend} answered initialize without a protocol version")
    if era_of(version) is not Era.LEGACY:
        raise BackendError(
            FailureKind.BAD_ANSWER,
            f"backend {backend} wants protocol version {version[:40]!r} after initialize; this program speaks "
            f"{', '.join(LEGACY_VERSIONS)} there",
            code=UNSUPPORTED_VERSION,
        )
    return Agreement(
        era=Era.LEGACY,
        version=version,
        server_info=_object(result.get("serverInfo")),
        capabilities=_object(result.get("capabilities")),
        instructions=_text(result.get("instructions")),
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
