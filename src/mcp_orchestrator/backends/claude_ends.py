"""How a turn of Claude Code ended and what it used, judged from its `result` frame and what was said before it.

Measured with Claude Code 2.1.330 on 2026-11-24: an API failure comes as `subtype` success with `is_error` true, and an
interrupted process ends with exit code 0; so neither is believed alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from mcp_orchestrator.backends.agent_link import Frame, record, whole, words_of
from mcp_orchestrator.model.agent import (
    AgentEvent,
    AgentUsage,
    CostSource,
    Ended,
    EndStatus,
    TroubleKind,
    Warned,
)

_MICRO: Final = 1_000_000
_SIGNED_OUT: Final = re.compile(r"not logged in|/login|invalid api key|authentication|oauth token", re.IGNORECASE)
_SPENT: Final = re.compile(
    r"usage limit|limit reached|hit your .*limit|credit balance|extra usage|quota", re.IGNORECASE
)
_RESET: Final = re.compile(r"\|(\d{10})\b")
_NO_SESSION: Final = re.compile(r"no conversation found|session id .* already in use", re.IGNORECASE)
_BY_STATUS: Final = {401: TroubleKind.AUTH, 403: TroubleKind.AUTH, 429: TroubleKind.RATE}
_BY_WORD: Final = {"authentication_failed": TroubleKind.AUTH, "rate_limit": TroubleKind.RATE}
_RETRYABLE: Final = frozenset({TroubleKind.RATE, TroubleKind.MODEL})


class Ends:
    """What one turn says that its end is judged by. `usage` is known once the result is read."""

    def __init__(self, *, schema: bool) -> None:
        self._schema = schema
        self._did = False
        self._trouble = ""
        self._limited = False
        self._resets_at: float | None = None
        self.last_text = ""
        self.usage: AgentUsage | None = None

    def said(self, text: str) -> None:
        """It said something."""
        if text.strip():
            self.last_text = text

    def did_something(self) -> None:
        """It used a tool."""
        self._did = True

    def said_trouble(self, word: str) -> None:
        """The word with which a message says that it is an error of the model's endpoint; "" when it is none."""
        self._trouble = word

    def limit(self, info: Frame) -> Iterator[AgentEvent]:
        """It told how the limits of the account stand."""
        status, resets = words_of(info.get("status")), whole(info.get("resetsAt"))
        self._limited = status == "rejected"
        self._resets_at = float(resets) if resets is not None else self._resets_at
        if status not in ("", "allowed"):
            window = words_of(info.get("rateLimitType")) or "usage"
            yield Warned(f"the {window} limit of the account: {status}", "limit")

    def used(self, result: Frame) -> AgentUsage:
        """What the turn used, subagents included.

        `total_cost_usd` runs over the whole session, and `usage` is of the main conversation only and empty where a
        limit ended it; `model_usage_since_last_result` is neither.
        """
        told = result.get("model_usage_since_last_result")
        models = {name: one for name, one in record(told).items() if isinstance(one, dict)}
        usage = record(result.get("usage"))
        if not models:
            self.usage = AgentUsage(
                input_tokens=whole(usage.get("input_tokens")),
                output_tokens=whole(usage.get("output_tokens")),
                cached_tokens=whole(usage.get("cache_read_input_tokens")),
                cache_write_tokens=whole(usage.get("cache_creation_input_tokens")),
            )
            return self.usage
        costs = [one.get("costUSD") for one in models.values()]
        measured = [cost for cost in costs if isinstance(cost, int | float) and not isinstance(cost, bool)]
        complete = len(measured) == len(models)
        self.usage = AgentUsage(
            input_tokens=_sum(models, "inputTokens"),
            output_tokens=_sum(models, "outputTokens"),
            cached_tokens=_sum(models, "cacheReadInputTokens"),
            cache_write_tokens=_sum(models, "cacheCreationInputTokens"),
            reasoning_tokens=_sum(models, "thinkingTokens"),
            cost=round(sum(measured) * _MICRO) if complete else None,
            cost_source=CostSource.REPORTED if complete else CostSource.UNMEASURED,
            model=max(models, key=lambda name: whole(models[name].get("outputTokens")) or 0),
        )
        return self.usage

    def ended(self, result: Frame, *, interrupted: bool) -> Ended:
        """The end of the turn."""
        subtype, reason = words_of(result.get("subtype")), words_of(result.get("terminal_reason"))
        text = words_of(result.get("result")) or self.last_text
        evidence = (
            f"result {subtype or '(no subtype)'}, is_error {result.get('is_error')}, {reason or 'no reason told'}"
        )
        common: dict[str, Any] = {"usage": self.usage or self.used(result), "evidence": evidence}
        if reason.startswith("aborted") or (interrupted and subtype != "success"):
            return Ended(EndStatus.CANCELLED, self.last_text, **common)
        if subtype == "error_max_turns":
            message = _errors(result) or "the limit of turns was reached"
            return Ended(EndStatus.LIMIT, self.last_text, trouble=TroubleKind.TURNS, message=message, **common)
        if subtype == "error_max_budget_usd":
            message = _errors(result) or "the limit of money was reached"
            return Ended(EndStatus.LIMIT, self.last_text, trouble=TroubleKind.BUDGET, message=message, **common)
        if subtype == "success" and result.get("is_error") is not True:
            return self._success(result, text, common)
        message = _errors(result) or text or f"the agent ended with {subtype}"
        trouble = self._kind(result, message)
        return Ended(
            EndStatus.FAILED,
            trouble=trouble,
            message=message,
            retryable=trouble in _RETRYABLE,
            resets_at=self._reset(message) if trouble in (TroubleKind.QUOTA, TroubleKind.RATE) else None,
            **common,
        )

    def _success(self, result: Frame, text: str, common: dict[str, Any]) -> Ended:
        if result.get("stop_reason") == "refusal":
            return Ended(EndStatus.REFUSED, text, message=text or "the model refused", **common)
        structured = result.get("structured_output")
        if self._schema and structured is None:
            structured = _json(text)
        if structured is None and not text.strip() and not self._did:
            message = "the agent says that it is done, but said nothing and used no tool"
            return Ended(EndStatus.UNKNOWN, trouble=TroubleKind.SILENT, message=message, **common)
        return Ended(EndStatus.COMPLETED, text, structured, **common)

    def _kind(self, result: Frame, message: str) -> TroubleKind:
        status = whole(result.get("api_error_status"))
        word = self._trouble
        if result.get("subtype") == "error_max_structured_output_retries":
            return TroubleKind.INVALID
        if _NO_SESSION.search(message):
            return TroubleKind.SESSION
        if word == "billing_error" or self._limited or _SPENT.search(message):
            return TroubleKind.QUOTA
        if status is not None or word:
            return _BY_STATUS.get(status or 0) or _BY_WORD.get(word, TroubleKind.MODEL)
        return TroubleKind.AUTH if _SIGNED_OUT.search(message) else TroubleKind.INTERNAL

    def _reset(self, message: str) -> float | None:
        """Some messages of the model's endpoint carry the time themselves: `Claude AI usage limit reached|1763990400`."""
        found = _RESET.search(message)
        return float(found[1]) if found else self._resets_at


def _errors(result: Frame) -> str:
    errors = result.get("errors")
    return "; ".join(map(str, errors)) if isinstance(errors, list) else ""


def _sum(models: dict[str, Frame], key: str) -> int | None:
    counts = [count for count in (whole(one.get(key)) for one in models.values()) if count is not None]
    return sum(counts) if counts else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
