"""Exit codes, and the one exception that ends a command with one of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NoReturn

from mcp_orchestrator.model.outcome import FailureKind


class Exit(enum.IntEnum):
    """What the exit code of every command means (`docs/reference/cli.md`)."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    SIGN_IN = 3
    UNREACHABLE = 4
    TOOL_FAILED = 5
    REFUSED = 6
    QUESTION = 7


class Ended(Exception):  # noqa: N818 - a way to end, not always an error
    """Ends a command: the exit code, a message for a person, and how to mend it ("" if there is nothing to say).

    `details` joins the error object of `--format json`; it never holds a secret.
    """

    def __init__(self, code: Exit, message: str, *, fix: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.details = dict(details or {})


_BY_KIND = {
    FailureKind.BACKEND_ERROR: Exit.TOOL_FAILED,
    FailureKind.BAD_ANSWER: Exit.TOOL_FAILED,
    FailureKind.CANCELLED: Exit.TOOL_FAILED,
    FailureKind.UNAVAILABLE: Exit.UNREACHABLE,
    FailureKind.DIED: Exit.UNREACHABLE,
    FailureKind.TIMEOUT: Exit.UNREACHABLE,
    FailureKind.OVERLOADED: Exit.UNREACHABLE,
    FailureKind.INVALID: Exit.USAGE,
    FailureKind.UNKNOWN_NAME: Exit.USAGE,
    FailureKind.REFUSED: Exit.REFUSED,
    FailureKind.INTERNAL: Exit.UNEXPECTED,
}


def of_failure(kind: str) -> Exit:
    """The exit code for a failed run, by the word its error carries; an unknown word counts as a failed tool."""
    try:
        return _BY_KIND[FailureKind(kind)]
    except ValueError:
        return Exit.TOOL_FAILED


def bad_usage(message: str, fix: str = "") -> NoReturn:
    """End with exit code 2.

    Raises:
        Ended: always.
    """
    raise Ended(Exit.USAGE, message, fix=fix)
