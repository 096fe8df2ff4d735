"""Results of Claude Code 2.1.330 as ends of turns (2026-11-24)."""

import pytest

from mcp_orchestrator.backends.claude_ends import Ends
from mcp_orchestrator.model.agent import CostSource, EndStatus, TroubleKind

OK = {"type": "result", "subtype": "success", "is_error": False, "result": "Done.", "terminal_reason": "completed"}
BAD = {**OK, "is_error": True, "terminal_reason": "api_error", "result": "API Error"}


def ended(result, *, schema=False, interrupted=False, before=()):
    ends = Ends(schema=schema)
    for name, value in before:
        step = getattr(ends, name)
        list(step(value)) if name == "limit" else step(value)
    return ends.ended(result, interrupted=interrupted)


def test_success_is_success():
    end = ended(OK)
    assert (end.status, end.text, end.trouble) == (EndStatus.COMPLETED, "Done.", None)


@pytest.mark.parametrize(
    ("more", "before", "trouble", "retryable"),
    [
        ({"api_error_status": 401}, [], TroubleKind.AUTH, False),
        ({"api_error_status": 403}, [], TroubleKind.AUTH, False),
        ({"api_error_status": 429}, [], TroubleKind.RATE, True),
        ({"api_error_status": 500}, [], TroubleKind.MODEL, True),
        ({"api_error_status": 529}, [], TroubleKind.MODEL, True),
        ({"api_error_status": 429}, [("said_trouble", "billing_error")], TroubleKind.QUOTA, False),
        ({"api_error_status": 400, "result": "Credit balance is too low"}, [], TroubleKind.QUOTA, False),
        ({"result": "Not logged in · Please run /login"}, [], TroubleKind.AUTH, False),
        ({}, [("said_trouble", "authentication_failed")], TroubleKind.AUTH, False),
        ({}, [("said_trouble", "server_error")], TroubleKind.MODEL, True),
        ({"result": "something else"}, [], TroubleKind.INTERNAL, False),
    ],
)
def test_success_with_an_error_is_a_failure_of_its_kind(more, before, trouble, retryable):
    end = ended(BAD | more, before=before)
    assert (end.status, end.trouble, end.retryable) == (EndStatus.FAILED, trouble, retryable)


def test_a_spent_quota_tells_when_it_is_back():
    rejected = ("limit", {"status": "rejected", "resetsAt": 1795600000, "rateLimitType": "five_hour"})
    assert ended(BAD | {"api_error_status": 429}, before=[rejected]).resets_at == 1795600000
    by_text = ended(BAD | {"result": "Claude AI usage limit reached|1795500000"})
    assert (by_text.trouble, by_text.resets_at) == (TroubleKind.QUOTA, 1795500000)


@pytest.mark.parametrize(
    ("subtype", "status", "trouble"),
    [
        ("error_max_turns", EndStatus.LIMIT, TroubleKind.TURNS),
        ("error_max_budget_usd", EndStatus.LIMIT, TroubleKind.BUDGET),
        ("error_max_structured_output_retries", EndStatus.FAILED, TroubleKind.INVALID),
        ("error_during_execution", EndStatus.FAILED, TroubleKind.INTERNAL),
    ],
)
def test_errors_have_a_subtype(subtype, status, trouble):
    end = ended({"subtype": subtype, "is_error": True, "errors": ["Why it was."]}, before=[("said", "So far.")])
    assert (end.status, end.trouble, end.message) == (status, trouble, "Why it was.")


@pytest.mark.parametrize("reason", ["aborted_streaming", "aborted_tools"])
def test_aborted_is_cancelled_whoever_did_it(reason):
    result = {"subtype": "error_during_execution", "is_error": True, "terminal_reason": reason}
    assert ended(result).status is EndStatus.CANCELLED


def test_an_interrupt_that_came_too_late_does_not_undo_the_end():
    assert ended(OK, interrupted=True).status is EndStatus.COMPLETED
    assert (
        ended({"subtype": "error_during_execution", "is_error": True}, interrupted=True).status is EndStatus.CANCELLED
    )


def test_an_unknown_session_is_told_as_such():
    result = {
        "subtype": "error_during_execution",
        "is_error": True,
        "errors": ["No conversation found with session ID: x"],
    }
    assert ended(result).trouble is TroubleKind.SESSION


def test_a_refusal_of_the_model_is_one():
    assert ended(OK | {"stop_reason": "refusal"}).status is EndStatus.REFUSED


def test_done_without_a_word_or_a_deed_is_not_believed():
    silent = OK | {"result": ""}
    assert (ended(silent).status, ended(silent).trouble) == (EndStatus.UNKNOWN, TroubleKind.SILENT)
    assert ended(silent, before=[("said", "Earlier.")]).text == "Earlier."

    ends = Ends(schema=False)
    ends.did_something()
    assert ends.ended(silent, interrupted=False).status is EndStatus.COMPLETED


def test_the_structured_output_is_the_key_or_else_the_text_when_it_was_asked_for():
    assert ended(OK | {"structured_output": {"n": 1}}, schema=True).structured == {"n": 1}
    assert ended(OK | {"result": '{"n": 2}'}, schema=True).structured == {"n": 2}
    assert ended(OK | {"result": '{"n": 2}'}).structured is None
    assert ended(OK, schema=True).structured is None


def test_usage_is_that_of_the_turn_with_subagents_and_its_cost_is_in_micro_dollars():
    models = {
        "big": {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 2, "costUSD": 0.0005},
        "small": {"inputTokens": 1, "outputTokens": 1, "cacheReadInputTokens": 0, "costUSD": 0.0001},
    }
    told = {"total_cost_usd": 9.0, "usage": {"input_tokens": 3}, "model_usage_since_last_result": models}
    usage = ended(OK | told).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.model) == (11, 6, 2, "big")
    assert (usage.cost, usage.cost_source) == (600, CostSource.REPORTED)


def test_what_nobody_measured_is_not_zero():
    usage = ended(OK | {"total_cost_usd": 9.0, "usage": {"input_tokens": 3}}).usage
    assert (usage.input_tokens, usage.cost, usage.cost_source) == (3, None, CostSource.UNMEASURED)
    part = {"a": {"inputTokens": 1, "costUSD": 0.1}, "b": {"inputTokens": 1}}
    assert ended(OK | {"model_usage_since_last_result": part}).usage.cost is None
