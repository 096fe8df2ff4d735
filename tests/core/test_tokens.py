import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.tokens import FORM, PREFIX, RANDOM_BYTES, digest, is_token, make

BITS = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(BITS)
def test_a_token_is_known_by_its_form(bits):
    token = make(bits)
    assert token.startswith(PREFIX)
    assert re.fullmatch(FORM, token)
    assert re.fullmatch(r"[A-Za-z0-9_]{53}", token)
    assert is_token(token)


@given(BITS, st.integers(0, 52), st.sampled_from("0AzQ_- \n"))
def test_what_is_mistyped_or_cut_off_is_none(bits, at, other):
    token = make(bits)
    changed = token[:at] + other + token[at + 1 :]
    assert is_token(changed) == (changed == token)
    assert not is_token(token[:at])
    assert not is_token(token + other)


@given(BITS, BITS)
def test_different_bits_make_different_tokens_with_different_digests(one, two):
    assert (make(one) == make(two)) == (one == two) == (digest(make(one)) == digest(make(two)))
    assert len(digest(make(one))) == 32


def test_fewer_bits_are_refused():
    with pytest.raises(ValueError, match="32 random bytes"):
        make(b"few")
