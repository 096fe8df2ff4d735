import pytest

from mcp_orchestrator.model import errors
from mcp_orchestrator.model.errors import CONNECTION_CLOSED, INTERNAL_ERROR, NOT_REPEATED, BackendError
from mcp_orchestrator.model.outcome import Failed, FailureKind


@pytest.mark.parametrize("sent", [True, False])
def test_a_failure_may_be_repeated_exactly_when_nothing_was_sent(sent):
    failed = BackendError(FailureKind.TIMEOUT, "no answer", code=-1, data={"a": 1}, sent=sent).as_failed()
    assert failed == Failed(FailureKind.TIMEOUT, -1, "no answer", {"a": 1}, retryable=not sent)


def test_of_the_reserved_codes_only_those_that_the_specification_defines_have_a_name():
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert {code for code in codes if -32099 <= code <= -32020} == {-32020, -32021, -32022, -32042}
    # -32042 is the legacy era's; -32000 and -32001 are what the official SDKs say of a lost and of a late answer.
    assert {code for code in codes if -32019 <= code <= -32000} == {-32000, -32001, -32002}


@pytest.mark.parametrize("kind", list(FailureKind))
def test_the_code_is_the_given_one_else_that_of_its_kind(kind):
    assert BackendError(kind, "x", code=-32050).code == -32050
    assert BackendError(kind, "x").code == (CONNECTION_CLOSED if kind is FailureKind.DIED else INTERNAL_ERROR)


def test_a_lost_call_says_once_that_it_was_not_repeated():
    once = BackendError(FailureKind.DIED, "the server was killed", sent=True).as_failed().message
    assert once == f"the server was killed; {NOT_REPEATED}"
    assert BackendError(FailureKind.DIED, once, sent=True).as_failed().message == once
    assert NOT_REPEATED not in BackendError(FailureKind.UNAVAILABLE, "no such program").as_failed().message


def test_it_reads_as_its_message():
    assert str(BackendError(FailureKind.DIED, "gone")) == "gone"
