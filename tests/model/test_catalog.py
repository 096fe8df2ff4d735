import dataclasses

import pytest

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind, Offers


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (OfferKind.TOOL, "tools/list"),
        (OfferKind.RESOURCE, "resources/list"),
        (OfferKind.TEMPLATE, "resources/templates/list"),
        (OfferKind.PROMPT, "prompts/list"),
    ],
)
def test_every_kind_has_its_list_method(kind, method):
    assert kind.list_method == method


def test_every_kind_finds_its_own_definitions():
    lists = {name: ({"name": name},) for name in ("tools", "resources", "templates", "prompts")}
    offers = Offers("b", Era.LEGACY, "2025-11-25", **lists)
    found = [offers.of(kind) for kind in OfferKind]
    assert found == [lists[name] for name in ("tools", "resources", "templates", "prompts")]


def test_offers_do_not_change_once_taken():
    offers = Offers("b", Era.MODERN, "2026-07-28")
    with pytest.raises(dataclasses.FrozenInstanceError):
        offers.tools = ({},)
