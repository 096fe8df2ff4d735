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
