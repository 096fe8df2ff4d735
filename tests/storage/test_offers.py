"""What is remembered of backends: what goes in comes out, and what is malformed is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import Offers
from mcp_orchestrator.model.snapshot import Durability
from mcp_orchestrator.storage.offers import (
    KEPT_FOR,
    decode_eras,
    decode_offers,
    encode_offers,
    era_rows,
    forget_old,
    offer_rows,
    put_era,
    put_offers,
)

TOOL = {"name": "t", "inputSchema": {"type": "object"}, "x-unknown": [None, 1.5, "\x1b"]}
OFFERS = Offers("b", Era.MODERN, "2026-07-28", {"name": "s"}, {"tools": {}}, None, (TOOL,), (), (), (), 12.5)


@pytest.fixture
def connection(place):
    database = place.database()
    database.prepare()
    opened = database.open_writer(Durability.NORMAL)
    yield opened
    opened.close()


def test_offers_come_back_as_they_were(connection):
    put_offers(connection, encode_offers("f", OFFERS, 1.0))
    put_offers(connection, encode_offers("f", OFFERS, 2.0))
    assert decode_offers(offer_rows(connection)) == {("f", "modern"): OFFERS}


def test_verdicts_come_back_as_they_were(connection):
    for row in (("f", "modern", 1, 0.0), ("f", "legacy", 0, 0.0), ("g", "legacy", 0, 0.0), ("g", "legacy", 1, 0.0)):
        put_era(connection, row)
    expected = {"f": {Era.MODERN: True, Era.LEGACY: False}, "g": {Era.LEGACY: True}}
    assert decode_eras(era_rows(connection)) == expected


def test_what_was_not_saved_for_long_is_forgotten(connection):
    put_offers(connection, encode_offers("old", OFFERS, 0.0))
    put_offers(connection, encode_offers("new", OFFERS, 10.0))
    put_era(connection, ("old", "modern", 1, 0.0))
    forget_old(connection, KEPT_FOR + 5.0)
    assert list(decode_offers(offer_rows(connection))) == [("new", "modern")]
    assert era_rows(connection) == []


GOOD = encode_offers("f", OFFERS, 0.0)[3]


@pytest.mark.parametrize(
    "row",
    [
        ("f", "modern", "not json"),
        ("f", "modern", "[]"),
        ("f", "modern", "{}"),
        ("f", "modern", GOOD.replace('"modern"', '"future"')),
        ("f", "legacy", GOOD),
        ("f", None, GOOD),
        (None, "modern", GOOD),
        ("f", "modern", None),
        ("f", "modern", 7),
        ("f", "modern", b"\xff"),
        ("f", "modern", GOOD.replace('"tools":[', '"tools":["text",')),
        ("f", "modern", "[" * 100_000),
    ],
)
def test_malformed_offers_are_left_out_and_the_rest_is_kept(row):
    assert decode_offers([row, ("g", "modern", GOOD)]) == {("g", "modern"): OFFERS}


@given(st.text() | st.binary())
def test_no_body_whatsoever_raises(body):
    assert decode_offers([("f", "modern", body)]) == {}


@pytest.mark.parametrize(
    "row", [("f", "future", 1), (None, "modern", 1), ("f", "modern", 7), ("f", "modern", None), ("f", 3, 1)]
)
def test_malformed_verdicts_are_left_out(row):
    assert decode_eras([row]) == {}
