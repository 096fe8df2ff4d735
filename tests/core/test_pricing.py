"""What calls and tokens cost, from the configuration and from a table; what is unknown is never nothing."""

import pytest

from mcp_orchestrator.core.pricing import cost_of_tokens, model_price, price_of, priced
from mcp_orchestrator.model.agent import AgentUsage, CostSource
from mcp_orchestrator.model.budget import ModelPrice, Prices

DEAR = ModelPrice(3_000_000, 15_000_000, cached=300_000, cache_write=3_750_000)


def nothing(_usage, _model):
    return None


def test_the_first_pattern_that_fits_a_name_counts():
    prices = Prices({"files.read*": 0, "files.*": 5})
    assert price_of(prices, ["files.read_file"]) == 0
    assert price_of(prices, ["file:///a", "files.file:///a"]) == 5
    assert price_of(prices, ["other.x"]) is None


@pytest.mark.parametrize(
    ("usage", "micro"),
    [
        (AgentUsage(input_tokens=1000, output_tokens=100), 4500),
        (AgentUsage(input_tokens=1000, output_tokens=100, cached_tokens=200), 3960),
        (AgentUsage(input_tokens=1000, cached_tokens=200, cache_write_tokens=100), 2535),
        (AgentUsage(input_tokens=10, cached_tokens=200), 90),
        (AgentUsage(output_tokens=1), 15),
        (AgentUsage(input_tokens=0, output_tokens=0), 0),
        (AgentUsage(), None),
    ],
)
def test_tokens_cost_what_their_kind_costs_rounded_up(usage, micro):
    assert cost_of_tokens(usage, DEAR) == micro


def test_what_is_cached_costs_as_much_as_what_is_read_where_nothing_else_is_said():
    usage = AgentUsage(input_tokens=1000, cached_tokens=1000)
    assert cost_of_tokens(usage, ModelPrice(3_000_000, 0)) == 3000


def test_the_configuration_comes_before_the_table():
    prices = Prices(models={"mine-*": DEAR})
    usage = AgentUsage(input_tokens=1000, model="mine-2")
    assert priced(usage, prices, lambda *_: 1).cost == 3000
    assert model_price(prices, "theirs") is None
    found = priced(AgentUsage(input_tokens=1000, model="theirs"), prices, lambda *_: 9)
    assert (found.cost, found.cost_source) == (9, CostSource.COMPUTED)


def test_what_was_reported_and_what_cannot_be_known_stay_as_they_are():
    reported = AgentUsage(input_tokens=1, cost=5, cost_source=CostSource.REPORTED, model="mine-1")
    unknown = AgentUsage(input_tokens=1, model="theirs")
    silent = AgentUsage(model="mine-1")
    for usage in (reported, unknown, silent, AgentUsage(input_tokens=1)):
        assert priced(usage, Prices(models={"mine-*": DEAR}), nothing) == usage


def test_an_agent_that_does_not_say_its_model_is_taken_to_use_the_one_it_was_started_with():
    assert priced(AgentUsage(output_tokens=2), Prices(models={"mine": DEAR}), nothing, "mine").cost == 30
