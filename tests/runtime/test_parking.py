"""The lot: bounded, by owner, and free again as soon as a run is over."""

import asyncio
from types import SimpleNamespace

import pytest

from mcp_orchestrator.model.call import Principal
from mcp_orchestrator.runtime import parking
from mcp_orchestrator.runtime.parking import Lot

pytestmark = pytest.mark.anyio
ADA, EVE = Principal("local:ada"), Principal("local:eve")


def run(name, owner=ADA, *, taken=True):
    return SimpleNamespace(id=name, call=SimpleNamespace(principal=owner), taken=taken)


async def test_a_run_is_found_by_its_owner_only():
    lot = Lot(60.0)
    assert lot.enter(run("a"))
    assert lot.find("a", ADA) is not None
    assert lot.find("a", EVE) is None
    assert lot.find("b", ADA) is None


async def test_each_owner_has_a_part_of_the_lot_and_a_place_is_free_as_soon_as_its_run_is_over(monkeypatch):
    monkeypatch.setattr(parking, "MOST_OF_ONE", 2)
    monkeypatch.setattr(parking, "MOST", 3)
    lot, first = Lot(60.0), run("a")
    assert [lot.enter(first), lot.enter(run("b")), lot.enter(run("c"))] == [True, True, False]
    assert [lot.enter(run("d", EVE)), lot.enter(run("e", EVE))] == [True, False]
    lot.over(first)
    assert len(lot) == 2
    assert lot.enter(run("c"))
    lot.over(run("never entered"))


async def test_an_outcome_that_nobody_took_may_be_fetched_for_a_while(monkeypatch):
    lot, away, here = Lot(0.01), run("away", taken=False), run("here")
    for one in (away, here):
        lot.enter(one)
        lot.over(one)
    assert lot.find("here", ADA) is None
    assert lot.find("away", ADA) is away
    assert len(lot) == 0
    await asyncio.sleep(0.02)  # longer than it is kept
    assert lot.find("away", ADA) is None


async def test_outcomes_that_nobody_took_are_bounded_too(monkeypatch):
    monkeypatch.setattr(parking, "MOST", 1)
    lot = Lot(60.0)
    for name in ("old", "new"):
        assert lot.enter(run(name, taken=False))
        lot.over(run(name, taken=False))
    assert lot.find("old", ADA) is None
    assert lot.find("new", ADA) is not None
