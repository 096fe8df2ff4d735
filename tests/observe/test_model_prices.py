"""The table of models' prices that comes with genai-prices."""

import pytest

from mcp_orchestrator.model.agent import AgentUsage
from mcp_orchestrator.observe.model_prices import ModelTable

pytestmark = pytest.mark.anyio


async def test_it_is_read_when_it_is_needed_and_knows_models_by_name_and_by_provider():
    table = ModelTable()
    assert not table.is_read
    await table.read()
    assert table.is_read
    usage = AgentUsage(input_tokens=1000, output_tokens=100, cached_tokens=200)
    assert table.cost(usage, "claude-sonnet-4-5") == 3960
    assert table.cost(usage, "anthropic/claude-sonnet-4-5") == 3960
    assert table.cost(usage, "openrouter-of-ours/claude-sonnet-4-5") == 3960


def test_a_model_that_it_does_not_know_has_no_price():
    usage = AgentUsage(input_tokens=1000, output_tokens=100)
    assert ModelTable().cost(usage, "no-such-model-7") is None
    assert ModelTable().cost(usage, "") is None
