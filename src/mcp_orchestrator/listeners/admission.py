"""Who a request over HTTP is from: anybody, or whoever its token says (RFC 6750; MCP 2026-07-28 basic/authorization)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from mcp_orchestrator.core.scopes import MISSING_SCOPE
from mcp_orchestrator.core.tokens import PREFIX
from mcp_orchestrator.listeners.event_stream import Headers
from mcp_orchestrator.listeners.http_guard import Exchange, HeaderMap, Rejection
from mcp_orchestrator.model.call import ANONYMOUS, Era
from mcp_orchestrator.model.outcome import Failed, Outcome
from mcp_orchestrator.plugin_api import View
from mcp_orchestrator.runtime.callers import Caller, Callers, Stranger

Admit = Callable[[Era, str | None, Exchange], View | Rejection]
"""From where the sender of a request looks, who asks in this era for this profile; or why they are turned away."""

REALM: Final = "mcp-orchestrator"
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
_AUTHORIZATION: Final = b"authorization"
_IN_QUERY: Final = re.compile(rb"(?i)(^|[&;])(access_token|%61ccess_token)=|" + PREFIX.encode())


def challenge(error: str = "", text: str = "", scope: str = "") -> tuple[bytes, bytes]:
    """The header that says how to sign in (RFC 6750 section 3). Values hold no quotation marks or backslashes."""
    parts = {"realm": REALM, "error": error, "error_description": text, "scope": scope}
    shown = ", ".join(f'{name}="{value}"' for name, value in parts.items() if value)
    return b"www-authenticate", f"Bearer {shown}".encode("latin-1", "replace")


def anybody() -> Admit:
    """Everybody is nobody known."""
    views: dict[tuple[Era, str | None], View] = {}

    def admit(era: Era, profile: str | None, _exchange: Exchange) -> View:
        view = views.get((era, profile))
        if view is None:
            view = views[era, profile] = View(era, profile, ANONYMOUS)
        return view

    return admit


class SignIn:
    """Lets in who has a good token, and nobody known where that is allowed. It is an `Admit`."""

    def __init__(self, callers: Callers, has_profile: Callable[[str], bool]) -> None:
        self._callers = callers
        self._has_profile = has_profile

    @property
    def required(self) -> bool:
        """Whether nobody is let in without a token."""
        return self._callers.required

    def on_leaving(self, leaving: Callable[[str], None]) -> None:
        """Have `leaving` called with the id of each principal who may call no longer."""
        self._callers.on_leaving(leaving)

    def __call__(self, era: Era, profile: str | None, exchange: Exchange) -> View | Rejection:
        """The view of a request; a look or two into a dictionary for whoever was here before."""
        caller = self.caller(exchange.headers, exchange.raw)
        if isinstance(caller, Rejection):
            return caller
        return caller.views.get((era, profile)) or self._view(caller, era, profile)

    def caller(self, headers: HeaderMap, raw: Sequence[tuple[bytes, bytes]]) -> Caller | Rejection:
        """Who sent these headers; `raw` are the same with those that came more than once."""
        value = headers.get(_AUTHORIZATION)
        callers = self._callers
        if value is None:
            return _UNKNOWN if callers.required else callers.anonymous
        if len(headers) != len(raw) and [name for name, _ in raw].count(_AUTHORIZATION) > 1:
            return _TWICE  # of two, different programs read different ones
        found = callers.signed_in(value)
        if isinstance(found, Caller):
            return found
        if not found.error and not callers.required:
            return callers.anonymous  # another scheme, which means nothing here
        return turned_away(found)

    def _view(self, caller: Caller, era: Era, profile: str | None) -> View | Rejection:
        own = caller.profile
        if own is not None:
            if profile not in (None, own):
                text = f"the token of {caller.principal.id} enters by the profile '{own}' alone"
                return Rejection(FORBIDDEN, text)
            if not self._has_profile(own):
                text = f"the profile '{own}', which the token of {caller.principal.id} is for, is not there any more"
                return Rejection(FORBIDDEN, text)
        view = View(era, own or profile, caller.principal)
        caller.views[era, profile] = view
        return view


def turned_away(stranger: Stranger) -> Rejection:
    """The refusal of somebody whom we do not know."""
    header = challenge(stranger.error, stranger.text if stranger.error else "")
    text = f"{stranger.text}; a token is made with: mcp-orchestrator tokens create NAME"
    return Rejection(UNAUTHORIZED, text, (header,))


def in_query(query: bytes) -> Rejection | None:
    """The refusal of a token in the query, where it ends up in logs and histories (RFC 6750 section 2.3, MCP forbids it)."""
    return _QUERY if _IN_QUERY.search(query) else None


def lacks_scope(outcome: Outcome) -> str:
    """The scope that the caller's token lacks for what it asked; "" where that is not why it was refused."""
    if not isinstance(outcome, Failed) or not isinstance(outcome.data, dict):
        return ""
    return str(outcome.data.get(MISSING_SCOPE, ""))


def scope_headers(scope: str) -> Headers:
    """What goes with a 403 (RFC 6750 section 3.1)."""
    return (challenge("insufficient_scope", "The access token is not good for this", scope),)


_UNKNOWN: Final = turned_away(Stranger("", "sign in with a token: Authorization: Bearer TOKEN"))
_TWICE: Final = Rejection(
    400, "the Authorization header came twice", (challenge("invalid_request", "The header came twice"),)
)
_QUERY: Final = Rejection(
    UNAUTHORIZED,
    "a token may not stand in the address, where logs keep it: send it as Authorization: Bearer TOKEN, and revoke this one",
    (challenge("invalid_request", "A token may not stand in the query"),),
)
