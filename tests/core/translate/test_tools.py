"""Definitions keep everything but their name."""

from catalogs import catalog, offers, tool

from mcp_orchestrator.core.translate.tools import definition_for
from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind


def test_a_definition_that_needs_no_change_is_the_very_object_of_the_server():
    source = {"uri": "a://b", "name": "n", "odd": None}
    offer = catalog(offers("s", resources=(source,))).offers(OfferKind.RESOURCE)[0]
    assert definition_for(offer, Era.MODERN) is source


def test_a_tool_is_shown_under_its_public_name():
    offer = catalog(offers("s", tool("t"))).offers(OfferKind.TOOL)[0]
    assert definition_for(offer, Era.LEGACY)["name"] == "s__t"


def app(name, uri, **ui):
    return {**tool(name), "_meta": {"ui": {"resourceUri": uri, **ui}, "ui/resourceUri": uri, "vendor": [None]}}


def shown(made, era=Era.MODERN):
    return [definition_for(offer, era, made.address) for offer in made.offers(OfferKind.TOOL)]


def test_the_app_of_a_tool_keeps_its_uri_where_that_is_unique():
    made = catalog(offers("one", app("t", "ui://one/a")), offers("two", app("t", "ui://two/a")))
    assert [each["_meta"] for each in shown(made)] == [app("t", f"ui://{s}/a")["_meta"] for s in ("one", "two")]


def test_two_servers_with_the_same_app_uri_are_kept_apart_in_every_spelling():
    extra = {**tool("o"), "_meta": {"openai/outputTemplate": "ui://a"}}
    made = catalog(offers("one", app("t", "ui://a", visibility=["app"])), offers("two", extra))
    one, two = shown(made)
    assert one["_meta"] == {
        "ui": {"resourceUri": "mcp://one/ui://a", "visibility": ["app"]},
        "ui/resourceUri": "mcp://one/ui://a",
        "vendor": [None],
    }
    assert two["_meta"] == {"openai/outputTemplate": "mcp://two/ui://a"}


def test_tools_that_only_apps_may_see_are_listed_for_the_host_to_judge():
    made = catalog(offers("one", app("refresh", "ui://a", visibility=["app"]), tool("model")))
    assert [each["name"] for each in shown(made)] == ["one__refresh", "one__model"]


def test_odd_meta_of_a_tool_passes_untouched():
    for meta in (None, 3, [], {"ui": 5}, {"ui": {"resourceUri": 7}}, {"ui/resourceUri": None}):
        made = catalog(offers("one", {**tool("t"), "_meta": meta}), offers("two", app("t", "ui://a")))
        assert shown(made)[0]["_meta"] == meta
