"""Public names: `SERVER__TOOL` for clients, `SERVER.TOOL` for configuration; a table, never a parse."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

LIMIT: Final = 64
"""Longest public name, in characters (what the strictest clients of 2026 accept)."""

OWN: Final = "/gateway"
"""The name under which the gateway's own tools stand among the backends; no server can be called so."""

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]")
_HASH_LENGTH: Final = 6


def dotted(server: str, name: str) -> str:
    """The name in configuration and rules: `SERVER.NAME`; of the gateway's own tools the bare name."""
    return name if server == OWN else f"{server}.{name}"


def public_name(server: str, name: str) -> str:
    """The name clients see: `SERVER__NAME`, characters `[A-Za-z0-9_-]`, at most 64.

    A name that is too long is cut and ends in `_` and a six-character hash of the whole.
    """
    whole = f"{server}__{name}"
    clean = _FOREIGN.sub("_", whole)
    return clean if len(clean) <= LIMIT else with_hash(clean, whole)


def with_hash(clean: str, whole: str) -> str:
    """`clean`, cut to make room, with the six-character hash of `whole` at its end."""
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{clean[: LIMIT - _HASH_LENGTH - 1]}_{digest}"


def assign(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Public names for (server, name) pairs, unique and independent of the order of the pairs.

    Names that would collide after cleaning all get their hash, so that none of them depends on who came first.
    """
    wanted: dict[str, list[tuple[str, str]]] = {}
    for pair in pairs:
        # A public name of a server has two underscores in it, so that none of ours can be one of theirs.
        wanted.setdefault(pair[1] if pair[0] == OWN else public_name(*pair), []).append(pair)
    assigned: dict[tuple[str, str], str] = {}
    for name, claimants in wanted.items():
        if len(set(claimants)) == 1:
            assigned[claimants[0]] = name
            continue
        for server, original in claimants:
            assigned[server, original] = with_hash(name, f"{server}__{original}")
    return assigned
