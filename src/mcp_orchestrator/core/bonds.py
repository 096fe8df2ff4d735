"""What a `requestState` is bound to: whose call it continues, which one exactly, and where it goes.

MCP 2026-07-28 basic/index (input required): the client sends the state back untouched, and a server must treat it as
input of an attacker. The state is sealed with these facts as associated data, so that it opens for nobody else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mcp_orchestrator.model.call import Call, Principal

CARRIED: Final = ("inputResponses", "requestState")
"""Parameters that a retry adds to those of the first request."""

_canonical: Final = msgspec.json.Encoder(order="sorted")
_kept: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Kept:
    """What is inside a sealed state.

    `at` is seconds since the epoch. Either `run` and `round` name a parked run that waits for answers, or `state` is
    the backend's own state (None: it gave none), which goes back to `backend`.
    """

    at: float
    backend: str = ""
    state: str | None = None
    run: str = ""
    round: int = 0


def bond(call: Call) -> bytes:
    """The facts that a state of this call is bound to, as canonical JSON."""
    params = {key: value for key, value in call.params.items() if key not in CARRIED}
    digest = hashlib.sha256(_canonical.encode(params)).hexdigest()
    return _canonical.encode([call.principal.id, call.profile or "", call.method, call.name, digest])


def owner_bond(owner: Principal) -> bytes:
    """The facts that the id of a task is bound to: whose task it is."""
    return _canonical.encode(["task", owner.kind, owner.id])


def packed(kept: Kept) -> bytes:
    """The inside of a state as bytes."""
    return _canonical.encode({"a": kept.at, "b": kept.backend, "s": kept.state, "r": kept.run, "n": kept.round})


def unpacked(inside: bytes) -> Kept:
    """The reverse of `packed`; the bytes were sealed by us, so they have that form.

    Raises:
        ValueError: they do not: another version of ours sealed them.
    """
    try:
        found = _kept.decode(inside)
        return Kept(found["a"], found["b"], found["s"], found["r"], found["n"])
    except (KeyError, msgspec.MsgspecError) as error:
        raise ValueError("the state was made by another version of this program") from error
