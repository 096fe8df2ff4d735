"""Lists are paged, stable and encoded once."""

import base64

import pytest
from catalogs import catalog, offers, tool
from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core import listing
from mcp_orchestrator.core.wire.jsonrpc import decode
from mcp_orchestrator.identity.sealing import KEY_BYTES, AesGcmSealer, new_key
from mcp_orchestrator.model.call import Era, Principal
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Failed
from mcp_orchestrator.model.snapshot import ProfileSpec

STAMPS = AesGcmSealer(bytes(KEY_BYTES))


def page(made, kind, cursor, size, stamps=STAMPS):
    return listing.page(made, kind, cursor, size, stamps)


def walk(made, size):
    seen, cursor = [], None
    while True:
        result = decode(page(made, OfferKind.TOOL, cursor, size))
        seen += [entry["name"] for entry in result["tools"]]
        cursor = result.get("nextCursor")
        if cursor is None:
            return seen


def test_all_pages_together_are_the_whole_list_in_order():
    made = catalog(offers("s", *(tool(f"t{n}") for n in range(25))))
    assert walk(made, 10) == [f"s__t{n}" for n in range(25)]
    assert walk(made, 25) == walk(made, 1) == walk(made, 100)


def test_a_modern_page_says_its_type_and_how_long_it_may_be_kept():
    result = decode(page(catalog(offers("s", tool("t"))), OfferKind.TOOL, None, 10))
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 0, "private")


def test_all_pages_of_a_list_may_be_kept_alike():
    made = catalog(offers("s", *(tool(f"t{n}") for n in range(3))))
    first = decode(page(made, OfferKind.TOOL, None, 1))
    second = decode(page(made, OfferKind.TOOL, first["nextCursor"], 1))
    third = decode(page(made, OfferKind.TOOL, second["nextCursor"], 1))
    assert {(one["ttlMs"], one["cacheScope"]) for one in (first, second, third)} == {(0, "private")}


def test_a_legacy_page_holds_only_what_legacy_clients_know():
    made = catalog(offers("s", tool("t"), era=Era.LEGACY), era=Era.LEGACY)
    assert set(decode(page(made, OfferKind.TOOL, None, 10))) == {"tools"}


def test_the_same_page_is_encoded_once():
    made = catalog(offers("s", tool("t")))
    assert page(made, OfferKind.TOOL, None, 10) is page(made, OfferKind.TOOL, None, 10)


def first_cursor(made, kind=OfferKind.TOOL, stamps=STAMPS):
    return decode(page(made, kind, None, 1, stamps))["nextCursor"]


def two(kind=OfferKind.TOOL, profile=None):
    if kind is OfferKind.TOOL:
        return catalog(offers("s", tool("a"), tool("b")), profile=profile)
    return catalog(offers("s", prompts=({"name": "a"}, {"name": "b"})), profile=profile)


@pytest.mark.parametrize("cursor", ["nonsense", "dG9vbHMKc19fYQ==", "é", "", "A" * 5_000_000, "=" * 40])
def test_a_cursor_of_somebody_else_is_refused_with_a_hint(cursor):
    failed = page(two(), OfferKind.TOOL, cursor, 10)
    assert isinstance(failed, Failed)
    assert failed.code == -32602
    assert "list again" in failed.message


@given(st.integers(0), st.integers(1, 255))
def test_a_cursor_that_was_tampered_with_is_refused(place, change):
    cursor = bytearray(base64.urlsafe_b64decode(first_cursor(two())))
    cursor[place % len(cursor)] ^= change
    assert isinstance(page(two(), OfferKind.TOOL, base64.urlsafe_b64encode(bytes(cursor)).decode(), 10), Failed)


def test_a_cursor_has_one_spelling():
    longer = catalog(offers("s", tool("another"), tool("b")))
    cursor = first_cursor(longer)
    assert cursor.endswith("=")
    bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = cursor.rstrip("=")[-1]
    respelt = cursor.rstrip("=")[:-1] + bits[bits.index(last) + 1] + "=" * cursor.count("=")
    assert base64.urlsafe_b64decode(respelt) == base64.urlsafe_b64decode(cursor)
    for other in (respelt, cursor + "=", cursor.rstrip("=")):
        assert isinstance(page(longer, OfferKind.TOOL, other, 10), Failed), other
    assert not isinstance(page(longer, OfferKind.TOOL, cursor, 10), Failed)


