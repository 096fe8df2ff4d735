"""Delegations as rows of the state file: how they are written and read, and which of them a gateway takes over."""

from __future__ import annotations

import errno
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from mcp_orchestrator.model.delegation import Delegated, DelegationState
from mcp_orchestrator.model.event import EventKind
from mcp_orchestrator.storage.database import Connection, Keeping
from mcp_orchestrator.storage.keeper import Keeper
from mcp_orchestrator.storage.trouble import StorageError

T = TypeVar("T")

_decoder: Final = msgspec.json.Decoder(Delegated)
_encoder: Final = msgspec.json.Encoder()

_SAVE: Final = """
    INSERT INTO delegation (id, owner, agent, state, keeper, created, updated, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, agent = excluded.agent, state = excluded.state,
        keeper = excluded.keeper, created = excluded.created, updated = excluded.updated, body = excluded.body
    WHERE delegation.keeper = excluded.keeper OR delegation.state = 'ended'
"""

DelegationRow = tuple[str, str, str, str, str, float, float, str]


class Ask(Protocol):
    """`Writer.ask`: has the writing thread do something with the connection, in a transaction."""

    def __call__(self, question: Callable[[Connection], T]) -> Awaitable[T]:
        """Do it and return what it returns; raises StorageError when it was rolled back."""
        ...


def encode_delegated(delegated: Delegated) -> str:
    """A delegation as JSON. Text that is no Unicode (half of a surrogate pair) is replaced, as JSON cannot hold it."""
    try:
        return _encoder.encode(delegated).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_whole(msgspec.to_builtins(delegated))).decode()


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {_whole(key): _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, (list, tuple)) else value


def decode_delegated(body: object) -> Delegated | None:
    """The delegation of a row; None for what is malformed. Keys that we do not know are a newer version's: ignored."""
    if isinstance(body, (str, bytes)):
        with suppress(ValueError, RecursionError):
            return _decoder.decode(body)
    return None


def put_delegated(connection: Connection, row: DelegationRow) -> bool:
    """Keep one row; False when it is open and another gateway's, and so was left alone."""
    return connection.execute(_SAVE, row).rowcount > 0


def find_delegated(connection: Connection, run: str) -> Delegated | None:
    """One by its run id."""
    row = connection.execute("SELECT body FROM delegation WHERE id = ?", (run,)).fetchone()
    return None if row is None else decode_delegated(row[0])


def has_event(connection: Connection, run: str, kind: EventKind) -> bool:
    """Whether the journal has an event of a kind for a run."""
    query = "SELECT 1 FROM event WHERE run = ? AND kind = ? LIMIT 1"
    return connection.execute(query, (run, kind.value)).fetchone() is not None


def recent_delegated(connection: Connection, owner: str | None, limit: int, before: float | None) -> list[Delegated]:
    """The newest first; those that cannot be read are left out."""
    where, values = ["1 = 1"], list[Any]()
    for condition, value in (("owner = ?", owner), ("created < ?", before)):
        if value is not None:
            where.append(condition)
            values.append(value)
    query = f"SELECT body FROM delegation WHERE {' AND '.join(where)} ORDER BY created DESC, id DESC LIMIT ?"  # noqa: S608
    rows = connection.execute(query, (*values, limit)).fetchall()
    return [found for (body,) in rows if (found := decode_delegated(body)) is not None]


def take_over(connection: Connection, keeper: Keeping) -> tuple[list[Delegated], frozenset[str]]:
    """Make what is open and no living gateway's our own; returns all that is open and ours, and the dead keepers.

    Oldest first. What cannot be read is left as it is: a newer version may know what to do with it.
    """
    query = "SELECT id, keeper, body FROM delegation WHERE state <> ? ORDER BY created, id"
    rows = connection.execute(query, (DelegationState.ENDED.value,)).fetchall()
    keeper.hold()
    dead = frozenset(one for one in {str(row[1]) for row in rows} if not keeper.is_alive(one))
    ours: list[Delegated] = []
    for run, kept_by, body in rows:
        if kept_by != keeper.token and kept_by not in dead:
            continue
        found = decode_delegated(body)
        if found is not None:
            connection.execute("UPDATE delegation SET keeper = ? WHERE id = ?", (keeper.token, run))
            ours.append(found)
    return ours, dead


class SqliteDelegations:
    """A `DelegationStore` on the state file; everything goes through the thread that writes it."""

    def __init__(self, path: Path | str, ask: Ask, keeper: Keeping | None = None) -> None:
        self._path = path
        self._ask = ask
        self._keeper = keeper if keeper is not None else Keeper(Path(path))

    @property
    def keeper(self) -> str:
        """The name of this gateway as a keeper."""
        return self._keeper.token

    async def save(self, delegated: Delegated) -> None:
        """Keep this state; returns once it is durable, as far as `storage.durability` says.

        Raises:
            StorageError: (an `OSError`) it could not be kept, or another gateway has taken the run over.
        """
        if not await self._ask(functools.partial(self._put, delegated=delegated)):
            text = f"run {delegated.id} is carried out by another gateway on {self._path}"
            raise StorageError(errno.EBUSY, text, self._path)

    def _put(self, connection: Connection, delegated: Delegated) -> bool:
        state, token = delegated.state.value, self._keeper.hold()
        times = (delegated.created, delegated.updated)
        row = (delegated.id, delegated.owner, delegated.agent, state, token, *times, encode_delegated(delegated))
        return put_delegated(connection, row)

    async def unfinished(self) -> Sequence[Delegated]:
        """Those without an end that are ours, or were of a gateway that has ended and are ours now; oldest first."""
        ours, dead = await self._ask(functools.partial(take_over, keeper=self._keeper))
        for token in dead:
            self._keeper.forget(token)
        return ours

    async def find(self, run: str) -> Delegated | None:
        """One by its run id, whoever carries it out."""
        return await self._ask(functools.partial(find_delegated, run=run))

    async def told(self, run: str, kind: EventKind) -> bool:
        """Whether the journal has an event of this kind for a run."""
        return await self._ask(functools.partial(has_event, run=run, kind=kind))

    async def recent(self, owner: str | None, limit: int, before: float | None = None) -> Sequence[Delegated]:
        """The newest first, of one principal or of all, begun before a time."""
        return await self._ask(functools.partial(recent_delegated, owner=owner, limit=limit, before=before))

    def release(self) -> None:
        """Leave what is still open to the next gateway. Idempotent."""
        self._keeper.release()
