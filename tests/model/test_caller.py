import pytest

from mcp_orchestrator.model.caller import Token


@pytest.mark.parametrize(
    ("expires", "revoked", "now", "state"),
    [
        (None, None, 1e12, "good"),
        (10.0, None, 9.9, "good"),
        (10.0, None, 10.0, "expired"),
        (10.0, 5.0, 6.0, "revoked"),
        (10.0, 5.0, 20.0, "revoked"),
        (None, 5.0, 4.0, "revoked"),
    ],
)
def test_a_token_is_good_until_it_expires_or_is_revoked(expires, revoked, now, state):
    token = Token("1", "ci", b"", 0.0, expires=expires, revoked=revoked)
    assert token.state(now) == state
    assert token.is_good(now) is (state == "good")
