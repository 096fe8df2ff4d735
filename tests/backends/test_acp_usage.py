"""What a turn used is told apart from what a session used, and what cannot be is not measured."""

import pytest

from mcp_orchestrator.backends.acp_profiles import Usage
from mcp_orchestrator.backends.acp_usage import Meter
from mcp_orchestrator.model.agent import AgentUsage, CostSource


def told(tokens_in, tokens_out, **more):
    return {
        "usage": {"inputTokens": tokens_in, "outputTokens": tokens_out, "totalTokens": tokens_in + tokens_out, **more}
    }


def money(amount, currency="USD"):
    return {"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": {"amount": amount, "currency": currency}}


def turn(meter, result, *updates, one_call=True):
    meter.begin()
    for update in updates:
        meter.update(update)
    return meter.ended(result, one_call=one_call)


def test_what_is_told_of_a_turn_is_taken_as_it_is():
    meter = Meter(Usage(), known=True)
    assert turn(meter, told(10, 5, cachedReadTokens=3, thoughtTokens=2)) == AgentUsage(10, 5, 3, reasoning_tokens=2)
    assert turn(meter, told(20, 6)) == AgentUsage(20, 6)


def test_the_running_sum_of_a_session_is_told_apart_by_difference():
    """copilot, hermes and vibe tell the sum (2026-11-22)."""
    meter = Meter(Usage(scope="session"), known=True)
    assert turn(meter, told(10, 5)) == AgentUsage(10, 5)
    assert turn(meter, told(25, 9)) == AgentUsage(15, 4)
    assert turn(meter, told(5, 1)) == AgentUsage(0, 0)  # it began anew


def test_the_first_sum_of_a_session_that_was_taken_up_says_nothing_of_the_turn():
    meter = Meter(Usage(scope="session"), known=False)
    assert turn(meter, told(100, 50), money(1.0)) == AgentUsage()
    assert turn(meter, told(110, 55), money(1.5)) == AgentUsage(10, 5, cost=500_000, cost_source=CostSource.REPORTED)


def test_what_is_told_while_a_session_is_taken_up_is_what_it_used_before():
    meter = Meter(Usage(), known=False)
    meter.update(money(2.0))
    assert turn(meter, {}, money(2.25)).cost == 250_000


def test_what_is_told_of_the_last_call_counts_only_where_there_was_one():
    """opencode 1.18.33 tells the last call of the model."""
    meter = Meter(Usage(scope="call"), known=True)
    assert turn(meter, told(10, 5)) == AgentUsage(10, 5)
    assert turn(meter, told(10, 5), one_call=False) == AgentUsage()


def test_what_is_told_of_each_call_is_added_up():
    """qwen 0.24.4 tells it on empty chunks of its message."""
    chunk = {"sessionUpdate": "agent_message_chunk", "_meta": {"usage": {"inputTokens": 10, "outputTokens": 5}}}
    meter = Meter(Usage(at="_meta.usage", every=True), known=True)
    assert turn(meter, {}, chunk, chunk) == AgentUsage(20, 10)
    assert turn(meter, {}, chunk) == AgentUsage(10, 5)


def test_money_is_the_difference_of_the_sessions_cost():
    meter = Meter(None, known=True)
    assert turn(meter, {}, money(0.5), money(0.75)).cost == 750_000
    assert turn(meter, {}, money(1.0)).cost == 250_000
    assert turn(meter, told(1, 1)) == AgentUsage()


@pytest.mark.parametrize(
    "update", [money(0), money("x"), money(1.0, "EUR"), money(True), {"sessionUpdate": "usage_update"}]
)
def test_money_that_is_none_is_not_measured_rather_than_zero(update):
    """opencode 1.18.33 tells 0 for models without a price."""
    assert turn(Meter(Usage(), known=True), {}, update).cost_source is CostSource.UNMEASURED


@pytest.mark.parametrize("result", [{}, {"usage": None}, {"usage": []}, {"usage": {"inputTokens": "many"}}])
def test_what_is_no_usage_is_none(result):
    assert turn(Meter(Usage(), known=True), result) == AgentUsage()


def test_a_place_may_be_deep():
    counts = {"input_tokens": 7, "output_tokens": 8}
    result = {"_meta": {"quota": {"token_count": counts}}}
    assert turn(Meter(Usage(at="_meta.quota.token_count"), known=True), result) == AgentUsage(7, 8)
