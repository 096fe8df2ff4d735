"""The chain of hashes that makes quiet edits of the journal visible: rows are made and checked here, purely.

A row's hash is SHA-256 over: the hash of the row before it (32 bytes), its number (8 bytes, big endian), its time
(8 bytes, IEEE 754 double, big endian), then kind, run and data as UTF-8 with one zero byte between them (no run:
empty). The first row follows 32 zero bytes. No field contains a zero byte, so one row reads in one way only.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from mcp_orchestrator.model.event import Event

GENESIS: Final = bytes(32)
"""What the first row's hash follows."""

MAX_DATA_BYTES: Final = 256 * 1024
"""Event data beyond this many bytes of JSON is replaced by its size and beginning: a record must stay a record."""

COLUMNS: Final = 6
"""Cells of one row: seq, at, kind, run, data, hash."""

Cell = int | float | str | bytes | None

_NUMBERS: Final = struct.Struct(">qd").pack


def _foreign(value: object) -> object:
    """What the encoder does not know: mappings and sets as such, anything else as its text (a `Secret` masked)."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, range)) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return list(value)
    return str(value)


_encoder: Final = msgspec.json.Encoder(enc_hook=_foreign)


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain stands: the number of its last row (0: none yet) and that row's hash."""

    seq: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row that does not fit: its number and what is wrong with it, for a person."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk along the whole chain found: `rows` checked, where it ended, and the first fault if there is one.

    `end.hash` noted elsewhere proves later that nothing was cut off at the end.
    """

    rows: int
    end: Link
    fault: Fault | None = None


def chain_rows(events: Sequence[Event], link: Link) -> tuple[list[Cell], Link]:
    """The rows for `events` behind `link`, as one flat list of cells, and where the chain stands then.

    Never fails on an event's content: what cannot be encoded is recorded as its description.
    """
    cells: list[Cell] = []
    seq, previous = link.seq, link.hash
    encode = _encoder.encode
    for event in events:
        seq += 1
        kind, run, at = str(event.kind), event.run or None, event.at
        try:
            data = encode(event.data)
            head = f"{kind}\0{run or ''}\0".encode()
        except (TypeError, ValueError, RecursionError) as error:
            run, data = _describe(event, str(error))
            head = f"{kind}\0{run or ''}\0".encode()
        if len(data) > MAX_DATA_BYTES:
            data = encode({"oversize": len(data), "start": data[:1000].decode("utf-8", "replace")})
        if not math.isfinite(at):
            at = 0.0
        if run is not None and "\0" in run:
            run = run.replace("\0", "\N{REPLACEMENT CHARACTER}")
            head = f"{kind}\0{run}\0".encode()
        previous = sha256(b"%b%b%b%b" % (previous, _NUMBERS(seq, at), head, data)).digest()
        cells += (seq, at, kind, run, data.decode(), previous)
    return cells, Link(seq, previous)


def _describe(event: Event, why: str) -> tuple[str | None, bytes]:
    """Run id and data of an event that is no plain JSON, made encodable."""
    run = event.run.encode("utf-8", "replace").decode() if event.run else None
    try:
        shown = repr(event.data)
    except RecursionError:
        shown = "(nested too deeply)"
    clean = {"unencodable": shown[:1000], "why": why}
    return run, _encoder.encode({key: text.encode("utf-8", "replace").decode() for key, text in clean.items()})


def check_rows(rows: Iterable[Sequence[Any]], link: Link) -> Verdict:
    """Walk rows in order and recompute every hash; stops at the first fault.

    Each row is (seq, at, kind, run, data, hash) with texts as bytes. `link` is what the first row must follow.
    """
    seq, previous, count = link.seq, link.hash, 0
    for row in rows:
        number, found = row[0], row[-1]
        if number != seq + 1:
            fault = Fault(seq + 1, f"row {seq + 1} is missing: after {seq} comes {number}")
            return Verdict(count, Link(seq, previous), fault)
        if not _well_typed(row) or _hash(previous, row) != found:
            fault = Fault(number, f"row {number} is not what was written: its hash does not fit the one before it")
            return Verdict(count, Link(seq, previous), fault)
        seq, previous, count = number, found, count + 1
    return Verdict(count, Link(seq, previous))


def _well_typed(row: Sequence[Any]) -> bool:
    _seq, at, kind, run, data, found = row
    texts = isinstance(kind, bytes) and isinstance(data, bytes) and (run is None or isinstance(run, bytes))
    return texts and isinstance(at, float) and isinstance(found, bytes) and run != b""


def _hash(previous: bytes, row: Sequence[Any]) -> bytes:
    seq, at, kind, run, data, _found = row
    return sha256(b"%b%b%b\0%b\0%b" % (previous, _NUMBERS(seq, at), kind, run or b"", data)).digest()
