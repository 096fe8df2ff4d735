"""Tokens as rows of the state file: made, revoked and looked at by commands, seen by every gateway on the file."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeVar

import msgspec

from mcp_orchestrator.model.caller import Token
from mcp_orchestrator.storage.database import Connection

T = TypeVar("T")

_COLUMNS: Final = "id, name, digest, created, expires, revoked, scopes, member_of, profile"
_ALL: Final = f"SELECT {_COLUMNS} FROM token ORDER BY created, id"  # noqa: S608 - our own words
_NEXT: Final = "(SELECT coalesce(max(changed), 0) + 1 FROM token)"
_ADD: Final = f"INSERT INTO token ({_COLUMNS}, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {_NEXT})"  # noqa: S608
_REVOKE: Final = f"UPDATE token SET revoked = ?, changed = {_NEXT} WHERE id = ? AND revoked IS NULL"  # noqa: S608
_REVISION: Final = "SELECT coalesce(max(changed), 0) FROM token"

TokenRow = tuple[str, str, bytes, float, float | None, float | None, str | None, str, str | None]


class Ask(Protocol):
    """`Writer.ask`: has the writing thread do something with the connection, in a transaction."""

    def __call__(self, question: Callable[[Connection], T]) -> Awaitable[T]:
        """Do it and return what it returns; raises StorageError when it was rolled back."""
        ...


class NameTakenError(ValueError):
    """There is a good token of this name already."""


def row_of(token: Token) -> TokenRow:
    """A token as a row."""
    scopes = None if token.scopes is None else msgspec.json.encode(token.scopes).decode()
    groups = msgspec.json.encode(token.groups).decode()
    times = (token.created, token.expires, token.revoked)
    return token.id, token.name, token.digest, *times, scopes, groups, token.profile


def token_of(row: TokenRow) -> Token:
    """The token of a row. What cannot be read as scopes is no scope at all: a damaged row must not allow more."""
    ident, name, digest, created, expires, revoked, scopes, groups, profile = row
    limited = None if scopes is None else _words(scopes)
    return Token(ident, name, bytes(digest), created, expires, revoked, limited, _words(groups), profile)


def _words(text: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except ValueError:
        return ()


def add_token(connection: Connection, token: Token) -> None:
    """Keep a new token. An expired one of its name gives way; raises NameTakenError where one is good still."""
    query = f"SELECT {_COLUMNS} FROM token WHERE name = ? AND revoked IS NULL"  # noqa: S608 - our own words
    for row in connection.execute(query, (token.name,)).fetchall():
        other = token_of(row)
        if other.is_good(token.created):
            raise NameTakenError(f"there is a token '{token.name}' already")
        connection.execute(_REVOKE, (token.created, other.id))
    connection.execute(_ADD, row_of(token))


def revoke_token(connection: Connection, which: str, at: float) -> Token | None:
    """Revoke the token of this name or id; None where none of them is in force."""
    query = f"SELECT {_COLUMNS} FROM token WHERE (name = ? OR id = ?) AND revoked IS NULL ORDER BY name = ? DESC"  # noqa: S608
    row = connection.execute(query, (which, which, which)).fetchone()
    if row is None:
        return None
    token = token_of(row)
    connection.execute(_REVOKE, (at, token.id))
    return token


def all_tokens(connection: Connection) -> list[Token]:
    """Every token, the oldest first, those without effect included."""
    return [token_of(row) for row in connection.execute(_ALL).fetchall()]


def changed_tokens(connection: Connection, known: int) -> tuple[int, list[Token]] | None:
    """The number of the last change and all tokens; None when that number is `known`."""
    (revision,) = connection.execute(_REVISION).fetchone()
    return None if revision == known else (revision, all_tokens(connection))


class SqliteTokens:
    """A `TokenStore` on the state file; everything goes through the thread that writes it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def add(self, token: Token) -> None:
        """Keep a new token. Raises NameTakenError, or StorageError: nothing was kept."""
        taken = await self._ask(functools.partial(_added, token=token))
        if taken is not None:
            raise taken

    async def revoke(self, which: str, at: float) -> Token | None:
        """Revoke by name or id; None where no such token is in force."""
        return await self._ask(functools.partial(revoke_token, which=which, at=at))

    async def everyone(self) -> Sequence[Token]:
        """Every token, the oldest first."""
        return await self._ask(all_tokens)

    async def changed(self, known: int) -> tuple[int, Sequence[Token]] | None:
        """The number of the last change and all tokens; None when that number is `known`."""
        return await self._ask(functools.partial(changed_tokens, known=known))


def _added(connection: Connection, token: Token) -> NameTakenError | None:
    """`add_token` with its refusal as a value: the writing thread passes on errors of the storage alone."""
    try:
        add_token(connection, token)
    except NameTakenError as taken:
        return taken
    return None


class MemoryTokens:
    """A `TokenStore` of the process."""

    def __init__(self) -> None:
        self._kept: dict[str, Token] = {}
        self._revision = 0

    async def add(self, token: Token) -> None:
        """Keep a new token."""
        others = [one for one in self._kept.values() if one.name == token.name and one.revoked is None]
        if any(other.is_good(token.created) for other in others):
            raise NameTakenError(f"there is a token '{token.name}' already")
        self._kept |= {other.id: replace(other, revoked=token.created) for other in others}
        self._kept[token.id] = token
        self._revision += 1

    async def revoke(self, which: str, at: float) -> Token | None:
        """Revoke by name or id."""
        for token in self._kept.values():
            if which in (token.name, token.id) and token.revoked is None:
                self._kept[token.id] = replace(token, revoked=at)
                self._revision += 1
                return token
        return None

    async def everyone(self) -> Sequence[Token]:
        """Every token, the oldest first."""
        return sorted(self._kept.values(), key=lambda token: (token.created, token.id))

    async def changed(self, known: int) -> tuple[int, Sequence[Token]] | None:
        """The number of the last change and all tokens."""
        return None if known == self._revision else (self._revision, await self.everyone())
