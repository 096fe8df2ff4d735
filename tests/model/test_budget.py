"""How a budget stands: what may still be held, also while it is raised."""

import pytest

from mcp_orchestrator.model.budget import Balance


def stands(**changes):
    return Balance(
        **{
            "budget": "b",
            "key": "k",
            "window": "w",
            "unit": "usd",
            "spent": 30,
            "reserved": 20,
            "limit": 100,
            **changes,
        }
    )


def test_what_is_left_is_what_is_neither_spent_nor_held():
    assert stands().left(0.0) == 50
    assert stands(spent=90, reserved=30).left(0.0) == 0


@pytest.mark.parametrize(("now", "left"), [(9.9, 75), (10.0, 50)])
def test_a_raised_limit_counts_until_its_time_is_over(now, left):
    assert stands(raised=25, raised_until=10.0).left(now) == left
