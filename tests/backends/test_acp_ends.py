"""No end is believed without evidence, and errors are what they are about."""

from pathlib import Path

import pytest

from mcp_orchestrator.backends.acp_ends import ended, failed, json_in, said, told_trouble, trouble_of
from mcp_orchestrator.backends.acp_events import Reading
from mcp_orchestrator.backends.acp_link import AcpError
from mcp_orchestrator.backends.acp_usage import Meter
from mcp_orchestrator.model.agent import AgentUsage, EndStatus, TroubleKind


def reading(text="", *, did=False):
    made = Reading(Meter(None, known=True), Path("/w"))
    made.text, made.did = text, did
    return made


def end(reason, read, **more):
    facts = {"interrupted": False, "deaf": False, "schema": False, **more}
    return ended({"stopReason": reason}, read, AgentUsage(), **facts)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AcpError(-32000, "Authentication required"), TroubleKind.AUTH),  # kimi, cline, droid, auggie
        (AcpError(401, "{}"), TroubleKind.AUTH),  # gemini-cli
        (AcpError(429, "quota exceeded"), TroubleKind.QUOTA),
        (AcpError(429, "slow down"), TroubleKind.RATE),
        (AcpError(-32603, "Internal error", {"errorName": "ProviderAuthError", "message": "401"}), TroubleKind.AUTH),
        (AcpError(-32603, "Internal error", {"details": "HTTP 503 Service Unavailable"}), TroubleKind.MODEL),
        (AcpError(-31002, "Invalid API key"), TroubleKind.AUTH),  # vibe
        (AcpError(-32603, "you have hit your usage limit"), TroubleKind.QUOTA),
        (AcpError(-32002, "Resource not found"), TroubleKind.SESSION),
        (AcpError(-32603, "No previous sessions found for this project"), TroubleKind.SESSION),  # gemini-cli
        (AcpError(-32601, "Method not found"), TroubleKind.PROTOCOL),
        (AcpError(-32602, "Invalid params"), TroubleKind.PROTOCOL),
        (AcpError(503, "x"), TroubleKind.MODEL),
        (AcpError(-32603, "Internal error"), TroubleKind.INTERNAL),
    ],
)
def test_an_error_is_known_by_its_code_or_its_words(error, kind):
    assert trouble_of(error) is kind


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "Oops"),
        ("more", "Oops: more"),
        ({"details": "d", "errorName": "N"}, "Oops: d: N"),
        ({"details": "Oops"}, 'Oops: {"details": "Oops"}'),
        ({"x": 1}, 'Oops: {"x": 1}'),
        ([1], "Oops"),
    ],
)
def test_the_words_of_an_error_include_those_of_its_data(data, words):
    assert said(AcpError(-1, "Oops", data)) == words


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error: 401 Unauthorized", TroubleKind.AUTH),
        ("✗ Execution failed: rate limit", TroubleKind.RATE),
        ("API call failed after 3 retries: HTTP 500", TroubleKind.MODEL),
        ("Failed to authenticate. API Error: 401", TroubleKind.AUTH),
        ("Error handling was added to the parser.", None),
        ("The API key is checked in auth.py.", None),
        ("Error: 401 " + "x" * 3000, None),
        ("", None),
    ],
)
def test_a_text_that_is_nothing_but_a_report_of_an_error_is_one(text, kind):
    assert told_trouble(text) is kind


def test_such_a_text_after_work_was_done_is_the_agents_own_report():
    assert end("end_turn", reading("Error: 401 Unauthorized", did=True)).status is EndStatus.COMPLETED
    assert end("end_turn", reading("Error: 401 Unauthorized")).status is EndStatus.FAILED


def test_a_turn_with_a_tool_but_no_text_is_done():
    assert end("end_turn", reading(did=True)).status is EndStatus.COMPLETED


def test_a_turn_that_was_done_just_before_the_stop_is_done():
    assert end("end_turn", reading("Done."), interrupted=True).status is EndStatus.COMPLETED
    assert end("end_turn", reading("Done."), interrupted=True, deaf=True).status is EndStatus.CANCELLED
    assert end("end_turn", reading(), interrupted=True).status is EndStatus.CANCELLED
    assert end("cancelled", reading("So far."), interrupted=True).text == "So far."


def fail(error, **more):
    facts = {"interrupted": False, "sign_in": "run `gem login`", **more}
    return failed(error, more.pop("read", reading()), AgentUsage(), **{k: v for k, v in facts.items() if k != "read"})


def test_an_error_after_a_stop_is_the_stop_unless_it_says_what_is_wrong():
    assert fail(AcpError(-32800, "cancelled")).status is EndStatus.CANCELLED
    assert fail(AcpError(-32603, "Internal error"), interrupted=True).status is EndStatus.CANCELLED
    assert fail(AcpError(401, "bad key"), interrupted=True).status is EndStatus.FAILED


def test_a_failure_says_how_to_sign_in_and_whether_to_try_again():
    assert fail(AcpError(401, "bad key")).message == "bad key; run `gem login`"
    assert fail(AcpError(429, "slow down")).retryable
    assert not fail(AcpError(429, "slow down"), read=reading(did=True)).retryable
    assert not fail(AcpError(401, "bad key")).retryable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"n": 1}', {"n": 1}),
        ('Here:\n```json\n{"n": 1}\n```\n', {"n": 1}),
        ("```\n[1]\n```\n```\n[2]\n```", [2]),
        ("no", None),
    ],
)
def test_the_value_of_an_answer_is_found_in_a_fence_too(text, value):
    assert json_in(text) == value
