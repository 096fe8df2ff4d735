import pytest

from mcp_orchestrator.backends.cli_ends import ended, exit_code, trouble_in
from mcp_orchestrator.backends.cli_profiles import Profile, Rule
from mcp_orchestrator.backends.cli_reading import Found
from mcp_orchestrator.model.agent import EndStatus, TroubleKind

TELLS = Profile(
    output="jsonl", events=(Rule(done=True),), sign_in="sign in with `x login`", exits={"3": TroubleKind.TIMEOUT}
)
SILENT = Profile(output="text")
WELL = "ended (exit code 0)"


def test_an_event_for_the_end_counts_whatever_the_exit_code_says():
    end = ended(TELLS, Found(texts=["done"], end=True), "ended (exit code 1)", [])
    assert (end.status, end.text) == (EndStatus.COMPLETED, "done")
    assert "an event for the end" in end.evidence


def test_an_exit_code_of_0_is_no_end_where_there_is_an_event_for_it():
    end = ended(TELLS, Found(texts=["done"]), WELL, [])
    assert (end.status, end.trouble) == (EndStatus.UNKNOWN, TroubleKind.PROTOCOL)
    assert "no event for the end" in end.evidence


@pytest.mark.parametrize("profile", [SILENT, TELLS])
def test_silence_is_no_success(profile):
    end = ended(profile, Found(end=True if profile is TELLS else None), WELL, [])
    assert (end.status, end.trouble) == (EndStatus.UNKNOWN, TroubleKind.SILENT)


def test_a_text_and_exit_code_0_are_a_success_that_says_on_what_it_rests():
    end = ended(SILENT, Found(texts=["done"]), WELL, [])
    assert end.status is EndStatus.COMPLETED
    assert "exit code 0" in end.evidence
    assert "tells no end of its own" in end.evidence


def test_an_error_event_is_a_failure_in_spite_of_exit_code_0():
    end = ended(SILENT, Found(texts=["partly"], error="429 rate limit"), WELL, [])
    assert (end.status, end.trouble, end.retryable, end.text) == (EndStatus.FAILED, TroubleKind.RATE, True, "partly")
    assert not ended(SILENT, Found(error="429", calls={"1"}), WELL, []).retryable


def test_an_end_that_is_a_failure_tells_the_error_or_the_last_words():
    assert ended(TELLS, Found(end=False, error="HTTP 401"), WELL, []).message == "HTTP 401; sign in with `x login`"
    assert ended(TELLS, Found(end=False), WELL, ["a", "b"]).message == "a; b"
    assert "says that it failed" in ended(TELLS, Found(end=False), WELL, []).message


def test_an_exit_code_tells_a_failure_with_the_last_words():
    end = ended(SILENT, Found(texts=["x"]), "ended (exit code 2)", ["usage: x"])
    assert (end.status, end.message) == (EndStatus.FAILED, "the program ended with exit code 2: usage: x")
    assert ended(TELLS, Found(), "ended (exit code 3)", []).trouble is TroubleKind.TIMEOUT


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("litellm.AuthenticationError: scripted", TroubleKind.AUTH),
        ("litellm.RateLimitError: scripted", TroubleKind.RATE),
        ("litellm.BadRequestError: scripted", TroubleKind.MODEL),
        ("You exceeded your current quota (429)", TroubleKind.QUOTA),
        ("Empty response received from LLM. Check", TroubleKind.MODEL),
        ("session abc not found", TroubleKind.SESSION),
        ("boom", TroubleKind.INTERNAL),
    ],
)
def test_words_tell_what_kind_of_trouble_it_is(text, kind):
    assert trouble_in(text) is kind


def test_a_signal_is_no_exit_code():
    assert exit_code("was ended by signal SIGKILL") is None
    assert exit_code(WELL) == 0
