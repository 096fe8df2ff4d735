import pytest

from mcp_orchestrator.backends.a2a_ends import end, failed, given_up, http_status, unknown
from mcp_orchestrator.backends.a2a_reading import read_update
from mcp_orchestrator.backends.a2a_seen import Seen
from mcp_orchestrator.model.agent import EndStatus, TroubleKind
from mcp_orchestrator.model.errors import BackendError
from mcp_orchestrator.model.outcome import FailureKind
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk


def seen_at(state, text=""):
    seen = Seen(FakeAgentTalk())
    message = {"message": {"messageId": "m", "parts": [{"text": text}]}} if text else {}
    seen.take(read_update({"task": {"id": "t", "status": {"state": state, **message}}}), b"")
    return seen


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("401 Unauthorized", TroubleKind.AUTH),
        ("429 RESOURCE_EXHAUSTED", TroubleKind.RATE),
        ("the model is overloaded (503)", TroubleKind.MODEL),
        ("it broke", None),
    ],
)
def test_the_words_of_a_failure_tell_its_kind(text, trouble):
    ended = end(seen_at("failed", text), str)
    assert (ended.status, ended.trouble, ended.message) == (EndStatus.FAILED, trouble, text)


def test_ends_without_a_word_have_words_of_ours():
    assert "without a word" in end(seen_at("failed"), str).message
    assert "rejected" in end(seen_at("rejected"), str).message


def test_secrets_are_taken_out_of_what_is_passed_on():
    assert (
        end(seen_at("failed", "key s3cret"), lambda text: text.replace("s3cret", "<secret>")).message == "key <secret>"
    )


@pytest.mark.parametrize(
    ("kind", "sent", "data", "expected"),
    [
        (FailureKind.UNAVAILABLE, False, None, (EndStatus.FAILED, TroubleKind.MISSING, True)),
        (FailureKind.DIED, True, None, (EndStatus.UNKNOWN, TroubleKind.CRASH, False)),
        (FailureKind.BAD_ANSWER, True, None, (EndStatus.UNKNOWN, TroubleKind.PROTOCOL, False)),
        (FailureKind.BACKEND_ERROR, True, {"httpStatus": 401}, (EndStatus.FAILED, TroubleKind.AUTH, False)),
        (FailureKind.BACKEND_ERROR, True, {"httpStatus": 429}, (EndStatus.FAILED, TroubleKind.RATE, True)),
        (FailureKind.BACKEND_ERROR, True, {"httpStatus": 502}, (EndStatus.FAILED, TroubleKind.CRASH, False)),
    ],
)
def test_what_became_of_our_message_decides_whether_it_may_be_repeated(kind, sent, data, expected):
    ended = failed(seen_at("working"), BackendError(kind, "text", data=data, sent=sent))
    assert (ended.status, ended.trouble, ended.retryable) == expected
    assert ended.message == "text"


def test_a_turn_that_is_left_says_whether_it_was_asked_to_stop():
    assert "did not confirm" in given_up(seen_at("working"), asked=True).message
    left = given_up(Seen(FakeAgentTalk()), asked=False)
    assert (left.status, left.evidence) == (EndStatus.UNKNOWN, "no task was named")


def test_an_unknown_end_says_what_was_last_seen():
    ended = unknown(seen_at("working"), "gone", None)
    assert (ended.trouble, ended.evidence) == (TroubleKind.PROTOCOL, "task t: last seen working")
    assert http_status(BackendError(FailureKind.DIED, "x", data=[1])) == 0