def test_tools_for_apps_alone_are_listed_only_to_who_shows_apps():
    hidden = {**tool("b"), "_meta": {"ui": {"visibility": ["app"]}}}
    made = catalog(offers("s", tool("a"), hidden, tool("c")))

    def names(cursor, *, apps):
        result = decode(listing.page(made, OfferKind.TOOL, cursor, 2, STAMPS, apps=apps))
        return [entry["name"] for entry in result["tools"]], result.get("nextCursor")

    for _again in range(2):
        assert names(None, apps=False) == (["s__a", "s__c"], None)
        shown, cursor = names(None, apps=True)
        assert shown == ["s__a", "s__b"]
        assert names(cursor, apps=True) == (["s__c"], None)


def test_a_cursor_is_the_same_after_a_restart_and_says_nothing():
    cursor = first_cursor(two())
    assert cursor == first_cursor(two(), stamps=AesGcmSealer(bytes(KEY_BYTES)))
    assert b"s__a" not in base64.urlsafe_b64decode(cursor)


def test_a_cursor_goes_on_in_its_own_list_view_and_gateway_only():
    cursor = first_cursor(two())
    assert not isinstance(page(two(), OfferKind.TOOL, cursor, 1), Failed)
    narrow = two(profile=ProfileSpec("narrow"))
    assert isinstance(page(two(OfferKind.PROMPT), OfferKind.PROMPT, cursor, 1), Failed)
    assert isinstance(page(narrow, OfferKind.TOOL, cursor, 1), Failed)
    assert isinstance(page(two(), OfferKind.TOOL, cursor, 1, AesGcmSealer(new_key())), Failed)


def test_a_cursor_survives_changes_of_the_catalog_around_its_entry():
    cursor = first_cursor(two())
    grown = catalog(offers("a", tool("new")), offers("s", tool("z"), tool("a"), tool("b")))
    assert [entry["name"] for entry in decode(page(grown, OfferKind.TOOL, cursor, 9))["tools"]] == ["s__b"]


def test_without_anybody_to_stamp_cursors_a_list_is_one_page():
    result = decode(page(two(), OfferKind.TOOL, None, 1, None))
    assert len(result["tools"]) == 2
    assert "nextCursor" not in result
    assert isinstance(page(two(), OfferKind.TOOL, "x", 1, None), Failed)


def test_unknown_fields_of_a_definition_pass_untouched():
    strange = {**tool("t"), "x-vendor": {"deep": [None, 1.5]}, "_meta": {"ui": {"resourceUri": "ui://a"}}}
    result = decode(page(catalog(offers("s", strange)), OfferKind.TOOL, None, 10))
    assert result["tools"] == [{**strange, "name": "s__t"}]


def test_an_output_schema_that_legacy_clients_refuse_is_taken_off_for_them_only():
    odd = {**tool("t"), "outputSchema": {"type": "array"}}
    legacy = decode(page(catalog(offers("s", odd), era=Era.LEGACY), OfferKind.TOOL, None, 10))
    modern = decode(page(catalog(offers("s", odd)), OfferKind.TOOL, None, 10))
    assert "outputSchema" not in legacy["tools"][0]
    assert modern["tools"][0]["outputSchema"] == {"type": "array"}


def listed(made, who, cursor=None, size=1000):
    return decode(listing.page(made, OfferKind.TOOL, cursor, size, STAMPS, who=who))


def test_a_list_holds_what_a_token_is_good_for_and_nothing_else():
    made = catalog(offers("files", tool("read"), tool("write")), offers("docs", tool("read")))
    narrow = Principal("token:a", "token", scopes=("tools:files.r*",))
    assert [one["name"] for one in listed(made, narrow)["tools"]] == ["files__read"]
    assert listed(made, Principal("token:a", "token", scopes=("prompts",)))["tools"] == []
    assert len(listed(made, Principal("token:a", "token"))["tools"]) == 3


def test_a_cursor_goes_on_for_whom_it_was_made():
    made = catalog(offers("files", tool("a"), tool("b")))
    alice, bob = Principal("token:alice", "token"), Principal("token:bob", "token")
    cursor = listed(made, alice, size=1)["nextCursor"]
    assert listed(made, bob, size=1)["nextCursor"] != cursor
    assert isinstance(listing.page(made, OfferKind.TOOL, cursor, 1, STAMPS, who=bob), Failed)
    assert [one["name"] for one in listed(made, alice, cursor, 1)["tools"]] == ["files__b"]


def test_a_list_of_one_page_is_encoded_once_for_all_who_see_the_same():
    made = catalog(offers("files", tool("a")))
    pages = [
        listing.page(made, OfferKind.TOOL, None, 9, STAMPS, who=Principal(f"token:{n}", "token")) for n in range(2)
    ]
    assert pages[0] is pages[1]
