"""How a turn of a program that is started for each task ended.

Where there is an event for the end, only that counts. Where there is none, a text and exit code 0 are all the evidence
that can be had, and the end says so; an exit code alone, or silence, is never a success.
"""

from __future__ import annotations

import re
from typing import Any, Final

from mcp_orchestrator.backends.cli_profiles import Profile
from mcp_orchestrator.backends.cli_reading import Found
from mcp_orchestrator.model.agent import Ended, EndStatus, TroubleKind

_EXITED: Final = re.compile(r"exit code (\d+)")
_KINDS: Final = (
    (TroubleKind.QUOTA, r"quota|usage limit|credit balance|insufficient (?:funds|credit)|billing"),
    (TroubleKind.RATE, r"\b429\b|rate.?limit|too many requests"),
    (TroubleKind.AUTH, r"\b40[13]\b|authenticat|unauthori[sz]ed|api[ _-]?key|not (?:logged|signed) in|forbidden"),
    (TroubleKind.SESSION, r"session .*not found|no such session|unknown session"),
    (TroubleKind.MODEL, r"\b[45]\d\d\b|badrequest|overloaded|unavailable|empty response|connection|timed? ?out|model"),
)
_RETRYABLE: Final = frozenset({TroubleKind.RATE, TroubleKind.MODEL})


def exit_code(why: str) -> int | None:
    """The exit code in the words in which the end of a process is told; None when a signal ended it."""
    found = _EXITED.search(why)
    return int(found[1]) if found is not None else None


def trouble_in(text: str) -> TroubleKind:
    """What kind of trouble a message is about, by its words."""
    found = (kind for kind, words in _KINDS if re.search(words, text, re.IGNORECASE))
    return next(found, TroubleKind.INTERNAL)


def ended(profile: Profile, found: Found, why: str, stderr: list[str]) -> Ended:
    """The end of a turn that the program has told, or whose process ended by itself; `why` tells how."""
    code = exit_code(why)
    common: dict[str, Any] = {"usage": found.usage, "structured": found.structured}
    evidence = f"the process {why}, {len(found.text)} characters of text, {len(found.calls)} tool calls"
    if profile.tells_its_end:
        evidence = f"{'an event for the end' if found.end is not None else 'no event for the end'}, {evidence}"
    said = "; ".join(stderr[-3:])
    if found.end is True:
        return _done(found, evidence, common)
    if found.end is False or found.error:
        return _failed(profile, found, found.error or said or "the program says that it failed", evidence, common)
    if code != 0:
        message = f"the program ended with exit code {code}" + (f": {said}" if said else "")
        trouble = profile.exits.get(str(code))
        return _failed(profile, found, message, evidence, common, trouble=trouble)
    if profile.tells_its_end:
        message = "the program ended without telling how its turn ended"
        return Ended(
            EndStatus.UNKNOWN, found.text, trouble=TroubleKind.PROTOCOL, message=message, evidence=evidence, **common
        )
    return _done(found, f"{evidence}; this program tells no end of its own", common)


def _done(found: Found, evidence: str, common: dict[str, Any]) -> Ended:
    if not found.text.strip() and not found.calls and found.structured is None:
        message = "the program says that it is done, but said nothing and used no tool"
        return Ended(
            EndStatus.UNKNOWN, trouble=TroubleKind.SILENT, message=message, evidence=evidence, usage=found.usage
        )
    return Ended(EndStatus.COMPLETED, found.text, evidence=evidence, **common)


def _failed(
    profile: Profile,
    found: Found,
    message: str,
    evidence: str,
    common: dict[str, Any],
    *,
    trouble: TroubleKind | None = None,
) -> Ended:
    trouble = trouble or trouble_in(message)
    if trouble is TroubleKind.AUTH and profile.sign_in:
        message = f"{message}; {profile.sign_in}"
    retryable = trouble in _RETRYABLE and not found.calls
    return Ended(
        EndStatus.FAILED,
        found.text,
        trouble=trouble,
        message=message,
        retryable=retryable,
        evidence=evidence,
        **common,
    )
