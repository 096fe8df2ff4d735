"""Who callers are: by a token that is good, else nobody known; with the groups and team that the configuration gives them.

Tokens are made and revoked by commands, in the storage; a running gateway looks there twice a second. On the way of a
call stands one look into a dictionary, by the bytes of the header as they came.
"""

from __future__ import annotations

import asyncio
import math
import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from mcp_orchestrator.core import tokens
from mcp_orchestrator.core.identities import TOKEN, named, of_token, placed
from mcp_orchestrator.model.call import ANONYMOUS, Era, Principal
from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.model.snapshot import IdentitySpec
from mcp_orchestrator.plugin_api import View

LOOK_EVERY: Final = 0.4
"""Seconds between two looks at the stored tokens: a revoked one is refused within half a second."""

MOST_KNOWN: Final = 10_000
"""Headers that are kept for a quick look: more good tokens are looked up by their hash each time."""

TELL_EVERY: Final = 1.0
"""Seconds between two records of refused callers: whoever guesses must not fill the journal."""

_BEARER: Final = b"bearer "
_LONGEST: Final = 512


class TokenStore(Protocol):
    """Where tokens are kept."""

    async def changed(self, known: int) -> tuple[int, Sequence[Token]] | None:
        """The number of the last change and all tokens; None when that number is `known`. Raises OSError."""
        ...


@dataclass(slots=True)
class Caller:
    """Somebody who may call. `profile` is the only one that they enter by (None: their choice).

    `expires` is in seconds since the epoch; `views` are what listeners have made of it, by era and profile.
    """

    principal: Principal
    profile: str | None = None
    expires: float = math.inf
    views: dict[tuple[Era, str | None], View] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stranger:
    """Why somebody is refused. `error` and `text` are those of RFC 6750 section 3.1; `error` "" names no error.

    `text` tells nobody but the holder of a token anything about it.
    """

    error: str
    text: str
    name: str = ""


_NOT_BEARER: Final = Stranger("", "sign in with a token: Authorization: Bearer TOKEN")
_UNKNOWN: Final = Stranger("invalid_token", "The access token is not known here, or was revoked")
_MALFORMED: Final = Stranger("invalid_token", "The access token is not one of this gateway: it is cut off or mistyped")


class Callers:
    """The callers of one gateway. `wall` is the time in seconds since the epoch; `record` keeps an event."""

    def __init__(
        self,
        store: TokenStore,
        wall: Callable[[], float],
        record: Callable[[EventKind, str | None, Mapping[str, Any]], None],
        log: Any,
    ) -> None:
        self._store = store
        self._wall = wall
        self._record = record
        self._log = log
        self._spec = IdentitySpec()
        self._revision = -1
        self._tokens: dict[bytes, Token] = {}
        self._good: set[str] = set()
        self._leaving: list[Callable[[str], None]] = []
        self._changing: list[Callable[[], None]] = []
        self._refusals = 0
        self._told = -math.inf
        self._unreadable = False
        self.required = False
        self.anonymous = Caller(ANONYMOUS)
        self.known: dict[bytes, Caller] = {}

    # -- who belongs where ----------------------------------------------------------------------------------------

    def configure(self, spec: IdentitySpec) -> None:
        """Go by this section from now on."""
        self._spec = spec
        self.required = spec.required
        self.anonymous = Caller(self.place(ANONYMOUS))
        self.known.clear()
        for changed in self._changing:
            changed()

    def place(self, principal: Principal) -> Principal:
        """A principal with its groups and team."""
        return placed(principal, self._spec)

    def named(self, ident: str) -> Principal:
        """The principal of this id as it would call now."""
        return named(ident, self._tokens.values(), self._spec, self._wall())

    def on_leaving(self, leaving: Callable[[str], None]) -> None:
        """Have `leaving` called with the id of each principal whose token is good no longer."""
        self._leaving.append(leaving)

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have `changed` called when groups and teams may be others."""
        self._changing.append(changed)

    # -- tokens ---------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Keep up with what is stored, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the stored tokens now. While they cannot be read, those that were read last are gone by."""
        try:
            found = await self._store.changed(self._revision)
        except OSError as error:
            if not self._unreadable:
                self._log.warning("tokens cannot be read: those that are known stay in force", error=str(error))
            self._unreadable = True
        else:
            self._unreadable = False
            if found is not None:
                self._revision, everyone = found
                self._tokens = {token.digest: token for token in everyone if token.revoked is None}
                self.known.clear()
        self._tell_of_leaving()

    def _tell_of_leaving(self) -> None:
        now = self._wall()
        good = {token.name for token in self._tokens.values() if token.is_good(now)}
        gone, self._good = self._good - good, good
        for name in gone:
            for leaving in self._leaving:
                leaving(f"{TOKEN}{name}")

    def signed_in(self, value: bytes) -> Caller | Stranger:
        """Whom the value of an `Authorization` header stands for (RFC 6750 section 2.1)."""
        known = self.known.get(value)
        if known is not None and self._wall() < known.expires:
            return known
        found = self._looked_up(value)
        if isinstance(found, Caller):
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            self.known[value] = found
        else:
            self._note_refusal(found)
        return found

    def _looked_up(self, value: bytes) -> Caller | Stranger:
        if value[: len(_BEARER)].lower() != _BEARER:
            return _NOT_BEARER
        text = value[len(_BEARER) :].strip().decode("latin-1") if len(value) <= _LONGEST else ""
        if not tokens.is_token(text):
            return _MALFORMED
        token = self._tokens.get(tokens.digest(text))
        if token is None:
            return _UNKNOWN
        if not token.is_good(self._wall()):
            return Stranger("invalid_token", "The access token has expired", token.name)
        expires = math.inf if token.expires is None else token.expires
        return Caller(of_token(token, self._spec), token.profile, expires)

    def _note_refusal(self, stranger: Stranger) -> None:
        """Tell of refused callers, in the log and the journal; never of what they sent."""
        self._refusals += 1
        now = self._wall()
        if now - self._told < TELL_EVERY:
            return
        self._told = now
        times, self._refusals = self._refusals, 0
        reason = stranger.text or stranger.error
        more = {"name": stranger.name} if stranger.name else {}
        self._record(EventKind.CALLER_REFUSED, None, {"reason": reason, "times": times, **more})
        self._log.warning("a caller was refused", reason=reason, times=times, **more)


def local_principal() -> Principal:
    """The operating-system user: who speaks on standard input and output, and on the command line.

    By the user database, not by `USER` or `LOGNAME`, which anybody may set; by number where it knows no name.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # a bare container
        name = str(number)
    return Principal(f"local:{name}", "local")
