"""Completions of Codex 0.169.0 as ends of turns (2026-11-24)."""

import pytest

from mcp_orchestrator.backends.codex_ends import ended
from mcp_orchestrator.model.agent import AgentUsage, EndStatus, TroubleKind


def end(status, error=None, **more):
    given = {"text": "Words.", "usage": AgentUsage(), "limits": {}, "did": False, "schema": False, "interrupted": False}
    return ended({"status": status}, error or {}, **(given | more))


def test_completed_is_completed_with_json_where_it_was_asked_for():
    assert end("completed").status is EndStatus.COMPLETED
    assert end("completed", text='{"n": 1}', schema=True).structured == {"n": 1}
    assert end("completed", text="no JSON", schema=True).structured is None


def test_done_without_a_word_or_a_deed_is_not_believed():
    assert (end("completed", text=" ").status, end("completed", text=" ").trouble) == ("unknown", "silent")
    assert end("completed", text="", did=True).status is EndStatus.COMPLETED


def test_interrupted_is_cancelled_and_an_unknown_status_is_unknown():
    assert end("interrupted", interrupted=True).status is EndStatus.CANCELLED
    assert (end("brandNew").status, end("brandNew").trouble) == (EndStatus.UNKNOWN, TroubleKind.PROTOCOL)


@pytest.mark.parametrize(
    ("info", "trouble", "retryable"),
    [
        ("usageLimitExceeded", TroubleKind.QUOTA, False),
        ("rateLimitExceeded", TroubleKind.RATE, True),
        ("serverOverloaded", TroubleKind.MODEL, True),
        ("unauthorized", TroubleKind.AUTH, False),
        ("badRequest", TroubleKind.MODEL, False),
        ("contextWindowExceeded", TroubleKind.MODEL, False),
        ("sandboxError", TroubleKind.INTERNAL, False),
        ("other", TroubleKind.INTERNAL, False),
        ({"httpConnectionFailed": {"httpStatusCode": 429}}, TroubleKind.RATE, True),
        ({"responseTooManyFailedAttempts": {"httpStatusCode": 401}}, TroubleKind.AUTH, False),
        ({"responseStreamDisconnected": {"httpStatusCode": None}}, TroubleKind.MODEL, True),
        ("brandNewKind", TroubleKind.MODEL, True),
        (None, TroubleKind.INTERNAL, False),
    ],
)
def test_a_failure_has_the_kind_of_its_error(info, trouble, retryable):
    made = end("failed", {"message": "Why.", "codexErrorInfo": info})
    assert (made.status, made.trouble, made.retryable, made.message) == (EndStatus.FAILED, trouble, retryable, "Why.")


def test_the_status_is_read_from_the_text_where_it_stands_nowhere_else():
    made = end(
        "failed", {"message": "exceeded retry limit, last status 429 Too Many Requests", "codexErrorInfo": "other"}
    )
    assert (made.trouble, "HTTP 429" in made.evidence) == (TroubleKind.RATE, True)


@pytest.mark.parametrize(
    ("info", "status", "trouble"),
    [
        ("cyberPolicy", EndStatus.REFUSED, None),
        ("misalignmentPolicyViolation", EndStatus.REFUSED, None),
        ("tooManyDenials", EndStatus.REFUSED, None),
        ("sessionBudgetExceeded", EndStatus.LIMIT, TroubleKind.BUDGET),
    ],
)
def test_refusals_and_limits_are_no_failures(info, status, trouble):
    made = end("failed", {"message": "Why.", "codexErrorInfo": info})
    assert (made.status, made.trouble) == (status, trouble)


@pytest.mark.parametrize(
    ("limits", "resets"),
    [
        ({"primary": {"usedPercent": 100, "resetsAt": 50}, "secondary": {"usedPercent": 30, "resetsAt": 900}}, 50),
        ({"primary": {"usedPercent": 100, "resetsAt": 50}, "secondary": {"usedPercent": 100, "resetsAt": 900}}, 900),
        ({"primary": None}, None),
    ],
)
def test_a_spent_quota_tells_when_it_is_back(limits, resets):
    made = end("failed", {"message": "Spent.", "codexErrorInfo": "usageLimitExceeded"}, limits=limits)
    assert made.resets_at == resets
