"""Sampling counts as what may be read and written, for clients do not tell what was."""

import pytest

from mcp_orchestrator.model.budget import ModelPrice, Prices
from mcp_orchestrator.model.conversation import Question
from mcp_orchestrator.runtime.sampling import METHOD, _estimate, _price, counts


def question(**params):
    return Question(METHOD, {"messages": [], **params})


def test_what_it_may_write_and_has_to_read_is_the_estimate():
    assert _estimate(question(maxTokens=60)).output_tokens == 60
    longer = question(maxTokens=60, messages=[{"role": "user", "content": {"type": "text", "text": "x" * 4000}}])
    assert 1000 < _estimate(longer).input_tokens < 1100


@pytest.mark.parametrize("most", [None, "many", -5, True])
def test_a_most_that_is_no_number_writes_nothing(most):
    assert _estimate(question(maxTokens=most)).output_tokens == 0


def test_the_dearest_model_that_is_hinted_at_is_the_price_where_it_is_known():
    prices = Prices(models={"small*": ModelPrice(1_000_000, 1_000_000), "big*": ModelPrice(9_000_000, 9_000_000)})
    hints = {"hints": [{"name": "small-1"}, {"name": "big-2"}, {"name": "other"}, {"name": 3}, "odd"]}
    asked = question(maxTokens=1000, modelPreferences=hints)
    usage = _estimate(asked)
    assert _price(asked, usage, prices) == 9 * (1000 + usage.input_tokens)
    assert _price(question(maxTokens=1), usage, prices) is None
    assert _price(question(modelPreferences={"hints": "big"}), usage, prices) is None


def test_only_sampling_counts_and_only_where_there_are_budgets_for_it():
    class Engine:
        purse = None

    assert not counts(Engine(), question())
    assert not counts(Engine(), Question("elicitation/create", {}))
