"""What HTTP answers mean: statuses as failures in words, JSON-RPC errors in bodies, secrets kept out of texts.

MCP 2026-07-28 and 2025-11-25 basic/transports (streamable HTTP), basic/authorization (401, 403).
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from mcp_orchestrator.backends.http_connection import Response
from mcp_orchestrator.backends.mcp_handshake import RpcError
from mcp_orchestrator.core.wire import jsonrpc
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.model.snapshot import BackendSpec

OK: Final = 200
ACCEPTED: Final = 202
REDIRECTS: Final = range(300, 400)
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
METHOD_NOT_ALLOWED: Final = 405
TOO_MANY: Final = 429
SERVICE_UNAVAILABLE: Final = 503
EVENT_STREAM: Final = "text/event-stream"

NOT_THIS_PROTOCOL: Final = frozenset({400, 404, 405, 406, 410, 415, 422, 500, 501})
"""Statuses by which servers that do not know a protocol refuse its first request, each in their own way."""

_REALM: Final = re.compile(r'realm="([^"]{1,200})"')
_SHOWN_BODY: Final = 200
_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "token"})
_SECRET_CHARS: Final = 12
_ERROR_BODY: Final = 64 * 1024


def content_type(response: Response) -> str:
    """The media type without parameters, in lower case."""
    return response.header(b"content-type").partition(";")[0].strip().lower()


def scrub(spec: BackendSpec, text: str) -> str:
    """`text` of a backend without our configured headers and address, should it echo them."""
    values = [secret.reveal() for _name, secret in spec.headers]
    words = {word for value in values for word in (value, *value.split()) if word.lower() not in _SCHEMES}
    if spec.url is not None:
        parts = urlsplit(spec.url.reveal())
        words |= {spec.url.reveal(), parts.query, parts.netloc.rpartition("@")[0]}
    words |= {secret.reveal() for secret in spec.confidential}
    for word in sorted(words, key=len, reverse=True):
        if len(word) > 3:  # noqa: PLR2004 - shorter words are no secrets and occur everywhere
            text = text.replace(word, "<secret>")
    return text


def rpc_error_in(response: Response) -> RpcError | None:
    """The JSON-RPC error that a body holds (whatever its id: a server may refuse before it has read one), or None."""
    if response.size > _ERROR_BODY:
        return None
    try:
        envelope = jsonrpc.open_envelope(response.body())
    except ValueError:
        return None
    if not envelope.error or bytes(envelope.error) == b"null":
        return None
    body = jsonrpc.open_error(envelope.error)
    return RpcError(int(body.code), body.message, body.data)


def refusal(spec: BackendSpec, shown: str, response: Response) -> BackendError:
    """A status other than success, with no JSON-RPC error in the body, as a failure for a person.

    `shown` is the origin. `sent` is True where the server may have acted before it failed.
    """
    status = response.status
    who = f"backend {spec.name} ({shown})"
    data: dict[str, Any] = {"httpStatus": status}
    if status in REDIRECTS:
        return BackendError(FailureKind.UNAVAILABLE, _redirect(spec, who, response), data=data)
    said = _said(spec, response)
    match status:
        case 401:
            text = (
                f"{who} needs sign-in{_where(response)} (HTTP 401): put a valid token into the server's `headers`{said}"
            )
        case 403:
            text = f"{who} refuses access (HTTP 403): the token in the server's `headers` lacks a right{said}"
        case 404:
            text = f"{who} has nothing at this address (HTTP 404): check the server's `url`{said}"
        case 405:
            text = f"{who} does not take this kind of request here (HTTP 405): check `url` and `type`{said}"
        case 429:
            after = response.header(b"retry-after")[:40]
            text = f"{who} is asked too often (HTTP 429){f'; retry after {after}' if after else ''}{said}"
            if after:
                data["retryAfter"] = after
        case 503:
            text = f"{who} is unavailable at the moment (HTTP 503){said}"
        case _ if status >= 500:  # noqa: PLR2004 - the server failed, and nobody knows how far it came
            text = f"{who} failed (HTTP {status}); the call may have had effects{said}"
            return BackendError(FailureKind.BACKEND_ERROR, text, data=data, sent=True)
        case _:
            return _unexpected(who, status, said)
    return BackendError(FailureKind.UNAVAILABLE, text, data=data)


def _unexpected(who: str, status: int, said: str) -> BackendError:
    data = {"httpStatus": status}
    if status < REDIRECTS.start:
        text = f"{who} accepted a request without answering it (HTTP {status})"
        return BackendError(FailureKind.BAD_ANSWER, text, data=data, sent=True)
    return BackendError(FailureKind.BACKEND_ERROR, f"{who} refused the request (HTTP {status}){said}", data=data)


def _where(response: Response) -> str:
    realm = _REALM.search(response.header(b"www-authenticate"))
    return f" for {realm[1]!r}" if realm else ""


def wrong_content(spec: BackendSpec, shown: str, response: Response) -> BackendError:
    """A success whose body is neither JSON nor an event stream."""
    kind = content_type(response)[:80] or "no content type"
    text = f"backend {spec.name} ({shown}) answered with {kind} (HTTP {response.status}) instead of JSON"
    return BackendError(FailureKind.BAD_ANSWER, text, sent=True)


def _redirect(spec: BackendSpec, who: str, response: Response) -> str:
    """Names the new address without its query, and without long path segments of ours, which may be secrets."""
    try:
        parts = urlsplit(response.header(b"location"))
        host = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}" if parts.hostname else ""
        ours = set(urlsplit(spec.url.reveal()).path.split("/")) if spec.url is not None else set()
        path = [part if part not in ours or len(part) < _SECRET_CHARS else "..." for part in parts.path.split("/")]
        target = f"{host}{'/'.join(path)}"[:300]
    except ValueError:
        target = "an address that is no URL"
    return f"{who} redirects to {target} (HTTP {response.status}); redirects are not followed: use that as `url`"


def _said(spec: BackendSpec, response: Response) -> str:
    """A short printable extract of a textual body, for a person."""
    if not content_type(response).startswith(("text/plain", "application/json")) or not response.size:
        return ""
    text = b"".join(response.chunks)[: _SHOWN_BODY * 4].decode("utf-8", "replace")
    text = " ".join("".join(char if char.isprintable() else " " for char in scrub(spec, text)).split())
    return f": {text[:_SHOWN_BODY]}" if text else ""
