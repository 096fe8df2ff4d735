"""How a run ended: outcomes are values, never exceptions."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from mcp_orchestrator.model.call import Era


class FailureKind(enum.StrEnum):
    """Why there is no result. The word is what the journal, `--format json` and error data show."""

    BACKEND_ERROR = "backend_error"  # the backend answered with a JSON-RPC error: passed on untouched
    UNAVAILABLE = "unavailable"  # never sent: the backend could not be reached or started
    DIED = "died"  # sent, then the backend went away: effects unknown
    TIMEOUT = "timeout"  # sent, no answer in time: effects unknown
    BAD_ANSWER = "bad_answer"  # the backend's answer broke the protocol or a limit
    INVALID = "invalid"  # the request is wrong: never sent
    UNKNOWN_NAME = "unknown_name"  # nothing of that name is offered: never sent
    REFUSED = "refused"  # policy or budget said no: never sent
    OVERLOADED = "overloaded"  # a limit of ours is reached: never sent
    CANCELLED = "cancelled"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Completed:
    """The backend's result, as the encoded JSON object of the wire, untouched.

    `result` is UTF-8 JSON of exactly one object. `era` is the era in which the backend spoke: a listener translates
    only when its client speaks the other one. `checked` is False while nobody has yet verified that the bytes are
    well-formed JSON; a listener on a shared byte stream must check them first.
    """

    result: bytes
    era: Era
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """No result. `code`, `message`, `data` are the JSON-RPC error for the client (`data` None: absent).

    `retryable` says that repeating the call cannot double an effect: nothing was sent, or nothing was done.
    """

    kind: FailureKind
    code: int
    message: str
    data: Any = None
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class ToolRefusal:
    """A tool result with `isError: true` made by us, for what the calling model itself can mend (bad arguments)."""

    text: str
    kind: FailureKind = FailureKind.INVALID


Outcome = Completed | Failed | ToolRefusal
