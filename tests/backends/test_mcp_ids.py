"""Ids are told apart from look-alikes, and read off a message that is not parsed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.backends.mcp_ids import ID_AHEAD, ID_BEHIND, METHOD_AHEAD, is_utf8, number_of

IDS = st.integers(0, 10**18 - 1)


@given(IDS)
def test_an_id_is_the_same_number_as_text_and_as_a_whole_float(ident):
    assert (number_of(ident), number_of(str(ident))) == (ident, ident)
    assert number_of(float(ident % 2**50)) == ident % 2**50


@pytest.mark.parametrize("other", [True, False, None, 1.5, "", "x", "-1", "9" * 19, [], {}])
def test_nothing_else_is_a_number_of_ours(other):
    assert number_of(other) is None


@given(IDS, st.text(max_size=20))
def test_an_id_is_found_at_the_end_where_the_peer_writes_it(ident, text):
    first = json.dumps({"jsonrpc": "2.0", "id": ident, "result": {"t": text, "id": 7}}).encode()
    last = json.dumps({"result": {"id": 7, "t": text}, "jsonrpc": "2.0", "id": ident}).encode()
    assert int(ID_AHEAD.match(first)[2]) == ident
    assert ID_AHEAD.match(last) is None
    assert int(ID_BEHIND.search(last)[2]) == ident


def test_a_request_is_known_by_its_method():
    assert METHOD_AHEAD.match(b'{"jsonrpc":"2.0","method":"x","id":1}')
    assert METHOD_AHEAD.match(b'{"jsonrpc":"2.0","id":1,"result":{"method":"x"}}') is None


def test_bytes_are_text_or_not():
    assert (is_utf8("ä".encode()), is_utf8("ä".encode("latin-1"))) == (True, False)
