"""Lists are paged, stable and encoded once."""

from catalogs import catalog, offers, tool

from mcp_orchestrator.core.listing import page
from mcp_orchestrator.core.wire.jsonrpc import decode
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind
from mcp_orchestrator.model.outcome import Failed


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


def test_a_legacy_page_holds_only_what_legacy_clients_know():
    made = catalog(offers("s", tool("t"), era=Era.LEGACY), era=Era.LEGACY)
    assert set(decode(page(made, OfferKind.TOOL, None, 10))) == {"tools"}


def test_the_same_page_is_encoded_once():
    made = catalog(offers("s", tool("t")))
    assert page(made, OfferKind.TOOL, None, 10) is page(made, OfferKind.TOOL, None, 10)


def test_a_cursor_of_somebody_else_is_refused_with_a_hint():
    made = catalog(offers("s", tool("t")))
    for cursor in ("nonsense", "dG9vbHMKeA==", "é", ""):
        failed = page(made, OfferKind.TOOL, cursor, 10)
        assert isinstance(failed, Failed)
        assert failed.code == -32602
        assert "list again" in failed.message


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
