"""Sealed state opens only for the call it was made for, and only unaltered."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.identity.sealing import KEY_BYTES, AesGcmSealer, key_beside, new_key

SEALER = AesGcmSealer(bytes(KEY_BYTES))


@given(st.binary(), st.binary())
def test_what_was_sealed_opens_with_the_same_bond(inside, bond):
    assert SEALER.unseal(SEALER.seal(inside, bond), bond) == inside


@given(st.binary(min_size=1), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_noticed(inside, place, change):
    sealed = bytearray(base64.urlsafe_b64decode(SEALER.seal(inside, b"bond")))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(ValueError, match="not ours, was altered"):
        SEALER.unseal(base64.urlsafe_b64encode(bytes(sealed)).decode(), b"bond")


@pytest.mark.parametrize("token", ["", "x", "é", "AAAA", "A" * 300_000, " " * 40])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(ValueError, match="ours"):
        SEALER.unseal(token, b"")


def test_another_bond_or_another_key_opens_nothing():
    token = SEALER.seal(b"secret", b"alice's call")
    for sealer, bond in ((SEALER, b"bob's call"), (AesGcmSealer(new_key()), b"alice's call")):
        with pytest.raises(ValueError, match="belongs to another call"):
            sealer.unseal(token, bond)


def test_what_is_inside_cannot_be_read_from_outside():
    assert b"backend" not in base64.urlsafe_b64decode(SEALER.seal(b"backend", b""))


@given(st.binary(min_size=1), st.binary())
def test_a_stamp_is_the_same_whenever_it_is_made_and_opens_with_the_same_bond(inside, bond):
    token = SEALER.stamp(inside, bond)
    assert token == AesGcmSealer(bytes(KEY_BYTES)).stamp(inside, bond)
    assert SEALER.unstamp(token, bond) == inside


@pytest.mark.parametrize("token", ["", "x", "é", "AAAA", "A" * 300_000, " " * 40, SEALER.seal(b"x", b"bond")])
def test_what_is_no_stamp_of_ours_is_refused(token):
    with pytest.raises(ValueError, match="ours"):
        SEALER.unstamp(token, b"bond")


@pytest.mark.parametrize("make", [SEALER.seal, SEALER.stamp])
def test_another_spelling_of_the_same_bytes_is_refused(make):
    token = make(b"123", b"bond")
    opened = SEALER.unseal if make == SEALER.seal else SEALER.unstamp
    assert opened(token, b"bond") == b"123"
    assert token.endswith("=")
    for other in (token + "=", token.rstrip("="), token + "\n"):
        with pytest.raises(ValueError, match="ours"):
            opened(other, b"bond")


def test_a_stamp_opens_with_no_other_bond_or_key_and_is_no_seal():
    stamp = SEALER.stamp(b"tools", b"one list")
    for sealer, bond in ((SEALER, b"another"), (AesGcmSealer(new_key()), b"one list")):
        with pytest.raises(ValueError, match="belongs elsewhere"):
            sealer.unstamp(stamp, bond)
    with pytest.raises(ValueError, match="ours"):
        SEALER.unseal(stamp, b"one list")


def test_the_key_is_made_once_for_its_owner_only_and_shared_by_whoever_uses_the_state_file(tmp_path):
    state = tmp_path / "new" / "state.db"
    key = key_beside(state)
    assert key_beside(state) == key
    assert (state.parent / "seal.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in state.parent.iterdir()] == ["seal.key"]


def test_a_key_file_with_something_else_in_it_is_refused_with_a_fix(tmp_path):
    (tmp_path / "seal.key").write_bytes(b"short")
    with pytest.raises(ValueError, match="remove it and a new one is made"):
        key_beside(tmp_path / "state.db")
