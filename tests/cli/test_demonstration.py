from concurrent.futures import Future

import pytest

from mcp_orchestrator.cli.demo_gateway import Surprise
from mcp_orchestrator.cli.demonstration import Demonstration, _error_of, expect
from mcp_orchestrator.cli.printing import Format, Printer
from mcp_orchestrator.testing.http_client import RpcError


def test_what_does_not_hold_is_a_surprise():
    expect(True, "never said")
    with pytest.raises(Surprise, match="said"):
        expect(False, "said")


def test_a_call_that_should_have_failed_but_did_not_is_a_surprise():
    fine, failed = Future(), Future()
    fine.set_result({"content": []})
    failed.set_exception(RpcError({"code": 1, "message": "gone", "data": {"kind": "died"}}))
    assert _error_of(failed).data == {"kind": "died"}
    with pytest.raises(Surprise, match="the call succeeded"):
        _error_of(fine)


@pytest.mark.parametrize("error", [Surprise("odd"), OSError("gone"), ValueError("odd"), RpcError({"message": "no"})])
def test_whatever_goes_wrong_in_a_step_is_told_and_ends_the_demo(error, capsys):
    demonstration = Demonstration(Printer(Format.JSON))

    def act():
        raise error

    assert demonstration._step("Try", act) is False
    assert demonstration.steps[0]["problem"]
    assert "should not have happened" in capsys.readouterr().err
