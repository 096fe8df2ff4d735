"""A generation shows each client the offers of its own era where there are any."""

import pytest
from engines import FakeBackend, Whole, whole

from mcp_orchestrator.model.call import Era
from mcp_orchestrator.model.catalog import OfferKind, Offers
from mcp_orchestrator.testing.fake_backend import tool

pytestmark = pytest.mark.anyio


async def test_offers_of_the_clients_era_win_and_the_other_era_stands_in(tmp_path):
    made = Whole(tmp_path, FakeBackend("one"))
    generation = made.gateway.generation
    supervisor = made.supervisor("one")
    supervisor.remember({Era.LEGACY: Offers("one", Era.LEGACY, "", tools=(tool("old"),))}, {})
    assert [offer.name for offer in generation.catalog(Era.MODERN, None).offers(OfferKind.TOOL)] == ["old"]
    supervisor.remember({Era.MODERN: Offers("one", Era.MODERN, "", tools=(tool("new"),))}, {})
    generation.offers_changed()
    assert [offer.name for offer in generation.catalog(Era.MODERN, None).offers(OfferKind.TOOL)] == ["new"]
    assert [offer.name for offer in generation.catalog(Era.LEGACY, None).offers(OfferKind.TOOL)] == ["old"]
    await made.stop()


async def test_a_catalog_is_made_once_until_offers_change(tmp_path):
    async with whole(tmp_path, FakeBackend("one")) as made:
        generation = made.gateway.generation
        first = generation.catalog(Era.MODERN, None)
        assert generation.catalog(Era.MODERN, None) is first
        generation.offers_changed()
        assert generation.catalog(Era.MODERN, None) is not first


async def test_offers_in_a_second_era_are_looked_for_in_the_background(tmp_path):
    backend = FakeBackend("one", speaks=(Era.MODERN, Era.LEGACY))
    async with whole(tmp_path, backend) as made:
        supervisor = made.supervisor("one")
        assert supervisor.needs_look_in(Era.LEGACY)
        made.gateway.generation.look_in(Era.LEGACY)
        while supervisor.needs_look_in(Era.LEGACY):
            await __import__("anyio").lowlevel.checkpoint()
        assert {session.era for session in backend.sessions} == {Era.MODERN, Era.LEGACY}
