import pytest

from mcp_orchestrator.cli.exits import Ended, Exit, bad_usage, of_failure
from mcp_orchestrator.model.outcome import FailureKind


def test_the_numbers_never_change():
    assert [(code.name, int(code)) for code in Exit] == [
        ("DONE", 0),
        ("UNEXPECTED", 1),
        ("USAGE", 2),
        ("SIGN_IN", 3),
        ("UNREACHABLE", 4),
        ("TOOL_FAILED", 5),
        ("REFUSED", 6),
        ("QUESTION", 7),
    ]


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_ends_with_a_code_that_is_not_success(kind):
    assert of_failure(kind.value) is not Exit.DONE


def test_bad_usage_ends_with_2_and_says_how_to_mend_it():
    with pytest.raises(Ended) as caught:
        bad_usage("wrong", "do it right")
    assert (caught.value.code, caught.value.message, caught.value.fix) == (Exit.USAGE, "wrong", "do it right")
