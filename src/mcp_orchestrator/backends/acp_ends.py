"""How a turn of an ACP agent ended, judged by its stop reason, by its error, and by what it did before.

`end_turn` alone is not believed: with a model that answered 401, agents gave an empty `end_turn` (kimi 1.49), the
error as text of the agent (copilot 1.0.102, hermes 0.19), or error codes of their own (2026-11-22).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from mcp_orchestrator.backends.acp_events import Reading
from mcp_orchestrator.backends.acp_link import AcpError
from mcp_orchestrator.backends.agent_link import Frame, record, words_of
from mcp_orchestrator.model.agent import AgentUsage, Ended, EndStatus, TroubleKind
from mcp_orchestrator.model.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_CANCELLED,
    RESOURCE_NOT_FOUND,
)

AUTH_REQUIRED: Final = -32000

_STOPS: Final = {
    "refusal": (EndStatus.REFUSED, None, "the model refused"),
    "max_tokens": (EndStatus.LIMIT, TroubleKind.MODEL, "the model's answer reached its greatest length"),
    "max_turn_requests": (EndStatus.LIMIT, TroubleKind.TURNS, "the limit of turns was reached"),
}
_LONGEST_ERROR: Final = 2000
_BEGINS: Final = re.compile(
    r"^\W*(?:error\b|execution failed|api (?:call|request)? ?(?:failed|error)|request failed|failed to|model call failed"
    r"|(?:non-retryable |fatal )?\w* ?error:)",
    re.IGNORECASE,
)
_STOPPED: Final = re.compile(r"^\W*info: operation cancell?ed", re.IGNORECASE)
_KINDS: Final = (
    (
        TroubleKind.QUOTA,
        re.compile(
            r"quota|usage limit|limit reached|credit balance|insufficient (?:funds|credit)|billing", re.IGNORECASE
        ),
    ),
    (TroubleKind.RATE, re.compile(r"\b429\b|rate.?limit|too many requests|RESOURCE_EXHAUSTED", re.IGNORECASE)),
    (
        TroubleKind.AUTH,
        re.compile(
            r"\b40[13]\b|authenticat|unauthori[sz]ed|api[ _-]?key|not (?:logged|signed) in|(?:log|sign)[ -]?in required"
            r"|permission[_ ]denied|forbidden|please (?:log|sign) in",
            re.IGNORECASE,
        ),
    ),
    (
        TroubleKind.MODEL,
        re.compile(
            r"\b5\d\d\b|overloaded|internal server error|bad gateway|service unavailable|fetch failed|econnrefused"
            r"|connection error|status code|upstream|provider|\b400\b|\b404\b",
            re.IGNORECASE,
        ),
    ),
)
_NO_SESSION: Final = re.compile(r"no (?:previous )?sessions? found|session .*not found|unknown session", re.IGNORECASE)
_PROTOCOL: Final = (PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS)
RETRYABLE: Final = frozenset({TroubleKind.RATE, TroubleKind.MODEL})


def ended(result: Frame, reading: Reading, usage: AgentUsage, *, interrupted: bool, deaf: bool, schema: bool) -> Ended:
    """The end that the answer to `session/prompt` tells. `deaf`: the agent ends as usual after a cancel."""
    reason = words_of(result.get("stopReason"))
    text = reading.text
    evidence = f"stop reason {reason or '(none)'}, {len(reading.calls)} tool calls, {len(text)} characters of text"
    common: dict[str, Any] = {"usage": usage, "evidence": evidence}
    if reason == "end_turn" and not (interrupted and (deaf or not text.strip())):
        return _done(reading, common, schema=schema)
    if reason == "end_turn":
        return Ended(EndStatus.CANCELLED, text, message="it was asked to stop", **common)
    if reason == "cancelled":
        return _cancelled(reading, common, interrupted=interrupted)
    if reason in _STOPS:
        status, trouble, message = _STOPS[reason]
        return Ended(status, text, trouble=trouble, message=message, **common)
    message = f"the agent ended its turn with a stop reason that is not known here: {reason or '(none)'}"
    return Ended(EndStatus.UNKNOWN, text, trouble=TroubleKind.PROTOCOL, message=message, **common)


def _cancelled(reading: Reading, common: dict[str, Any], *, interrupted: bool) -> Ended:
    if interrupted:
        return Ended(EndStatus.CANCELLED, reading.text, message="it was asked to stop", **common)
    why = "after a permission was refused" if reading.was_refused else "by itself"
    return Ended(EndStatus.CANCELLED, reading.text, message=f"the agent stopped its turn {why}", **common)


def _done(reading: Reading, common: dict[str, Any], *, schema: bool) -> Ended:
    text = reading.text
    if reading.was_refused and (not reading.said_since_refusal or _STOPPED.search(text)):
        message = "the agent ended its turn after a permission was refused"
        return Ended(EndStatus.CANCELLED, text, message=message, **common)
    if not text.strip() and not reading.did:
        message = "the agent says that it is done, but said nothing and used no tool"
        return Ended(EndStatus.UNKNOWN, trouble=TroubleKind.SILENT, message=message, **common)
    trouble = None if reading.did else told_trouble(text)
    if trouble is not None:
        retryable = trouble in RETRYABLE
        return Ended(EndStatus.FAILED, text, trouble=trouble, message=text.strip(), retryable=retryable, **common)
    return Ended(EndStatus.COMPLETED, text, json_in(text) if schema else None, **common)


def told_trouble(text: str) -> TroubleKind | None:
    """The trouble that a text of an agent is about, if all of it is the report of an error; None if it is not."""
    if len(text) > _LONGEST_ERROR or not _BEGINS.search(text):
        return None
    return next((kind for kind, words in _KINDS if words.search(text)), None)


def failed(error: AcpError, reading: Reading, usage: AgentUsage, *, interrupted: bool, sign_in: str) -> Ended:
    """The end that an error in place of an answer to `session/prompt` tells."""
    trouble = trouble_of(error)
    evidence = f"error {error.code}: {said(error)}"
    common: dict[str, Any] = {"usage": usage, "evidence": evidence}
    if error.code == REQUEST_CANCELLED or (interrupted and trouble is TroubleKind.INTERNAL):
        return Ended(EndStatus.CANCELLED, reading.text, message="it was asked to stop", **common)
    message = said(error)
    if trouble is TroubleKind.AUTH and sign_in:
        message = f"{message}; {sign_in}"
    retryable = trouble in RETRYABLE and not reading.did
    return Ended(EndStatus.FAILED, reading.text, trouble=trouble, message=message, retryable=retryable, **common)


def trouble_of(error: AcpError) -> TroubleKind:
    """What kind of trouble an error is: by its code where that is sure, else by its words."""
    text = said(error)
    by_code = {401: TroubleKind.AUTH, 403: TroubleKind.AUTH, 429: TroubleKind.RATE}
    found = next((kind for kind, words in _KINDS if words.search(text)), None)
    if error.code == AUTH_REQUIRED and found in (None, TroubleKind.MODEL):
        return TroubleKind.AUTH
    if error.code in by_code:
        return TroubleKind.QUOTA if found is TroubleKind.QUOTA else by_code[error.code]
    if error.code == RESOURCE_NOT_FOUND or _NO_SESSION.search(text):
        return TroubleKind.SESSION
    if found is not None:
        return found
    if error.code in _PROTOCOL:
        return TroubleKind.PROTOCOL
    return TroubleKind.MODEL if 400 <= error.code < 600 else TroubleKind.INTERNAL  # noqa: PLR2004 - HTTP's own


def said(error: AcpError) -> str:
    """The words of an error, with those that its data adds."""
    data = record(error.data)
    more = [words_of(data.get(key)) for key in ("details", "message", "error", "errorName", "errorMessage")]
    if isinstance(error.data, str):
        more.append(error.data)
    words = [error.message, *(word for word in more if word and word not in error.message)]
    if len(words) == 1 and data:
        words.append(json.dumps(data, ensure_ascii=False)[:500])
    return ": ".join(words)


def json_in(text: str) -> Any:
    """The JSON value that a text is, or ends with in a fence; None where there is none."""
    fenced = re.findall(r"```(?:json)?\s*\n(.*?)```", text, re.DOTALL)
    for one in (text, *reversed(fenced)):
        try:
            return json.loads(one)
        except ValueError:
            continue
    return None
